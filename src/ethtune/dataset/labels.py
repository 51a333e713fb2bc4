"""The output of a row in, the intent it says out, and what is wrong with the way it says it.

Nothing here looks at the input; ``labelchecks`` holds the intent against it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from ethtune.core.intent import UNLIMITED, Intent, InvalidIntent, Movement, parse_intent
from ethtune.core.units import unscale_amount
from ethtune.dataset.findings import Fault, cut, quoted

_UINT256_MAX = 2**256 - 1
_EXPONENT = re.compile(r"[+-]?[0-9.]+[eE][+-]?[0-9]+").fullmatch
_MEANT_AS_INTENT = re.compile(r'\s*\{\s*"action"\s*:').match
_MOVEMENT_KEYS = ("sent", "received", "approved")


class NumberText(str):
    """A JSON number as it is spelled, so that no digit is lost in showing it."""

    __slots__ = ()


def read_label(output: str) -> tuple[Intent | None, list[Fault]]:
    """The intent, None where there is none, and what is wrong with its spelling."""
    try:
        intent = parse_intent(output)
    except InvalidIntent as error:
        return None, [_why_none(output, str(error))]
    if intent.to_json() != output:
        return intent, [Fault("W214", f"output is {quoted(output)}", intent.to_json())]
    return intent, []


def number_faults(intent: Intent, decimals: Mapping[str, int]) -> Iterator[Fault]:
    """Amounts and token ids that no contract could hold. ``decimals`` are those of known tokens."""
    for movement in (*intent.sent, *intent.received, *intent.approved):
        token_id = movement.token_id
        if token_id is not None and not _fits(token_id):
            yield Fault("E211", f"token_id {cut(token_id)} is beyond 256 bits", token_id)
        if movement.amount not in (None, UNLIMITED):
            yield from _amount_faults(movement, movement.amount or "", decimals.get(movement.asset))


def _amount_faults(movement: Movement, amount: str, decimals: int | None) -> Iterator[Fault]:
    shown = f"{cut(amount)} {cut(movement.asset)}"
    num_digits = len(amount.partition(".")[2])
    if decimals is not None and num_digits > decimals:
        text = f"{shown} has {num_digits} decimals, the token {decimals}"
        yield Fault("E212", text, amount)
    elif not _fits(str(unscale_amount(amount, decimals)) if decimals else amount.partition(".")[0]):
        yield Fault("E211", f"{shown} is beyond 256 bits", amount)


def _fits(digits: str) -> bool:
    """Compared as text first: Python refuses to read numbers of many thousand digits."""
    digits = digits.lstrip("0") or "0"
    return len(digits) <= len(str(_UINT256_MAX)) and int(digits) <= _UINT256_MAX


def _why_none(output: str, said: str) -> Fault:
    """The most telling reason why an output is no intent; ``said`` is the parser's."""
    try:
        plain = json.loads(output, parse_float=NumberText)
    except (ValueError, RecursionError):
        around = _text_around_intent(output)
        if around is not None:
            return Fault("E208", f"beside the intent stands {quoted(around)}", cut(around))
        if _MEANT_AS_INTENT(output):
            return Fault("E202", f"{cut(said)}: {quoted(output)}", cut(output))
        plain = None
    if not isinstance(plain, dict) or "action" not in plain:
        return Fault("E201", f"output is {quoted(output)}", cut(output))
    for name, number in _number_amounts(plain):
        return Fault("E207", f"{name} is {cut(number)}, expected a text such as {_plain(number)}",
                     cut(number))  # fmt: skip
    return Fault("E202", f"{cut(said, 200)}: {quoted(output)}", cut(output))


def _text_around_intent(output: str) -> str | None:
    """What stands before and behind the first intent in a text that is more than one."""
    start = output.find("{")
    try:
        plain, end = json.JSONDecoder().raw_decode(output, start) if start >= 0 else (None, 0)
    except (ValueError, RecursionError):
        return None
    if not isinstance(plain, dict) or "action" not in plain:
        return None
    return f"{output[:start]} {output[end:]}".strip()


def _number_amounts(plain: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Amounts that are JSON numbers, or texts with an exponent; their place and spelling."""
    for key in _MOVEMENT_KEYS:
        items = plain.get(key)
        for place, item in enumerate(items if isinstance(items, list) else []):
            for name in ("amount", "token_id"):
                value = item.get(name) if isinstance(item, dict) else None
                is_number = isinstance(value, (int, NumberText)) and not isinstance(value, bool)
                if is_number or (isinstance(value, str) and _EXPONENT(value)):
                    yield f"{key}[{place}].{name}", str(value)


def _plain(number: str) -> str:
    """The number without an exponent, in quotes, where it is of a length to show."""
    try:
        exact = Decimal(number)
        is_short = abs(exact.adjusted()) < 78
    except ArithmeticError:
        return '"0.5"'
    return f'"{exact:f}"' if is_short else '"0.5"'
