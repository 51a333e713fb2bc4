"""Lido: ether staked for stETH, stETH wrapped as wstETH, withdrawals asked for and claimed."""

from __future__ import annotations

from ethtune.chain.case import Case
from ethtune.chain.protocols import NATIVE
from ethtune.core.intent import Intent


def staking(case: Case) -> Intent | None:
    """Ether submitted or just sent, wrap, unwrap, withdrawals requested and claimed."""
    call, function = case.call, case.call.function
    if case.has_role("staking") and (call.is_plain or function == "submit"):
        return case.intent("stake", "lido", sent=[case.movement(NATIVE, call.value_wei)])
    if case.has_role("wrapper") and "stETHAmount" in call.arguments:
        return case.intent("wrap", "lido")  # the call does not name stETH
    if case.has_role("wrapper") and "wstETHAmount" in call.arguments:
        sent = [case.movement(str(call.target), call.number("wstETHAmount"))]
        return case.intent("unwrap", "lido", sent=sent)
    if case.has_role("withdrawals") and function == "requestWithdrawals":
        return case.intent("unstake", "lido")
    if case.has_role("withdrawals") and function in ("claimWithdrawals", "claimWithdrawal"):
        return case.intent("claim", "lido")
    return None
