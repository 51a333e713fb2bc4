"""Swaps spelled out in calldata as legs, and what they amount to before they happen.

Legs that share both ends add up (a split order); legs where each starts with what the one before
ends in are one journey (a path over several kinds of pool). Other patterns leave the amounts open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from ethtune.chain.describe import path_tokens
from ethtune.core.described import Value
from ethtune.core.intent import Bound


@dataclass(frozen=True, slots=True)
class Leg:
    """Raw amounts; ``is_exact_input`` tells which end is fixed and which only bounded."""

    token_in: str
    token_out: str
    amount_in: int
    amount_out: int
    is_exact_input: bool
    recipient: str

    @property
    def bound_in(self) -> Bound | None:
        """An exact-output swap only limits what it takes."""
        return None if self.is_exact_input else "max"

    @property
    def bound_out(self) -> Bound | None:
        """An exact-input swap only promises a least amount."""
        return "min" if self.is_exact_input else None


def read_leg(values: Mapping[str, Value]) -> Leg | None:
    """One swap of a Uniswap router from its arguments, V2 and V3, all routers' spellings."""
    is_exact_input = "amountIn" in values
    tokens = _ends(values, is_exact_input)
    if tokens is None:
        return None
    names = (
        ("amountIn", ("amountOutMin", "amountOutMinimum"))
        if is_exact_input
        else ("amountOut", ("amountInMax", "amountInMaximum"))
    )
    fixed = int(str(values[names[0]]))
    limit = next((int(str(values[name])) for name in names[1] if name in values), 0)
    amount_in, amount_out = (fixed, limit) if is_exact_input else (limit, fixed)
    recipient = str(values.get("recipient", values.get("to", "")))
    return Leg(*tokens, amount_in, amount_out, is_exact_input, recipient)


def combine(legs: list[Leg]) -> Leg | None:
    """All legs as one, or None where they do not add up to one."""
    first, last = legs[0], legs[-1]
    if all((leg.token_in, leg.token_out) == (first.token_in, first.token_out) for leg in legs):
        if any(leg.is_exact_input != first.is_exact_input for leg in legs):
            return None
        return Leg(
            first.token_in,
            last.token_out,
            sum(leg.amount_in for leg in legs),
            sum(leg.amount_out for leg in legs),
            first.is_exact_input,
            last.recipient,
        )
    is_chain = all(a.token_out == b.token_in for a, b in pairwise(legs))
    if not is_chain or not all(leg.is_exact_input for leg in legs):
        return None
    return Leg(
        first.token_in, last.token_out, first.amount_in, last.amount_out, True, last.recipient
    )


def _ends(values: Mapping[str, Value], is_exact_input: bool) -> tuple[str, str] | None:
    if "tokenIn" in values:
        return str(values["tokenIn"]), str(values["tokenOut"])
    path = values.get("path")
    if isinstance(path, tuple):
        return (str(path[0]), str(path[-1])) if len(path) > 1 else None
    tokens = path_tokens(path) if path is not None else []
    if not tokens:
        return None
    first, last = "0x" + tokens[0], "0x" + tokens[-1]
    return (first, last) if is_exact_input else (last, first)  # exact output packs it backwards
