"""What else a transaction does beside its main action, only where data say so for sure.

Approvals in the same batch of an account, and rewards that came along with something else. What
is a means to the main action, such as ether wrapped on the way to a swap, is no action of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Set

from ethtune.chain.actors import Call, is_approval
from ethtune.chain.case import Case
from ethtune.chain.signatures import meaning_of
from ethtune.core.described import DecodedEvent
from ethtune.core.intent import Action, Intent

_BESIDE_REWARDS = frozenset({
    "deposit", "withdraw", "stake", "unstake", "add_liquidity", "remove_liquidity",
})  # fmt: skip
_AMOUNTS = ("value", "amount", "addedValue")


def secondary(case: Case, intent: Intent) -> tuple[Action, ...]:
    """Further actions in alphabetical order, each once."""
    return tuple(sorted({*_actions(case, intent)} - {intent.action}))


def _actions(case: Case, intent: Intent) -> Iterator[Action]:
    calls = case.acting.calls
    if len(calls) > 1 and any(is_approval(call) and _gives_leave(call) for call in calls):
        yield "approve"
    if not case.is_settled or intent.action not in _BESIDE_REWARDS:
        return
    arrived = {str(move.amount) for move in case.transfers if move.to == case.actor} - {"0"}
    if arrived and any(_is_reward(event, case.actor, arrived) for event in case.described.events):
        yield "claim"


def _gives_leave(call: Call) -> bool:
    amount = next((call.arguments[name] for name in _AMOUNTS if name in call.arguments), None)
    return amount not in (None, "0")


def _is_reward(event: DecodedEvent, account: str, arrived: Set[str]) -> bool:
    """An accrual is none: what the event reports must have come."""
    meaning = meaning_of(event)
    if meaning is None or meaning.action != "claim":
        return False
    values = {argument.value for argument in event.arguments if isinstance(argument.value, str)}
    return account in values and not values.isdisjoint(arrived)
