"""Who gained what: token transfers read from events, and the net of one account.

WETH is minted and burned without a Transfer event, so its Deposit and Withdrawal stand for one.
Ether itself is in no log; ``payouts`` tells the part that follows from known contracts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ethtune.chain.protocols import CRYPTOPUNKS, NATIVE, WETH
from ethtune.core.described import DecodedEvent, DescribedTransaction, Value

ZERO_ADDRESS = "0x" + "0" * 40
Asset = tuple[str, "str | None"]  # address or "ETH", and the id of an NFT


class Transfer(NamedTuple):
    """``amount`` raw units of an asset from one account to another."""

    token: str
    sender: str
    to: str
    amount: int
    token_id: str | None = None


def token_transfers(described: DescribedTransaction) -> tuple[Transfer, ...]:
    """Every transfer the logs report, in order."""
    is_mainnet = described.transaction.chain_id == 1
    return tuple(
        transfer
        for event in described.events
        if event.name is not None
        for transfer in _transfers(event, described, is_mainnet)
    )


def net_flows(actor: str, transfers: Iterable[Transfer]) -> dict[Asset, int]:
    """What ``actor`` gained (positive) or gave (negative) of each asset; nothing where zero."""
    net: dict[Asset, int] = {}
    for token, sender, to, amount, token_id in transfers:
        if sender != to and actor in (sender, to):
            key = (token, token_id)
            net[key] = net.get(key, 0) + (amount if to == actor else -amount)
    return {asset: amount for asset, amount in net.items() if amount}


def ether(sender: str, to: str, value_wei: int) -> Transfer:
    """A move of native ether."""
    return Transfer(NATIVE, sender, to, value_wei)


def _transfers(
    event: DecodedEvent, described: DescribedTransaction, is_mainnet: bool
) -> Iterator[Transfer]:
    values = [argument.value for argument in event.arguments]
    if event.address == CRYPTOPUNKS and is_mainnet:
        yield from _punk(event)
    elif event.name == "Transfer":
        yield from _plain_transfer(event, described)
    elif event.name == "TransferSingle":
        _, sender, to, token_id, amount = map(str, values)
        yield Transfer(event.address, sender, to, int(amount), token_id)
    elif event.name == "TransferBatch":
        yield from _batch(event.address, values)
    elif event.address == WETH and is_mainnet and event.name in ("Deposit", "Withdrawal"):
        account, amount = map(str, values)
        sides = (ZERO_ADDRESS, account) if event.name == "Deposit" else (account, ZERO_ADDRESS)
        yield Transfer(WETH, *sides, int(amount))


def _punk(event: DecodedEvent) -> Iterator[Transfer]:
    """Older than any standard: its Transfer counts punks, only its own events tell which."""
    values = {argument.name: str(argument.value) for argument in event.arguments}
    if event.name == "PunkTransfer":
        yield Transfer(event.address, values["from"], values["to"], 1, values["punkIndex"])
    elif event.name == "PunkBought":
        sides = values["fromAddress"], values["toAddress"]
        yield Transfer(event.address, *sides, 1, values["punkIndex"])


def _plain_transfer(event: DecodedEvent, described: DescribedTransaction) -> Iterator[Transfer]:
    """Early tokens do not index their ids: then the token is known, or its call tells."""
    sender, to, number = (str(argument.value) for argument in event.arguments)
    token = described.tokens.get(event.address)
    name = event.arguments[2].name
    is_known = token is not None and token.kind == "erc721"
    is_nft = is_known or _is_called_for_nfts(event, described)
    if name == "tokenId" or is_nft:
        yield Transfer(event.address, sender, to, 1, number)
    elif name == "value" or (token is not None and name == "number"):
        yield Transfer(event.address, sender, to, int(number))


def _is_called_for_nfts(event: DecodedEvent, described: DescribedTransaction) -> bool:
    """``safeTransferFrom`` is a function of ERC-721 alone, and of ERC-1155, which reports more."""
    is_called = event.address == described.transaction.to
    return is_called and described.function == "safeTransferFrom"


def _batch(token: str, values: list[Value]) -> Iterator[Transfer]:
    _, sender, to, token_ids, amounts = values
    if len(token_ids) == len(amounts):
        for token_id, amount in zip(token_ids, amounts, strict=True):
            yield Transfer(token, str(sender), str(to), int(str(amount)), str(token_id))
