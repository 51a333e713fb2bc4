"""The calldata of an NFT market in, what its caller would give and get out.

Only what the orders name for sure: fixed prices, single orders, items that are not left open. A
caller that several orders are offered to may get fewer of them, so it is the value that limits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ethtune.chain.case import Case
from ethtune.chain.flows import ZERO_ADDRESS, Asset
from ethtune.chain.protocols import NATIVE
from ethtune.core.described import Value
from ethtune.core.intent import Movement

_FIRST_TOKEN_ORDER, _FIRST_BID = 8, 16  # Seaport's BasicOrderType: below 8 the buyer pays ether
_ETHER, _ERC20, _LAST_NFT = 0, 1, 3  # Seaport's ItemType; above are items left open
_OFFER, _CONSIDERATION = 2, 3  # fields of Seaport's OrderParameters


@dataclass(frozen=True, slots=True)
class Terms:
    """What the caller gives and gets; ``payee`` gets it where that is not the caller."""

    sent: tuple[Movement, ...] = ()
    received: tuple[Movement, ...] = ()
    payee: str | None = None


def read_terms(case: Case) -> Terms:
    """The terms of the call, as far as they are certain."""
    needed, read = _READERS.get(case.call.function or "", ("", _several))
    terms = read(case) if needed in case.call.arguments else None
    return terms or _several(case)


def _basic_order(case: Case) -> Terms:
    """Of a bid the others named are paid first."""
    call = case.call
    order_type = call.number("basicOrderType")
    others = sum(int(str(item[0])) for item in call.arguments["additionalRecipients"])
    offered, asked = (
        (call.text(f"{side}Token"), call.number(f"{side}Amount"), call.text(f"{side}Identifier"))
        for side in ("offer", "consideration")
    )
    if order_type >= _FIRST_BID:
        money = case.movement(offered[0], max(0, offered[1] - others))
        return Terms((case.movement(asked[0], asked[1], token_id=asked[2]),), (money,))
    price = case.movement(
        NATIVE if order_type < _FIRST_TOKEN_ORDER else asked[0], asked[1] + others
    )
    return Terms((price,), (case.movement(offered[0], offered[1], token_id=offered[2]),))


def _order(case: Case) -> Terms | None:
    """One order of Seaport: its offer against everything it asks for."""
    arguments = case.call.arguments
    if arguments.get("numerator") != arguments.get("denominator"):
        return None  # a part of it
    parameters = arguments["parameters"]
    chosen = {
        (str(item[1]), str(item[2])): str(item[3])
        for item in arguments.get("criteriaResolvers", ())
    }
    net: Counter[Asset] = Counter()
    for side, sign in ((_OFFER, 1), (_CONSIDERATION, -1)):
        for place, item in enumerate(parameters[side]):
            asset = _asset(item, chosen.get((str(side - _OFFER), str(place))))
            if asset is None or item[3] != item[4]:
                return None
            net[asset] += sign * int(str(item[3]))
    payee = str(arguments.get("recipient", ZERO_ADDRESS))
    is_own = payee in (ZERO_ADDRESS, case.actor)
    return Terms(
        tuple(_movements(case, net, -1)),
        tuple(_movements(case, net, 1)) if is_own else (),
        None if is_own else payee,
    )


def _asset(item: Sequence[Value], chosen: str | None) -> Asset | None:
    kind, token, identifier = int(str(item[0])), str(item[1]), str(item[2])
    if kind == _ETHER:
        return NATIVE, None
    if kind == _ERC20:
        return token, None
    if kind > _LAST_NFT:
        return (token, chosen) if chosen is not None else None
    return token, identifier


def _movements(case: Case, net: Mapping[Asset, int], sign: int) -> Iterator[Movement]:
    for (asset, token_id), amount in net.items():
        if amount * sign > 0:
            yield case.movement(asset, abs(amount), token_id=token_id)


def _several(case: Case) -> Terms:
    return Terms((case.movement(NATIVE, case.call.value_wei, "max"),))


def _blur(case: Case) -> Terms:
    """The buyer's order names both sides; a seller's proceeds depend on fees."""
    order, offer = case.call.arguments["buyOrder"], case.call.arguments["sellOrder"]
    buyer, price = str(order[0]), str(order[7])
    collection, token_id = str(offer[3]), str(offer[4])  # a bid may be for any of a collection
    nft = case.movement(collection, 1, token_id=token_id)
    if buyer != case.actor:
        return Terms((nft,))
    token = str(order[6])
    asset = NATIVE if token == ZERO_ADDRESS else token
    return Terms((case.movement(asset, int(price)),), (nft,))


def _wyvern(case: Case) -> Terms | None:
    """At fixed prices the value is spent; an auction returns a part of it."""
    kinds = case.call.arguments["feeMethodsSidesKindsHowToCalls"]
    if {kinds[2], kinds[6]} != {"0"}:
        return None
    return Terms((case.movement(NATIVE, case.call.value_wei),))


def _blur_single(case: Case) -> Terms:
    """One listing bought with ether, or one bid accepted."""
    call = case.call
    collection = str(call.arguments["order"][1])
    token_id, amount = (str(item) for item in call.arguments["exchange"][3])
    nft = case.movement(collection, int(amount), token_id=token_id)
    if call.function == "takeBidSingle":
        return Terms((nft,))
    payee = call.text("tokenRecipient")
    price = (case.movement(NATIVE, call.value_wei),) if call.value_wei else ()
    return Terms(price, (nft,)) if payee == case.actor else Terms(price, (), payee)


def _looksrare(case: Case) -> Terms:
    """The maker's order says what for which money."""
    call = case.call
    nft = case.movement(
        call.text("collection"), call.number("amount"), token_id=call.text("tokenId")
    )
    if call.text("isOrderAsk") == "false":  # the maker bids
        return Terms((nft,))
    asset = NATIVE if call.value_wei else call.text("currency")
    return Terms((case.movement(asset, call.number("price")),), (nft,))


# function → an argument that tells it from others of that name, and its reader
_READERS: Mapping[str, tuple[str, Callable[[Case], Terms | None]]] = {
    "fulfillBasicOrder": ("basicOrderType", _basic_order),
    "fulfillBasicOrder_efficient_6GL6yc": ("basicOrderType", _basic_order),
    "fulfillOrder": ("parameters", _order),
    "fulfillAdvancedOrder": ("parameters", _order),
    "fulfillAvailableOrders": ("orders", _several),
    "fulfillAvailableAdvancedOrders": ("advancedOrders", _several),
    "execute": ("buyOrder", _blur),
    "atomicMatch_": ("feeMethodsSidesKindsHowToCalls", _wyvern),
    "takeAskSingle": ("exchange", _blur_single),
    "takeAskSinglePool": ("exchange", _blur_single),
    "takeBidSingle": ("exchange", _blur_single),
    "matchAskWithTakerBidUsingETHAndWETH": ("isOrderAsk", _looksrare),
    "matchAskWithTakerBid": ("isOrderAsk", _looksrare),
    "matchBidWithTakerAsk": ("isOrderAsk", _looksrare),
}
