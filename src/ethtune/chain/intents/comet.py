"""Compound V3: the same two functions lend and pay back, withdraw and borrow.

A market issues its token for what is lent to it, and destroys it for what is withdrawn. Base assets
that come or go without that change the account's debt.
"""

from __future__ import annotations

from ethtune.chain.case import Case
from ethtune.chain.flows import ZERO_ADDRESS
from ethtune.chain.intents.plausible import is_borne_out
from ethtune.chain.protocols import contracts
from ethtune.core.intent import Action, Intent

_PROTOCOL = "compound_v3"
_DEBTS: dict[str, tuple[Action, str]] = {"Supply": ("repay", "dst"), "Withdraw": ("borrow", "src")}


def debt(case: Case) -> Intent | None:
    """Borrowed or paid back; what is lent and withdrawn the events name rightly."""
    if not case.is_settled or case.described.transaction.chain_id != 1:
        return None
    for event in case.described.events:
        action, account = _DEBTS.get(event.name or "", (None, ""))
        if action is None:
            continue
        contract = contracts().get(event.address)
        if contract is None or contract.protocol != _PROTOCOL:
            continue
        values = {argument.name: argument.value for argument in event.arguments}
        if values.get(account) != case.actor or _changes_supply(case, event.address):
            continue
        return case.intent(action, _PROTOCOL) if is_borne_out(case, action) else None
    return None


def _changes_supply(case: Case, market: str) -> bool:
    return any(move.token == market and ZERO_ADDRESS in move[1:3] for move in case.transfers)
