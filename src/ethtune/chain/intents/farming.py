"""Tokens staked for rewards, told by the events of two widespread kinds of contract.

Synthetix' StakingRewards and its copies report Staked and Withdrawn, SushiSwap's MasterChef and
its copies Deposit and Withdraw with a pool's number; there an amount of 0 fetches rewards only.
"""

from __future__ import annotations

from collections.abc import Iterator

from ethtune.chain.case import Case
from ethtune.core.intent import Action, Intent

_STAKES = ("Staked", "Deposit")
_UNSTAKES = ("Withdrawn", "Withdraw")
_CLAIMS = frozenset({
    "claim", "claimTokens", "claimRewards", "claimComp", "getReward", "harvest",
})  # fmt: skip


def staking(case: Case) -> Intent | None:
    """The one thing the called contract reports of the actor, if assets moved accordingly."""
    actions = set(_reported(case))
    if len(actions) != 1:
        return None
    action = actions.pop()
    is_plausible = case.gave() if action == "stake" else case.got()
    return case.intent(action, _protocol(case)) if is_plausible else None


def claim(case: Case) -> Intent | None:
    """A claiming function that brought fungible assets and took nothing."""
    if case.call.function not in _CLAIMS or case.gave() or not case.got():
        return None
    if any(token_id is not None for _, token_id in case.got()):
        return None
    return case.intent("claim", _protocol(case))


def _reported(case: Case) -> Iterator[Action]:
    for event in case.described.events:
        if event.address != case.call.target or event.name not in (*_STAKES, *_UNSTAKES):
            continue
        values = {argument.name: argument.value for argument in event.arguments}
        if values.get("user") != case.actor or "reserve" in values:
            continue  # a lending pool's events go by the same names
        if values["amount"] == "0":
            yield "claim"
        else:
            yield "stake" if event.name in _STAKES else "unstake"


def _protocol(case: Case) -> str | None:
    contract = case.contract
    return contract.protocol if contract else None
