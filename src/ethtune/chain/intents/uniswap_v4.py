"""Positions of Uniswap V4: the pool manager reports by how much each one's liquidity changed."""

from __future__ import annotations

from ethtune.chain.case import Case
from ethtune.core.intent import Action, Intent


def liquidity(case: Case) -> Intent | None:
    """Liquidity put in or taken out; a change of nothing collects fees."""
    if not case.has_role("v4_positions") or not case.is_settled:
        return None
    changes = [
        int(str(argument.value))
        for event in case.events("ModifyLiquidity")
        for argument in event.arguments
        if argument.name == "liquidityDelta"
    ]
    if not changes or not case.net:
        return None
    total = sum(changes)
    action: Action = "add_liquidity" if total > 0 else "remove_liquidity" if total else "claim"
    return case.intent(action, "uniswap_v4")
