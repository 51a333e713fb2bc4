"""The tokens that sample traffic moves: a table of facts in, records out."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib.resources import files

PICO = 10**12


@dataclass(frozen=True, slots=True)
class SampleToken:
    """``approves_after``: its transferFrom logs the remaining allowance after the Transfer."""

    address: str
    symbol: str
    name: str
    decimals: int
    price_pico_usd: int  # of one whole token, an integer so that no platform rounds differently
    approves_after: bool

    def raw(self, usd_cents: int) -> int:
        """Smallest units worth that many cents, at least one."""
        units_per_token: int = 10**self.decimals
        return max(1, usd_cents * (PICO // 100) * units_per_token // self.price_pico_usd)


@cache
def tokens() -> dict[str, SampleToken]:
    """Every token by its symbol, which is unique here."""
    text = (files("ethtune.assets") / "sample" / "tokens.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    return {
        row["symbol"]: SampleToken(
            address=row["address"],
            symbol=row["symbol"],
            name=row["name"],
            decimals=int(row["decimals"]),
            price_pico_usd=int(Decimal(row["price_usd"]) * PICO),
            approves_after=row["approves_after"] == "1",
        )
        for row in rows
    }
