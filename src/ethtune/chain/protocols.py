"""Which protocol a well-known contract belongs to and what part it plays there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from ethtune.chain.signatures import read_asset

WETH = "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2"
CRYPTOPUNKS = "0xb47e3cd837ddf8e4c57f05d70ab865de6e193bbb"
NATIVE = "ETH"


@dataclass(frozen=True, slots=True)
class Contract:
    """A mainnet contract: its protocol's slug, its role within it, its name for people."""

    address: str
    protocol: str
    role: str
    name: str


@cache
def contracts() -> dict[str, Contract]:
    """Well-known contracts by address."""
    return {row[0]: Contract(*row) for row in read_asset("contracts.csv")}


def protocol_of(address: str, chain_id: int) -> str | None:
    """Slug of a well-known contract."""
    contract = contracts().get(address) if chain_id == 1 else None
    return contract.protocol if contract else None


@cache
def protocols() -> dict[str, str]:
    """Every slug an intent may name, with the protocol's name for people."""
    text = (files("ethtune.assets") / "chain" / "protocols.json").read_text(encoding="utf-8")
    return dict(json.loads(text))
