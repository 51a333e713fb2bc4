"""Ether from account to account, and the creation of contracts."""

from __future__ import annotations

from ethtune.chain.case import Case
from ethtune.chain.protocols import NATIVE
from ethtune.core.intent import Intent


def deployment(case: Case) -> Intent | None:
    """A transaction without recipient creates a contract."""
    if case.call.target is not None:
        return None
    return case.intent(
        "deploy_contract", "ethereum", sent=[case.movement(NATIVE, case.call.value_wei)]
    )


def transfer(case: Case) -> Intent | None:
    """No calldata, and nothing but ether left the actor and nothing came back."""
    call = case.call
    if not call.is_plain or call.target is None:
        return None
    if case.got() or any(token != NATIVE for token, _ in case.gave()):
        return None
    return case.intent(
        "transfer",
        "ethereum",
        sent=[case.movement(NATIVE, call.value_wei)] if case.other(call.target) else (),
        recipient=case.other(call.target),
    )
