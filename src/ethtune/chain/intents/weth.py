"""Ether into WETH and back, by calling WETH itself."""

from __future__ import annotations

from ethtune.chain.case import Case
from ethtune.chain.protocols import NATIVE, WETH
from ethtune.core.intent import Intent


def wrapping(case: Case) -> Intent | None:
    """``deposit``, a plain payment to WETH (its fallback deposits), or ``withdraw``."""
    call = case.call
    if call.target != WETH or case.described.transaction.chain_id != 1:
        return None
    if call.is_plain or (call.function == "deposit" and not call.arguments):
        ether, weth = (case.movement(token, call.value_wei) for token in (NATIVE, WETH))
        return case.intent("wrap", "weth", sent=[ether], received=[weth])
    if call.function == "withdraw" and set(call.arguments) == {"amount"}:
        ether, weth = (case.movement(token, call.number("amount")) for token in (NATIVE, WETH))
        return case.intent("unwrap", "weth", sent=[weth], received=[ether])
    return None
