"""Votes and delegations of voting power, of any protocol."""

from __future__ import annotations

from ethtune.chain.case import Case
from ethtune.core.intent import Intent

_VOTES = ("castVote", "castVoteWithReason", "castVoteBySig")


def governance(case: Case) -> Intent | None:
    """A governor's castVote, a voting token's delegate; on record their events must show."""
    call = case.call
    if call.function in _VOTES and call.arguments:
        is_sure = not case.is_settled or any(case.events("VoteCast", call.target))
        return case.intent("governance", None) if is_sure else None
    if call.function == "delegate" and call.arguments:
        is_sure = not case.is_settled or any(case.events("DelegateChanged", call.target))
        recipient = case.other(call.text("delegatee"))
        return case.intent("governance", None, recipient=recipient) if is_sure else None
    return None
