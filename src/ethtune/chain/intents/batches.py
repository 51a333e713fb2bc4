"""Several calls of one account in one transaction: what they mean together.

Each call is decided as if it were alone. Claims beside something else are not the matter; where
all the others come to the same action, that is the batch's. On record net flows are those of the
batch anyway; before that the plans of its calls add up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from decimal import Context, Decimal

from ethtune.chain.case import Case, in_order
from ethtune.core.intent import UNLIMITED, Action, Bound, Intent, Movement

_EXACT = Context(prec=200)  # above any sum of 256-bit numbers
_ACCOMPANYING: Action = "claim"


def batch(case: Case, decide: Callable[[Case], Intent | None]) -> Intent | None:
    """The intent of all calls that count; None for one call, and where they differ."""
    counting = case.acting.counting
    if len(counting) < 2:
        return None
    intents = [decide(case.alone(call)) for call in counting]
    known = [intent for intent in intents if intent is not None]
    if len(known) != len(intents):
        return None
    main = [intent for intent in known if intent.action != _ACCOMPANYING] or known
    if len({intent.action for intent in main}) != 1:
        return None
    return _together(case, main, known)


def _together(case: Case, main: list[Intent], everything: list[Intent]) -> Intent:
    first = main[0]
    joined = replace(
        first,
        protocol=first.protocol if len({item.protocol for item in main}) == 1 else None,
        recipient=first.recipient if len({item.recipient for item in main}) == 1 else None,
        spender=first.spender if len({item.spender for item in main}) == 1 else None,
        via=case.acting.via,
        approved=_added(item for intent in main for item in intent.approved),
    )
    if case.is_settled:
        return joined
    return replace(
        joined,
        sent=_added(item for intent in everything for item in intent.sent),
        received=_added(item for intent in everything for item in intent.received),
    )


def _added(movements: Iterable[Movement]) -> tuple[Movement, ...]:
    """Amounts of the same asset, id and bound in one; a limit makes the sum a limit."""
    totals: dict[tuple[str, str | None, Bound | None], Movement] = {}
    for item in movements:
        key = (item.asset, item.token_id, item.bound)
        known = totals.get(key)
        totals[key] = item if known is None else replace(known, amount=_sum(known, item))
    return in_order(totals.values())


def _sum(one: Movement, other: Movement) -> str:
    amounts = [item.amount or "1" for item in (one, other)]
    if UNLIMITED in amounts:
        return UNLIMITED
    total = _EXACT.add(Decimal(amounts[0]), Decimal(amounts[1]))
    text = f"{total:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
