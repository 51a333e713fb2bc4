"""Uniswap's Universal Router: one swap written as a list of commands.

The protocol is that of the pools used, the router is on the way.
"""

from __future__ import annotations

from collections.abc import Mapping

from ethtune.chain.case import Case
from ethtune.chain.flows import ZERO_ADDRESS
from ethtune.chain.intents.legs import Leg, combine, read_leg
from ethtune.chain.payouts import CALLER, ROUTER
from ethtune.chain.protocols import NATIVE, WETH
from ethtune.core.described import Value
from ethtune.core.intent import Intent, Movement

_POOLS = {
    "V2_SWAP_EXACT_IN": "uniswap_v2",
    "V2_SWAP_EXACT_OUT": "uniswap_v2",
    "V3_SWAP_EXACT_IN": "uniswap_v3",
    "V3_SWAP_EXACT_OUT": "uniswap_v3",
    "V4_SWAP": "uniswap_v4",
}
Step = tuple[str, Mapping[str, Value]]


def swap(case: Case) -> Intent | None:
    """Every command must be known; on record both sides of the trade must show."""
    if not case.has_role("universal_router") or not case.call.inner:
        return None
    steps: list[Step] = [
        (call.function or "", {item.name: item.value for item in call.arguments})
        for call in case.call.inner
    ]
    swaps = [step for step in steps if step[0] in _POOLS]
    kinds = {_POOLS[name] for name, _ in swaps}
    if not swaps or any(not name for name, _ in steps):
        return None
    legs = [leg for _, values in swaps if (leg := read_leg(values)) is not None]
    leg = combine(legs) if len(legs) == len(swaps) else None
    payee = _payee(case, leg, steps)
    if case.is_settled and not (case.gave() and (case.got() or payee != case.actor)):
        return None
    return case.intent(
        "swap",
        kinds.pop() if len(kinds) == 1 else "uniswap",
        sent=_sent(case, leg),
        received=[_received(case, leg, steps)] if leg and payee == case.actor else (),
        recipient=case.other(payee),
        via=("universal_router",),
    )


def _payee(case: Case, leg: Leg | None, steps: list[Step]) -> str:
    account = leg.recipient if leg else case.actor
    if account == ROUTER:
        for name, values in steps:
            if name in ("UNWRAP_WETH", "SWEEP") and values.get("recipient") != ROUTER:
                account = str(values.get("recipient", CALLER))
    return case.actor if account in (CALLER, ROUTER) else account


def _sent(case: Case, leg: Leg | None) -> list[Movement]:
    if leg is None:
        return [case.movement(NATIVE, case.call.value_wei)]
    asset = NATIVE if leg.token_in == WETH and case.call.value_wei else leg.token_in
    if leg.amount_in >> 255:  # "all that the router holds": of ether that is the value
        return [case.movement(NATIVE, case.call.value_wei)] if asset == NATIVE else []
    return [case.movement(asset, leg.amount_in, leg.bound_in)]


def _received(case: Case, leg: Leg, steps: list[Step]) -> Movement:
    """The last promise counts: a fee may leave less than the swap itself guarantees."""
    is_unwrapped = any(name == "UNWRAP_WETH" for name, _ in steps)
    asset = NATIVE if leg.token_out == WETH and is_unwrapped else leg.token_out
    promised = [
        int(str(values["amountMin"]))
        for name, values in steps
        if name in ("UNWRAP_WETH", "SWEEP")
        and values
        and (name == "UNWRAP_WETH" or values["token"] in (leg.token_out, ZERO_ADDRESS))
    ]
    has_fee = any(name == "PAY_PORTION" for name, _ in steps)
    if promised and (has_fee or leg.recipient == ROUTER):
        return case.movement(asset, promised[-1], "min")
    return case.movement(asset, leg.amount_out, leg.bound_out)
