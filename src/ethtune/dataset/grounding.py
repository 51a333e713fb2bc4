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
from functools import cached_property
from itertools import combinations
from typing import Any, NamedTuple

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
    if intent.outcome in _FAILED_OR_SUCCESS and intent.outcome not in facts.outcomes:
        yield f"outcome {intent.outcome}"
    for name in ("recipient", "spender"):
        address = getattr(intent, name)
        if address is not None and facts.words.isdisjoint((address, _shortened(address))):
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


def _shortened(address: str) -> str:
    """As prompts write the zero address and its neighbours."""
    return f"0x{int(address, 16):x}"


class _Move(NamedTuple):
    asset: str
    giver: str
    taker: str
    amount: Decimal


class _Facts:
    """Words and amounts of one prompt; amounts are read where words alone do not bear one out."""

    def __init__(self, plain: dict[str, Any]) -> None:
        self.status = plain.get("status")
        self._texts = _texts(plain)
        self.words = frozenset(" ".join(self._texts).replace(",", " ").split())
        self._ether = list(_ether_moves(plain))
        self._lines = [line.split() for line in plain.get("logs", [])]

    @property
    def outcomes(self) -> set[str]:
        """The transaction's own, and a failure that an account reports of what it executed."""
        has_failed = any(
            words[1:2] == ["ExecutionFailure"]
            or (words[1:2] == ["UserOperationEvent"] and "false" in words)
            for words in self._lines
        )
        return {str(self.status), "failed"} if has_failed else {str(self.status)}

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

    @cached_property
    def _moves(self) -> list[_Move]:
        """Ether and token transfers."""
        transfers = [
            _Move(words[0], words[2], words[3], Decimal(words[4]))
            for words in self._lines
            if _is_transfer(words)
        ]
        return [*self._ether, *transfers]

    @cached_property
    def _flows(self) -> dict[tuple[str, str], list[Decimal]]:
        """What went in and out, by asset and account."""
        flows: dict[tuple[str, str], list[Decimal]] = defaultdict(list)
        for asset, giver, taker, amount in self._moves:
            flows[_key(asset), giver].append(-amount)
            flows[_key(asset), taker].append(amount)
        return flows

    @cached_property
    def _amounts(self) -> dict[str, set[Decimal]]:
        """Amounts by asset: moved, told by other events, or arguments with their unit."""
        amounts: dict[str, set[Decimal]] = defaultdict(set)
        for asset, _, _, amount in self._moves:
            amounts[_key(asset)].add(amount)
        for line in self._lines:
            emitter, _, *values = line
            if not _is_transfer(line):
                amounts[_key(emitter)].update(map(Decimal, filter(_AMOUNT, values)))
        for text in self._texts:
            number, _, unit = text.partition(" ")
            if _AMOUNT(number) and " " not in unit:
                amounts[_key(unit) or _RAW].add(Decimal(number))
        return amounts


def _ether_moves(plain: dict[str, Any]) -> Iterator[_Move]:
    value = plain.get("value")
    if value is not None:
        yield _Move(NATIVE.symbol, SENDER, plain.get("to", ""), Decimal(value))
    for line in plain.get("internal", []):
        giver, taker, amount = line.split()
        yield _Move(NATIVE.symbol, giver, taker, Decimal(amount))


def _is_transfer(words: list[str]) -> bool:
    """A log line ``TOKEN Transfer GIVER TAKER AMOUNT``."""
    return len(words) == 5 and words[1] == "Transfer" and _AMOUNT(words[4]) is not None


def _key(asset: str) -> str:
    return NATIVE.symbol if asset == _WRAPPED else asset


def _texts(plain: object) -> list[str]:
    """Every text in lists and objects at any depth."""
    texts, rest = [], [plain]
    while rest:
        item = rest.pop()
        if isinstance(item, str):
            texts.append(item)
        elif isinstance(item, list):
            rest += item
        elif isinstance(item, dict):
            rest += item.values()
    return texts


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
