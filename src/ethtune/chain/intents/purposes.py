"""Contracts on the list that serve one purpose, whatever function was called: airdrops, lockers.

Asked after the names: on record, what went one way only is what the contract is for.
"""

from __future__ import annotations

from ethtune.chain.case import Case
from ethtune.chain.intents.plausible import is_borne_out
from ethtune.core.intent import Action, Intent

_GIVEN: dict[str, Action] = {"custody": "deposit"}
_GOT: dict[str, Action] = {"custody": "withdraw", "distributor": "claim"}


def purpose(case: Case) -> Intent | None:
    """A distributor hands out rewards; custody takes deposits and returns them."""
    contract = case.contract
    if contract is None or not case.is_settled or (case.gave() and case.got()):
        return None
    action = (_GIVEN if case.gave() else _GOT).get(contract.role)
    if action is None or not is_borne_out(case, action):
        return None
    return case.intent(action, contract.protocol)
