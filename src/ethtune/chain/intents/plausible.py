"""Whether what moved bears out what a name promises.

Names of functions and events are claims of whoever wrote the contract; assets that moved the other
way, or not at all, refute them. Before there are flows to compare with a claim stands as it is.
"""

from __future__ import annotations

from collections.abc import Collection

from ethtune.chain.case import Case
from ethtune.chain.flows import ZERO_ADDRESS
from ethtune.core.intent import Action

_GIVES = frozenset({"deposit", "stake", "repay", "add_liquidity", "transfer"})
_GETS = frozenset({"withdraw", "unstake", "borrow", "remove_liquidity"})
_TRADES = frozenset({"swap", "wrap", "unwrap", "liquidate"})
_LOANS: dict[frozenset[Action], Action] = {
    frozenset({"deposit", "borrow"}): "borrow",
    frozenset({"withdraw", "repay"}): "repay",
}  # collateral that comes along is a means


def is_borne_out(case: Case, action: Action) -> bool:
    """True before signing and after a failure, for the claim is the attempt; votes cost nothing."""
    if not case.is_settled:
        return action != "governance" or not case.call.value_wei
    fungible = all(token_id is None for _, token_id in case.net)
    has_given, has_got = bool(case.gave()), bool(case.got())
    if action in _GIVES:
        return has_given
    if action in _GETS:
        return has_got
    if action in _TRADES:
        return has_given and has_got and fungible
    if action == "claim":
        return has_got and not has_given and fungible
    if action == "mint":
        return any(move.sender == ZERO_ADDRESS and move.to == case.actor for move in case.transfers)
    return _is_borne_out_otherwise(case, action)


def _is_borne_out_otherwise(case: Case, action: Action) -> bool:
    if action == "bridge":
        return bool(case.net)
    if action == "burn":
        return bool(case.gave()) and not case.got()
    if action == "governance":
        return not case.net  # bots wear the selectors of votes
    if action == "nft_trade":
        return any(token_id is not None for _, token_id in case.net) and len(case.net) > 1
    return True


def loan(actions: Collection[Action]) -> Action | None:
    """The one that counts: the only one, or the debt where collateral came along."""
    return next(iter(actions)) if len(actions) == 1 else _LOANS.get(frozenset(actions))
