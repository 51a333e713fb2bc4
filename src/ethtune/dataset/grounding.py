"""An intent and its prompt in, what the prompt does not bear out.

A model must not learn to invent. Every address, asset, token id and amount of an answer has to
stand in the input, a success or failure as well. Net amounts may be arithmetic: the exact signed
sum of at most four amounts of that asset (of an unknown token: of bare numbers too), or an
account's whole inflow, outflow or net of it; wrapped ether counts as ether. What takes judgement,
action and protocol, is not looked at.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from decimal import Context, Decimal
from itertools import combinations
from typing import Any

from ethtune.core.intent import UNLIMITED, Intent, Movement
from ethtune.dataset.addresses import MAX, NATIVE, SENDER, expand_repeats

_AMOUNT = re.compile(r"\d+(?:\.\d+)?").fullmatch
_SUMMED_MAX = 64  # more distinct amounts of one asset are not combined, only totalled
_RAW = ""  # amounts that stand without their asset, those of unknown tokens among them
_EXACT = Context(prec=200)  # above any sum of 256-bit numbers
_WRAPPED = "WETH"
_ALL_NFTS = frozenset({"setApprovalForAll", "ApprovalForAll"})  # with true: no limit
_FAILED_OR_SUCCESS = ("failed", "success")


def ungrounded(intent: Intent, input_text: str) -> list[str]:
    """What of ``intent`` the input does not hold, one phrase each; empty when all is grounded."""
    facts = _Facts(json.loads(expand_repeats(input_text)))
    return list(_missing(intent, facts))


def _missing(intent: Intent, facts: _Facts) -> Iterator[str]:
    if intent.outcome in _FAILED_OR_SUCCESS and intent.outcome != facts.status:
        yield f"outcome {intent.outcome}"
    for name in ("recipient", "spender"):
        address = getattr(intent, name)
        if address is not None and address not in facts.words:
            yield f"{name} {address}"
    for movement in (*intent.sent, *intent.received, *intent.approved):
        yield from _missing_movement(movement, facts)


def _missing_movement(movement: Movement, facts: _Facts) -> Iterator[str]:
    asset, amount = movement.asset, movement.amount
    if asset != NATIVE.symbol and asset not in facts.words:
        yield f"asset {asset}"
    if movement.token_id is not None and movement.token_id not in facts.words:
        yield f"token_id {movement.token_id}"
    if amount is not None and not facts.hold_amount(asset, amount):
        yield f"amount {amount} {asset}"


class _Facts:
    """Words and amounts of one prompt."""

    def __init__(self, plain: dict[str, Any]) -> None:
        self.status = plain.get("status")
        texts = list(_texts(plain))
        self.words = frozenset(word for text in texts for word in re.split(r"[\s,]+", text))
        self._amounts: dict[str, set[Decimal]] = defaultdict(set)
        self._flows: dict[tuple[str, str], list[Decimal]] = defaultdict(list)
        self._read_ether(plain)
        self._read_arguments(texts)
        self._read_transfers(plain.get("logs", []))

    def hold_amount(self, asset: str, amount: str) -> bool:
        """Whether the amount stands here, or follows from amounts of the asset that do."""
        if amount == UNLIMITED:
            is_operator = "true" in self.words and not self.words.isdisjoint(_ALL_NFTS)
            return MAX in self.words or is_operator
        if amount in self.words:
            return True
        wanted, key = Decimal(amount), _key(asset)
        flows = (flow for (unit, _), flow in self._flows.items() if unit == key)
        if any(wanted in _totals(flow) for flow in flows):
            return True
        raw = self._amounts[_RAW] if asset.startswith("0x") else set()
        return _is_sum(wanted, self._amounts[key] | raw)

    def _read_ether(self, plain: dict[str, Any]) -> None:
        value = plain.get("value")
        if value is not None:
            self._move(NATIVE.symbol, SENDER, plain.get("to", ""), value)
        for line in plain.get("internal", []):
            giver, taker, amount = line.split()
            self._move(NATIVE.symbol, giver, taker, amount)

    def _read_arguments(self, texts: Iterable[str]) -> None:
        for text in texts:
            amount, _, unit = text.partition(" ")
            if _AMOUNT(amount) and " " not in unit:
                self._amounts[_key(unit) or _RAW].add(Decimal(amount))

    def _read_transfers(self, lines: Iterable[str]) -> None:
        for line in lines:
            emitter, event, *values = line.split()
            if event == "Transfer" and len(values) == 3 and _AMOUNT(values[2]):
                self._move(emitter, values[0], values[1], values[2])
                continue
            self._amounts[_key(emitter)].update(Decimal(item) for item in values if _AMOUNT(item))

    def _move(self, asset: str, giver: str, taker: str, amount: str) -> None:
        number, key = Decimal(amount), _key(asset)
        self._amounts[key].add(number)
        self._flows[key, giver].append(-number)
        self._flows[key, taker].append(number)


def _key(asset: str) -> str:
    return NATIVE.symbol if asset == _WRAPPED else asset


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _totals(flow: list[Decimal]) -> tuple[Decimal, ...]:
    gained = _sum(item for item in flow if item > 0)
    lost = _sum(-item for item in flow if item < 0)
    return gained, lost, abs(_EXACT.subtract(gained, lost))


def _sum(numbers: Iterable[Decimal]) -> Decimal:
    total = Decimal(0)
    for number in numbers:
        total = _EXACT.add(total, number)
    return total


def _is_sum(wanted: Decimal, amounts: set[Decimal]) -> bool:
    """Whether at most four of the amounts, each added or subtracted, give the wanted one."""
    if len(amounts) > _SUMMED_MAX:
        return False
    pairs: dict[Decimal, list[frozenset[Decimal]]] = defaultdict(list)
    pairs[Decimal(0)].append(frozenset())
    for amount in amounts:
        for signed in (amount, -amount):
            pairs[signed].append(frozenset((amount,)))
    for one, other in combinations(sorted(amounts), 2):
        both = frozenset((one, other))
        for total in (_EXACT.add(one, other), _EXACT.subtract(other, one)):
            pairs[total].append(both)
            pairs[-total].append(both)
    return any(
        not (mine & yours)
        for total, sets in pairs.items()
        for yours in pairs.get(_EXACT.subtract(wanted, total), ())
        for mine in sets
    )
