"""Liquidity of Balancer V2 pools, which join and leave through the one vault."""

from __future__ import annotations

from ethtune.chain.case import Case
from ethtune.core.intent import Action, Intent

_ACTIONS: dict[str, Action] = {"joinPool": "add_liquidity", "exitPool": "remove_liquidity"}


def liquidity(case: Case) -> Intent | None:
    """The two functions of the vault; on record it must report the change."""
    action = _ACTIONS.get(case.call.function or "")
    if action is None or not case.has_role("vault") or "poolId" not in case.call.arguments:
        return None
    if case.is_settled and not any(case.events("PoolBalanceChanged", case.call.target)):
        return None
    return case.intent(action, "balancer_v2", recipient=case.other(case.call.text("recipient")))
