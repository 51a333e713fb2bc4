"""What the called function promises by its name, as far as what moved bears it out."""

from __future__ import annotations

from ethtune.chain.case import Case
from ethtune.chain.intents.plausible import is_borne_out
from ethtune.chain.intents.reported import protocol_behind
from ethtune.chain.payouts import NATIVE_PLACEHOLDER
from ethtune.chain.protocols import NATIVE
from ethtune.chain.signatures import promises
from ethtune.core.intent import Intent, Movement

_RECIPIENTS = ("to", "recipient", "receiver", "onBehalfOf", "contractL2", "delegatee")
_TOKENS = ("token", "asset", "l1Token", "localToken", "inputToken", "originToken", "reserve")
_AMOUNTS = ("amount", "value", "inputAmount")
_TAKING = frozenset({"withdraw", "unstake", "borrow", "remove_liquidity", "claim"})


def named(case: Case) -> Intent | None:
    """The action that the table of functions gives for the call."""
    promise = promises().get(case.call.signature or "")
    action = promise.action if promise else None
    if promise is None or action is None or not is_borne_out(case, action):
        return None
    planned = _planned(case)
    is_taking = action in _TAKING
    return case.intent(
        action,
        promise.protocol or protocol_behind(case, action),
        sent=[case.movement(NATIVE, case.call.value_wei), *([] if is_taking else planned)],
        received=planned if is_taking else (),
        recipient=case.other(_recipient(case)),
    )


def _recipient(case: Case) -> str:
    for name in _RECIPIENTS:
        value = case.call.arguments.get(name)
        if isinstance(value, str) and len(value) == len(case.actor):
            return value
    return case.actor


def _planned(case: Case) -> list[Movement]:
    """The amount that stands beside a token."""
    call = case.call
    token = next((call.arguments[name] for name in _TOKENS if name in call.arguments), None)
    amount = next((call.arguments[name] for name in _AMOUNTS if name in call.arguments), None)
    if not isinstance(token, str) or not isinstance(amount, str) or token == NATIVE_PLACEHOLDER:
        return []
    return [case.movement(token, int(amount))]
