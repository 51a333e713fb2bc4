"""A predicted intent and its transaction in, what needs no model joined out.

The model names assets and amounts; addresses, decimals, raw amounts, the fee and the block follow
from the transaction and the token list, and are never asked of a model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ethtune.core.described import DescribedTransaction, Token
from ethtune.core.intent import UNLIMITED, Intent, Movement
from ethtune.core.transaction import Transaction
from ethtune.core.units import scale_amount, unscale_amount

_ETHER = "ETH"
_ETHER_DECIMALS = 18
_MOVEMENT_KEYS = ("sent", "received", "approved")


def resolved_intent(intent: Intent, described: DescribedTransaction) -> dict[str, Any]:
    """The intent's keys in its order, every movement resolved as far as the token list goes."""
    tokens = {token.asset: token for token in described.tokens.values()}
    record: dict[str, Any] = {}
    for key, value in intent.as_dict().items():
        if key in _MOVEMENT_KEYS:
            record[key] = [_resolved(movement, tokens) for movement in getattr(intent, key)]
        else:
            record[key] = value
    return record


def transaction_facts(transaction: Transaction) -> dict[str, Any]:
    """What is true of a transaction whatever it means; unknown facts are absent.

    ``fee_eth`` is an exact decimal string.
    """
    facts: dict[str, Any] = {
        "hash": transaction.hash,
        "chain_id": transaction.chain_id,
        "block_number": transaction.block_number,
        "timestamp": transaction.timestamp,
        "from": transaction.sender,
        "to": transaction.to,
        "fee_eth": _fee_eth(transaction),
    }
    return {key: value for key, value in facts.items() if value is not None}


def _fee_eth(transaction: Transaction) -> str | None:
    if transaction.gas_used is None or transaction.gas_price_wei is None:
        return None
    return scale_amount(transaction.gas_used * transaction.gas_price_wei, _ETHER_DECIMALS)


def _resolved(movement: Movement, tokens: Mapping[str, Token]) -> dict[str, Any]:
    """The movement, with the token's address and decimals and the raw amount where known."""
    address, decimals = _token(movement.asset, tokens)
    facts = {
        "address": address,
        "decimals": decimals,
        "raw_amount": _raw_amount(movement.amount, decimals),
    }
    known = {key: value for key, value in facts.items() if value is not None}
    return movement.as_dict() | known


def _token(asset: str, tokens: Mapping[str, Token]) -> tuple[str | None, int | None]:
    if asset == _ETHER:
        return None, _ETHER_DECIMALS
    token = tokens.get(asset)
    if token is not None:
        return token.address, token.decimals
    return (asset if asset.startswith("0x") else None), None


def _raw_amount(amount: str | None, decimals: int | None) -> str | None:
    """None for "unlimited" and for an amount with more digits than the token has."""
    if amount is None or amount == UNLIMITED:
        return None
    try:
        return str(unscale_amount(amount, decimals or 0))
    except ValueError:
        return None
