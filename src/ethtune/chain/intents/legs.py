"""Swaps spelled out in calldata as legs, and what they amount to before they happen.

Legs that begin with one token and end in another, split and chained as they may be, are one trade:
what no leg makes is sold, what no leg uses is bought. Other patterns leave the amounts open. Ether
counts as WETH on the way, for a router turns one into the other between pools.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

from ethtune.chain.describe import path_tokens
from ethtune.chain.flows import ZERO_ADDRESS
from ethtune.chain.plans import CALLER, ROUTER, Step
from ethtune.chain.protocols import WETH
from ethtune.core.described import Value
from ethtune.core.intent import Bound

_IN_LIMITS = ("amountInMax", "amountInMaximum")
_OUT_LIMITS = ("amountOutMin", "amountOutMinimum")


@dataclass(frozen=True, slots=True)
class Leg:
    """Raw amounts; ``is_exact_input`` tells which end is fixed and which only bounded."""

    token_in: str
    token_out: str
    amount_in: int
    amount_out: int
    is_exact_input: bool
    recipient: str
    pays_ether: bool = False

    @property
    def bound_in(self) -> Bound | None:
        """An exact-output swap only limits what it takes."""
        return None if self.is_exact_input else "max"

    @property
    def bound_out(self) -> Bound | None:
        """An exact-input swap only promises a least amount."""
        return "min" if self.is_exact_input else None


def read_leg(values: Mapping[str, Value]) -> Leg | None:
    """One swap of a Uniswap router from its arguments, V2 to V4, all routers' spellings."""
    is_exact_input = "amountIn" in values
    tokens = _ends(values, is_exact_input)
    if tokens is None:
        return None
    fixed = int(str(values["amountIn" if is_exact_input else "amountOut"]))
    limits = _OUT_LIMITS if is_exact_input else _IN_LIMITS
    limit = next((int(str(values[name])) for name in limits if name in values), 0)
    amount_in, amount_out = (fixed, limit) if is_exact_input else (limit, fixed)
    recipient = str(values.get("recipient", values.get("to", ROUTER)))
    sold, bought = (WETH if token == ZERO_ADDRESS else token for token in tokens)
    is_ether = tokens[1] == ZERO_ADDRESS
    return Leg(sold, bought, amount_in, amount_out, is_exact_input, recipient, is_ether)


def combine(legs: list[Leg]) -> Leg | None:
    """All legs as one, or None where they do not add up to one."""
    if len({leg.is_exact_input for leg in legs}) != 1:
        return None
    sold = {leg.token_in for leg in legs}
    bought = {leg.token_out for leg in legs}
    if len(sold - bought) == 1 and len(bought - sold) == 1:
        (begin,), (end,) = sold - bought, bought - sold
        beginnings = [leg for leg in legs if leg.token_in == begin]
        endings = [leg for leg in legs if leg.token_out == end]
    elif _is_chain(legs):
        beginnings, endings = legs[:1], legs[-1:]  # a detour through the token that is sold
    else:
        return None
    return replace(
        endings[-1],
        token_in=beginnings[0].token_in,
        amount_in=sum(leg.amount_in for leg in beginnings),
        amount_out=sum(leg.amount_out for leg in endings),
    )


def _is_chain(legs: list[Leg]) -> bool:
    is_linked = all(one.token_out == other.token_in for one, other in pairwise(legs))
    return is_linked and legs[0].is_exact_input and legs[0].token_in != legs[-1].token_out


def payee_of(leg: Leg | None, steps: list[Step], actor: str) -> str:
    """Who gets the output: the swap's recipient, or whom a later step sends it on to."""
    account = leg.recipient if leg else ROUTER
    if account in (ROUTER, ZERO_ADDRESS):  # "keep it", in the newer and the older routers
        for name, values in steps:
            recipient = str(values.get("recipient", CALLER))
            if name in _PAYING and recipient not in (ROUTER, ZERO_ADDRESS):
                account = recipient
    return actor if account in (CALLER, ROUTER, ZERO_ADDRESS) else account


_PAYING = frozenset({
    "unwrapWETH9", "unwrapWETH9WithFee", "sweepToken", "sweepTokenWithFee",
    "UNWRAP_WETH", "SWEEP", "TAKE", "TAKE_ALL",
})  # fmt: skip


def _ends(values: Mapping[str, Value], is_exact_input: bool) -> tuple[str, str] | None:
    if "tokenIn" in values and "tokenOut" in values:
        return str(values["tokenIn"]), str(values["tokenOut"])
    path = values.get("path")
    if "poolKey" in values and "zeroForOne" in values:
        zero, one = str(values["poolKey"][0]), str(values["poolKey"][1])
        return (zero, one) if values["zeroForOne"] == "true" else (one, zero)
    if "currencyIn" in values and path:
        return str(values["currencyIn"]), str(path[-1][0])
    if "currencyOut" in values and path:
        return str(path[0][0]), str(values["currencyOut"])
    if isinstance(path, tuple):
        return (str(path[0]), str(path[-1])) if len(path) > 1 else None
    tokens = path_tokens(path) if path is not None else []
    if not tokens:
        return None
    first, last = "0x" + tokens[0], "0x" + tokens[-1]
    return (first, last) if is_exact_input else (last, first)  # exact output packs it backwards
