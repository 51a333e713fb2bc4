"""Swaps by the pools they touch, whatever contract was called.

One asset left the actor and went into a pool, one asset came to the actor and came out of a pool,
and these pools report swaps. Ether counts as WETH, which is what pools hold. That is a swap for
sure, while a purchase of a vault's share or a position is not, for no pool pays those out.
"""

from __future__ import annotations

from ethtune.chain.case import Case
from ethtune.chain.protocols import NATIVE, WETH
from ethtune.chain.signatures import meaning_of
from ethtune.core.intent import Intent

_SWAPS = frozenset({"Swap", "TokenExchange", "TokenExchangeUnderlying", "LOG_SWAP"})


def swap(case: Case) -> Intent | None:
    """The general rule for trading bots, unlisted aggregators and pools called directly."""
    gave, got = case.gave(), case.got()
    if len(gave) != 1 or len(got) != 1 or not case.transfers:
        return None
    (sold, sold_id), (bought, bought_id) = gave[0], got[0]
    if sold_id is not None or bought_id is not None or sold == bought:
        return None
    pools = {event.address for event in case.described.events if event.name in _SWAPS}
    into = {item.token for item in case.transfers if item.to in pools}
    out_of = {item.token for item in case.transfers if item.sender in pools}
    if _in_pool(sold) not in into or _in_pool(bought) not in out_of:
        return None
    return case.intent("swap", _protocol(case))


def _in_pool(asset: str) -> str:
    return WETH if asset == NATIVE else asset


def _protocol(case: Case) -> str | None:
    """That of the called contract; of a pool that was called, the one that reports so."""
    if case.contract is not None:
        return case.contract.protocol
    for event in case.described.events:
        if event.name in _SWAPS and event.address == case.call.target:
            meaning = meaning_of(event)
            return meaning.protocol if meaning else None
    return None
