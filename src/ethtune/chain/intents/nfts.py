"""NFTs bought, sold and minted: told by what moved, before that by calls of known markets."""

from __future__ import annotations

from ethtune.chain.case import Case
from ethtune.chain.flows import ZERO_ADDRESS
from ethtune.chain.protocols import NATIVE, protocol_of
from ethtune.chain.signatures import meaning_of
from ethtune.core.intent import Intent, Movement

_ORDERS = (
    "fulfillBasicOrder",
    "fulfillBasicOrder_efficient_6GL6yc",
    "fulfillOrder",
    "fulfillAdvancedOrder",
    "fulfillAvailableOrders",
    "fulfillAvailableAdvancedOrders",
    "matchAdvancedOrders",
    "atomicMatch_",
)
_FIRST_TOKEN_ORDER, _FIRST_BID = 8, 16  # Seaport's BasicOrderType: below 8 the buyer pays ether


def trade(case: Case) -> Intent | None:
    """On a known market an NFT goes one way and something fungible the other."""
    if not case.is_settled:
        return _order(case)
    nfts = [amount > 0 for (_, token_id), amount in case.net.items() if token_id is not None]
    money = [amount > 0 for (_, token_id), amount in case.net.items() if token_id is None]
    if not nfts or not money or len({*nfts}) != 1 or {*nfts} == {*money} or len({*money}) != 1:
        return None
    markets = set(_markets(case))
    if case.has_role("market") and case.contract is not None:
        return case.intent("nft_trade", case.contract.protocol)
    return case.intent("nft_trade", markets.pop()) if len(markets) == 1 else None


def _order(case: Case) -> Intent | None:
    call, contract = case.call, case.contract
    if contract is None or contract.role != "market":
        return None
    if call.function not in _ORDERS and not call.value_wei:
        return None  # markets are also told to cancel, never with ether
    if "basicOrderType" in call.arguments:
        sent, received = _basic_order(case)
    else:
        sent, received = [case.movement(NATIVE, call.value_wei)], []
    return case.intent("nft_trade", contract.protocol, sent=sent, received=received)


def _basic_order(case: Case) -> tuple[list[Movement], list[Movement]]:
    """What the caller gives and gets; of a bid the others named are paid first."""
    call = case.call
    order_type = call.number("basicOrderType")
    others = sum(int(str(item[0])) for item in call.arguments["additionalRecipients"])
    offered, asked = (
        (call.text(f"{side}Token"), call.number(f"{side}Amount"), call.text(f"{side}Identifier"))
        for side in ("offer", "consideration")
    )
    if order_type >= _FIRST_BID:
        money = case.movement(offered[0], max(0, offered[1] - others))
        return [case.movement(asked[0], asked[1], token_id=asked[2])], [money]
    price = (
        case.movement(NATIVE, call.value_wei)
        if order_type < _FIRST_TOKEN_ORDER
        else case.movement(asked[0], asked[1] + others)
    )
    return [price], [case.movement(offered[0], offered[1], token_id=offered[2])]


def _markets(case: Case) -> list[str]:
    if case.described.transaction.chain_id != 1:
        return []
    found = (
        protocol_of(event.address, 1) or meaning.protocol
        for event in case.described.events
        if (meaning := meaning_of(event)) is not None and meaning.action == "nft_trade"
    )
    return [market for market in found if market is not None]


def mint(case: Case) -> Intent | None:
    """All the actor got are NFTs that did not exist before; paid for or not."""
    got = set(case.got())
    if not got or any(token_id is None for _, token_id in got):
        return None
    if any(token_id is not None for _, token_id in case.gave()):
        return None
    born = {
        (item.token, item.token_id)
        for item in case.transfers
        if item.sender == ZERO_ADDRESS and item.to == case.actor
    }
    if not got <= born or {token for token, _ in got} != {case.call.target}:
        return None
    standards = {event.name for event in case.described.events if event.address == case.call.target}
    is_multi = bool(standards & {"TransferSingle", "TransferBatch"})
    return case.intent("mint", "erc1155" if is_multi else "erc721")
