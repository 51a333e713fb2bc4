"""Uniswap V3's own routers and its position manager, called directly or through multicall."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ethtune.chain.case import Case
from ethtune.chain.flows import ZERO_ADDRESS
from ethtune.chain.intents.legs import Leg, combine, read_leg
from ethtune.chain.payouts import CALLER, ROUTER
from ethtune.chain.protocols import NATIVE, WETH
from ethtune.core.described import Value
from ethtune.core.intent import Intent, Movement

_V3_SWAPS = ("exactInputSingle", "exactInput", "exactOutputSingle", "exactOutput")
_V2_SWAPS = ("swapExactTokensForTokens", "swapTokensForExactTokens")
_SELF = (ROUTER, ZERO_ADDRESS)  # "keep it for the next step", in the newer and the older router


def swap(case: Case) -> Intent | None:
    """Swaps of SwapRouter and SwapRouter02; the latter's multicall may also take V2 pairs."""
    if not case.has_role("router"):
        return None
    steps = list(_steps(case))
    swaps = [(name, values) for name, values in steps if name in (*_V3_SWAPS, *_V2_SWAPS)]
    kinds = {"uniswap_v3" if name in _V3_SWAPS else "uniswap_v2" for name, _ in swaps}
    if not swaps or (case.call.function != "multicall" and kinds != {"uniswap_v3"}):
        return None
    legs = [leg for _, values in swaps if (leg := read_leg(values)) is not None]
    leg = combine(legs) if len(legs) == len(swaps) else None
    payee = _payee(case, leg, steps)
    return case.intent(
        "swap",
        kinds.pop() if len(kinds) == 1 else "uniswap",
        sent=[_sent(case, leg)] if leg else (),
        received=[_received(case, leg, steps)] if leg and payee == case.actor else (),
        recipient=case.other(payee),
        via=("multicall",) if case.call.function == "multicall" else (),
    )


def liquidity(case: Case) -> Intent | None:
    """Positions: mint and increase put in, decrease takes out, collect alone claims fees."""
    if not case.has_role("positions"):
        return None
    steps = dict(_steps(case))
    via = ("multicall",) if case.call.function == "multicall" else ()
    added = steps.get("mint") or steps.get("increaseLiquidity")
    if added and "amount0Desired" in added:
        return case.intent("add_liquidity", "uniswap_v3", sent=_desired(case, added), via=via)
    if "decreaseLiquidity" in steps:
        return case.intent("remove_liquidity", "uniswap_v3", via=via)
    return case.intent("claim", "uniswap_v3", via=via) if "collect" in steps else None


def _steps(case: Case) -> Iterator[tuple[str, Mapping[str, Value]]]:
    if case.call.function != "multicall":
        yield case.call.function or "", case.call.arguments
    for step in case.call.inner:
        yield step.function or "", {item.name: item.value for item in step.arguments}


def _payee(case: Case, leg: Leg | None, steps: list[tuple[str, Mapping[str, Value]]]) -> str:
    """Who gets the output: the swap's recipient, or whom a later step sends it on to."""
    account = leg.recipient if leg else case.actor
    if account in _SELF:
        for name, values in steps:
            if name.startswith(("unwrapWETH9", "sweepToken")):
                account = str(values.get("recipient", CALLER))
    return case.actor if account in (CALLER, *_SELF) else account


def _sent(case: Case, leg: Leg) -> Movement:
    asset = NATIVE if leg.token_in == WETH and case.call.value_wei else leg.token_in
    return case.movement(asset, leg.amount_in, leg.bound_in)


def _received(case: Case, leg: Leg, steps: list[tuple[str, Mapping[str, Value]]]) -> Movement:
    is_unwrapped = any(name.startswith("unwrapWETH9") for name, _ in steps)
    asset = NATIVE if leg.token_out == WETH and is_unwrapped else leg.token_out
    return case.movement(asset, leg.amount_out, leg.bound_out)


def _desired(case: Case, values: Mapping[str, Value]) -> list[Movement]:
    if "token0" not in values:
        return []  # the position's tokens are not in the calldata
    pairs = ((str(values[f"token{i}"]), int(str(values[f"amount{i}Desired"]))) for i in (0, 1))
    return [
        case.movement(NATIVE if token == WETH and case.call.value_wei else token, raw, "max")
        for token, raw in pairs
    ]
