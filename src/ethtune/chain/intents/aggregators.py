"""Known swap aggregators and trading bots: the contract tells the trade, the flows the amounts.

On record something fungible must have gone and something fungible come; before that only calls
that the tables name a swap, or that say what they sell and buy, are trades for sure.
"""

from __future__ import annotations

from ethtune.chain.case import Case
from ethtune.chain.protocols import NATIVE
from ethtune.chain.signatures import promises
from ethtune.chain.trades import Trade, read_trade
from ethtune.core.intent import Intent, Movement
from ethtune.core.transaction import UINT256_MAX

_SWAPS = ("swap", "unoswap", "sell", "transformERC20", "multiplex", "uniswapV3Swap", "ethUnoswap")

_ORDER = "createOrder"  # ether handed over; what it buys comes in another transaction
_SETTLEMENT = "settle"  # a solver's, of what others ordered


def swap(case: Case) -> Intent | None:
    """A trade through an aggregator on the list."""
    contract = case.contract
    if contract is None or contract.role != "aggregator" or case.call.function == _SETTLEMENT:
        return None
    if case.call.function == _ORDER:
        ether = case.movement(NATIVE, case.call.value_wei)
        return case.intent("deposit", contract.protocol, sent=[ether])
    trade = read_trade(case.call)
    if case.is_settled:
        return _settled(case, contract.protocol, trade)
    return planned_trade(case, contract.protocol) if _is_trade(case, trade) else None


def planned_trade(case: Case, protocol: str | None) -> Intent:
    """What the calldata says will be sold and bought."""
    trade = read_trade(case.call)
    is_own = trade.payee in (None, case.actor)
    return case.intent(
        "swap",
        protocol,
        sent=_sold(case, trade),
        received=_bought(case, trade) if is_own else (),
        recipient=None if is_own else trade.payee,
    )


def _is_trade(case: Case, trade: Trade) -> bool:
    promise = promises().get(case.call.signature or "")
    if promise is not None:
        return promise.action == "swap"
    if (case.call.function or "").startswith(_SWAPS):
        return True
    return trade.sold is not None and trade.bought is not None


def _sold(case: Case, trade: Trade) -> list[Movement]:
    """The value where there is one: some add a fee to it, others name WETH in its place."""
    if case.call.value_wei:
        return [case.movement(NATIVE, case.call.value_wei)]
    if trade.sold in (None, NATIVE) or trade.sold_raw in (0, UINT256_MAX):
        return []
    return [case.movement(str(trade.sold), trade.sold_raw)]


def _bought(case: Case, trade: Trade) -> list[Movement]:
    return [case.movement(trade.bought, trade.least_raw, "min")] if trade.bought else []


def _settled(case: Case, protocol: str, trade: Trade) -> Intent | None:
    """Who else the calldata names may have got what was bought."""
    if not case.gave() or any(token_id is not None for _, token_id in case.net):
        return None
    if case.got():
        return case.intent("swap", protocol)
    payees = {move.to for move in case.transfers} - {case.actor, case.call.target}
    if trade.payee in payees:
        return case.intent("swap", protocol, recipient=trade.payee)
    return None
