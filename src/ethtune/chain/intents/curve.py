"""Liquidity of Curve pools, told by the pools' own events."""

from __future__ import annotations

from ethtune.chain.case import Case
from ethtune.core.intent import Intent

_REMOVALS = ("RemoveLiquidity", "RemoveLiquidityOne", "RemoveLiquidityImbalance")


def liquidity(case: Case) -> Intent | None:
    """The called pool, or one that names the actor, reports liquidity put in or taken out."""
    names = {
        event.name
        for event in case.described.events
        if event.name in ("AddLiquidity", *_REMOVALS)
        and (event.address == case.call.target or event.arguments[0].value == case.actor)
    }
    if not names or not case.gave() or not case.got():
        return None
    if names == {"AddLiquidity"}:
        return case.intent("add_liquidity", "curve")
    return case.intent("remove_liquidity", "curve") if "AddLiquidity" not in names else None
