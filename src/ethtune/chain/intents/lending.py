"""Aave's pools and ether gateways: the function names the action, the pool's event confirms it."""

from __future__ import annotations

from ethtune.chain.case import Case
from ethtune.chain.protocols import NATIVE
from ethtune.core.intent import Action, Intent, Movement
from ethtune.core.transaction import UINT256_MAX

_ACTIONS: dict[str, tuple[Action, tuple[str, ...]]] = {
    "deposit": ("deposit", ("Deposit",)),
    "supply": ("deposit", ("Supply",)),
    "supplyWithPermit": ("deposit", ("Supply",)),
    "depositETH": ("deposit", ("Deposit", "Supply")),
    "withdraw": ("withdraw", ("Withdraw",)),
    "withdrawETH": ("withdraw", ("Withdraw",)),
    "borrow": ("borrow", ("Borrow",)),
    "borrowETH": ("borrow", ("Borrow",)),
    "repay": ("repay", ("Repay",)),
    "repayWithPermit": ("repay", ("Repay",)),
    "repayETH": ("repay", ("Repay",)),
    "liquidationCall": ("liquidate", ("LiquidationCall",)),
}
_TAKEN = ("withdraw", "borrow")


def lending(case: Case) -> Intent | None:
    """Deposit, withdraw, borrow, repay, liquidate."""
    contract, call = case.contract, case.call
    if contract is None or not case.has_role("lending", "lending_gateway") or not call.arguments:
        return None
    action, names = _ACTIONS.get(call.function or "", (None, ()))
    if action is None:
        return None
    if case.is_settled and not any(any(case.events(name)) for name in names):
        return None
    planned = _planned(case)
    return case.intent(
        action,
        contract.protocol,
        sent=() if action in _TAKEN else planned,
        received=planned if action in _TAKEN else (),
        recipient=case.other(_beneficiary(case)),
    )


def _beneficiary(case: Case) -> str:
    for name in ("onBehalfOf", "to"):
        if name in case.call.arguments:
            return case.call.text(name)
    return case.actor


def _planned(case: Case) -> list[Movement]:
    call = case.call
    if call.function in ("depositETH", "repayETH"):
        return [case.movement(NATIVE, call.value_wei)]
    asset = NATIVE if (call.function or "").endswith("ETH") else str(call.arguments.get("asset"))
    if "amount" not in call.arguments or call.number("amount") == UINT256_MAX:
        return []  # "all of it" is no amount
    return [case.movement(asset, call.number("amount"))]
