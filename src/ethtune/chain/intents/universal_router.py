"""Uniswap's Universal Router and its copies: one swap written as a list of commands.

The protocol is that of the pools used, the router is on the way; a copy's own name comes first.
"""

from __future__ import annotations

from ethtune.chain.case import Case
from ethtune.chain.flows import ZERO_ADDRESS
from ethtune.chain.intents.legs import Leg, combine, payee_of, read_leg
from ethtune.chain.plans import ROUTER, Step, steps_of
from ethtune.chain.protocols import NATIVE, WETH
from ethtune.core.intent import Intent, Movement

_POOLS = {
    "V2_SWAP_EXACT_IN": "uniswap_v2",
    "V2_SWAP_EXACT_OUT": "uniswap_v2",
    "V3_SWAP_EXACT_IN": "uniswap_v3",
    "V3_SWAP_EXACT_OUT": "uniswap_v3",
    "STABLE_SWAP_EXACT_IN": "pancakeswap",
    "STABLE_SWAP_EXACT_OUT": "pancakeswap",
    "SWAP_EXACT_IN": "uniswap_v4",
    "SWAP_EXACT_IN_SINGLE": "uniswap_v4",
    "SWAP_EXACT_OUT": "uniswap_v4",
    "SWAP_EXACT_OUT_SINGLE": "uniswap_v4",
}
_OPEN_DELTA = 0  # "as much as was settled", in place of an amount


def swap(case: Case) -> Intent | None:
    """Every command must be known; on record both sides of the trade must show."""
    contract = case.contract
    if contract is None or contract.role != "universal_router" or not case.call.inner:
        return None
    steps = list(steps_of(case.call.inner))
    swaps = [step for step in steps if step[0] in _POOLS]
    kinds = {_POOLS[name] for name, _ in swaps}
    if not swaps or any(not name for name, _ in steps):
        return None
    legs = [leg for _, values in swaps if (leg := read_leg(values)) is not None]
    leg = combine(legs) if len(legs) == len(swaps) else None
    payee = payee_of(leg, steps, case.actor)
    if case.is_settled and not (case.gave() and (case.got() or payee != case.actor)):
        return None
    protocol = kinds.pop() if len(kinds) == 1 else "uniswap"
    return case.intent(
        "swap",
        protocol if contract.protocol == "uniswap" else contract.protocol,
        sent=_sent(case, leg, steps),
        received=[_received(case, leg, steps)] if leg and payee == case.actor else (),
        recipient=case.other(payee),
        via=("universal_router",),
    )


def _sent(case: Case, leg: Leg | None, steps: list[Step]) -> list[Movement]:
    ether = [case.movement(NATIVE, case.call.value_wei)]
    if leg is None:
        return ether
    asset = NATIVE if leg.token_in == WETH and case.call.value_wei else leg.token_in
    raw = leg.amount_in if leg.amount_in != _OPEN_DELTA else _settled(leg, steps)
    if raw >> 255:  # "all that the router holds": of ether that is the value
        return ether if asset == NATIVE else []
    return [case.movement(asset, raw, leg.bound_in)]


def _settled(leg: Leg, steps: list[Step]) -> int:
    """What a plan pays in where its swaps say no amount."""
    for name, values in steps:
        if name == "SETTLE" and values.get("token") in (leg.token_in, ZERO_ADDRESS):
            return int(str(values["amount"]))
    return 0


def _received(case: Case, leg: Leg, steps: list[Step]) -> Movement:
    """The last promise counts: a fee may leave less than the swap itself guarantees."""
    is_ether = leg.pays_ether or any(name == "UNWRAP_WETH" for name, _ in steps)
    asset = NATIVE if leg.token_out == WETH and is_ether else leg.token_out
    promised = [
        int(str(values["amountMin" if "amountMin" in values else "minAmount"]))
        for name, values in steps
        if name in ("UNWRAP_WETH", "SWEEP", "TAKE_ALL")
        and values
        and values.get("token", WETH) in (leg.token_out, ZERO_ADDRESS)
    ]
    has_fee = any(name in ("PAY_PORTION", "TAKE_PORTION") for name, _ in steps)
    if promised and (has_fee or leg.recipient == ROUTER):
        return case.movement(asset, promised[-1], "min")
    return case.movement(asset, leg.amount_out, leg.bound_out)
