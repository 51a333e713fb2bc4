"""Routers of Uniswap V2 and its forks: swaps along a path of pairs, liquidity of one pair.

A router that is not on the list but speaks the same interface is a fork without a known name: on
record it must have touched a pair, and its protocol stays open.
"""

from __future__ import annotations

from ethtune.chain.case import Case
from ethtune.chain.protocols import NATIVE
from ethtune.core.intent import Bound, Intent, Movement


def swap(case: Case) -> Intent | None:
    """The nine swap functions of the router."""
    call = case.call
    if not (call.function or "").startswith("swap") or not {"path", "to"} <= call.arguments.keys():
        return None
    path = [str(token) for token in call.arguments["path"]]
    if len(path) < 2 or not (case.has_role("router") or _touched(case, "Swap")):
        return None
    to = call.text("to")
    if case.is_settled and not (case.has_role("router") or case.got() or to != case.actor):
        return None
    received = [_received(case, path[-1])] if to == case.actor else []
    return case.intent(
        "swap",
        _protocol(case),
        sent=[_sent(case, path[0])],
        received=received,
        recipient=case.other(to),
    )


def liquidity(case: Case) -> Intent | None:
    """All variants of addLiquidity and removeLiquidity."""
    call = case.call
    function = call.function or ""
    if not function.startswith(("addLiquidity", "removeLiquidity")) or "to" not in call.arguments:
        return None
    is_adding = function.startswith("add")
    if not (case.has_role("router") or _touched(case, "Mint" if is_adding else "Burn")):
        return None
    to = call.text("to")
    returned = [] if is_adding or to != case.actor else _pair(case, "Min")
    return case.intent(
        "add_liquidity" if is_adding else "remove_liquidity",
        _protocol(case),
        sent=_pair(case, "Desired") if is_adding else (),
        received=returned,
        recipient=case.other(to),
    )


def _protocol(case: Case) -> str | None:
    contract = case.contract
    if contract is None:
        return None
    return "uniswap_v2" if contract.protocol == "uniswap_v3" else contract.protocol


def _touched(case: Case, event: str) -> bool:
    return not case.is_settled or any(case.events(event))


def _sent(case: Case, token: str) -> Movement:
    call = case.call
    if "amountIn" in call.arguments:
        return case.movement(token, call.number("amountIn"))
    if "amountInMax" in call.arguments:
        return case.movement(token, call.number("amountInMax"), "max")
    bound: Bound | None = "max" if "amountOut" in call.arguments else None
    return case.movement(NATIVE, call.value_wei, bound)


def _received(case: Case, token: str) -> Movement:
    call = case.call
    function = call.function or ""
    asset = NATIVE if "ForETH" in function or "ForExactETH" in function else token
    if "amountOut" in call.arguments:
        return case.movement(asset, call.number("amountOut"))
    return case.movement(asset, call.number("amountOutMin"), "min")


def _pair(case: Case, suffix: str) -> list[Movement]:
    call = case.call
    bound: Bound = "max" if suffix == "Desired" else "min"
    if "token" not in call.arguments:
        return [
            case.movement(call.text(f"token{side}"), call.number(f"amount{side}{suffix}"), bound)
            for side in "AB"
        ]
    wei = call.value_wei if suffix == "Desired" else call.number("amountETHMin")
    return [
        case.movement(NATIVE, wei, bound),
        case.movement(call.text("token"), call.number(f"amountToken{suffix}"), bound),
    ]
