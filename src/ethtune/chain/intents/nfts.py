"""NFTs bought, sold and minted: told by what moved, before that by calls of known markets."""

from __future__ import annotations

from ethtune.chain.case import Case
from ethtune.chain.flows import ZERO_ADDRESS
from ethtune.chain.intents.orders import read_terms
from ethtune.chain.protocols import NATIVE, contracts, protocol_of
from ethtune.chain.signatures import meaning_of, promises
from ethtune.core.intent import Intent

_ORDERS = ("fulfill", "matchAdvancedOrders", "matchOrders", "atomicMatch_")


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
    """Markets are also told to cancel, never with ether."""
    call, contract = case.call, case.contract
    if contract is None or contract.role != "market":
        return None
    promise = promises().get(call.signature or "")
    is_named = promise is not None and promise.action == "nft_trade"
    if not (is_named or call.value_wei or (call.function or "").startswith(_ORDERS)):
        return None
    terms = read_terms(case)
    return case.intent(
        "nft_trade",
        contract.protocol,
        sent=terms.sent,
        received=terms.received,
        recipient=terms.payee,
    )


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
    """All the actor got are NFTs of the called contract that did not exist before."""
    tokens = _born(case)
    return _mint(case, tokens) if tokens == {case.call.target} else None


def mint_elsewhere(case: Case) -> Intent | None:
    """The same through a contract that sells them, for ether if at all, of no known protocol."""
    is_sale = all(token == NATIVE for token, _ in case.gave())
    tokens = _born(case)
    if len(tokens) != 1 or not is_sale or not tokens.isdisjoint(contracts()):
        return None
    return _mint(case, tokens)


def _born(case: Case) -> set[str]:
    """Contracts of the NFTs that the actor got, if they all are new and none was given."""
    got = set(case.got())
    if not got or any(token_id is None for _, token_id in got):
        return set()
    if any(token_id is not None for _, token_id in case.gave()):
        return set()
    born = {
        (item.token, item.token_id)
        for item in case.transfers
        if item.sender == ZERO_ADDRESS and item.to == case.actor
    }
    return {token for token, _ in got} if got <= born else set()


def _mint(case: Case, tokens: set[str]) -> Intent:
    names = {event.name for event in case.described.events if event.address in tokens}
    is_multi = bool(names & {"TransferSingle", "TransferBatch"})
    return case.intent("mint", "erc1155" if is_multi else "erc721")
