"""What else a transaction does beside its main action, only where data say so for sure.

Approvals in the same batch of an account, and rewards that came along with something else. What
is a means to the main action, such as ether wrapped on the way to a swap, is no action of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

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
    may_claim = case.is_settled and intent.action in _BESIDE_REWARDS and case.got()
    if may_claim and any(_is_reward(event, case.actor) for event in case.described.events):
        yield "claim"


def _gives_leave(call: Call) -> bool:
    amount = next((call.arguments[name] for name in _AMOUNTS if name in call.arguments), None)
    return amount not in (None, "0")


def _is_reward(event: DecodedEvent, account: str) -> bool:
    meaning = meaning_of(event)
    if meaning is None or meaning.action != "claim":
        return False
    values = [argument.value for argument in event.arguments]
    amounts = (value for value in values if isinstance(value, str) and value.isdecimal())
    return account in values and any(amount != "0" for amount in amounts)
