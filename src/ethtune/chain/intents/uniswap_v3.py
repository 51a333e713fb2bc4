"""Uniswap V3's own routers and its position manager, called directly or through multicall.

Copies of them that are on the list are told by their address and keep their own name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ethtune.chain.case import Case
from ethtune.chain.intents.legs import Leg, combine, payee_of, read_leg
from ethtune.chain.plans import Step, steps_of
from ethtune.chain.protocols import NATIVE, WETH
from ethtune.core.described import Value
from ethtune.core.intent import Intent, Movement

_V3_SWAPS = ("exactInputSingle", "exactInput", "exactOutputSingle", "exactOutput")
_V2_SWAPS = ("swapExactTokensForTokens", "swapTokensForExactTokens")


def swap(case: Case) -> Intent | None:
    """Swaps of SwapRouter and SwapRouter02; the latter's multicall may also take V2 pairs."""
    contract = case.contract
    if contract is None or contract.role != "router":
        return None
    steps = list(_steps(case))
    swaps = [(name, values) for name, values in steps if name in (*_V3_SWAPS, *_V2_SWAPS)]
    kinds = {"uniswap_v3" if name in _V3_SWAPS else "uniswap_v2" for name, _ in swaps}
    if not swaps or (case.call.function != "multicall" and kinds != {"uniswap_v3"}):
        return None
    legs = [leg for _, values in swaps if (leg := read_leg(values)) is not None]
    leg = combine(legs) if len(legs) == len(swaps) else None
    payee = payee_of(leg, steps, case.actor)
    protocol = kinds.pop() if len(kinds) == 1 else "uniswap"
    return case.intent(
        "swap",
        protocol if contract.protocol.startswith("uniswap") else contract.protocol,
        sent=[_sent(case, leg)] if leg else (),
        received=[_received(case, leg, steps)] if leg and payee == case.actor else (),
        recipient=case.other(payee),
        via=("multicall",) if case.call.function == "multicall" else (),
    )


def liquidity(case: Case) -> Intent | None:
    """Positions: mint and increase put in, decrease takes out, collect alone claims fees."""
    contract = case.contract
    if contract is None or contract.role != "positions":
        return None
    steps = dict(_steps(case))
    via = ("multicall",) if case.call.function == "multicall" else ()
    added = steps.get("mint") or steps.get("increaseLiquidity")
    if added and "amount0Desired" in added:
        sent, owner = _desired(case, added), case.other(str(added.get("recipient", case.actor)))
        return case.intent("add_liquidity", contract.protocol, sent=sent, recipient=owner, via=via)
    if "decreaseLiquidity" in steps:
        return case.intent("remove_liquidity", contract.protocol, via=via)
    return case.intent("claim", contract.protocol, via=via) if "collect" in steps else None


def _steps(case: Case) -> Iterator[Step]:
    if case.call.function != "multicall":
        yield case.call.function or "", case.call.arguments
    yield from steps_of(case.call.inner)


def _sent(case: Case, leg: Leg) -> Movement:
    asset = NATIVE if leg.token_in == WETH and case.call.value_wei else leg.token_in
    return case.movement(asset, leg.amount_in, leg.bound_in)


def _received(case: Case, leg: Leg, steps: list[Step]) -> Movement:
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
