"""Vaults with shares (ERC-4626), money markets like Compound's, lending pools like Aave's.

They are told by the events of the called contract, which may be any; the protocol is named only
for those on the list.
"""

from __future__ import annotations

from ethtune.chain.case import Case
from ethtune.core.intent import Action, Intent

_ACTIONS: dict[tuple[str, str], Action] = {
    ("Deposit", "assets"): "deposit",
    ("Withdraw", "assets"): "withdraw",
    ("Mint", "mintTokens"): "deposit",
    ("Redeem", "redeemTokens"): "withdraw",
    ("Borrow", "borrowAmount"): "borrow",
    ("RepayBorrow", "repayAmount"): "repay",
    ("Deposit", "reserve"): "deposit",
    ("Supply", "reserve"): "deposit",
    ("Withdraw", "reserve"): "withdraw",
    ("Borrow", "reserve"): "borrow",
    ("Repay", "reserve"): "repay",
}


def vault(case: Case) -> Intent | None:
    """The one deposit, withdrawal, loan or repayment that the called contract reports."""
    if not case.is_settled or not case.net:
        return None
    actions = {
        action
        for event in case.described.events
        if event.address == case.call.target
        for argument in event.arguments
        if (action := _ACTIONS.get((event.name or "", argument.name))) is not None
    }
    if len(actions) != 1:
        return None
    contract = case.contract
    return case.intent(actions.pop(), contract.protocol if contract else None)
