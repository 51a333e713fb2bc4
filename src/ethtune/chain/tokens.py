"""Which token an address is: the built-in list and the user's own lists.

The address is the key; symbols repeat and lie. A symbol may stand for its token only when no other
known token has it, whatever the case of the letters; built-in tokens keep theirs against any user
list, and nothing takes "ETH". A token whose symbol is not its own is written as its address with
its amount still scaled; without known decimals the amount is raw.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, cast, get_args

from ethtune.chain.signatures import read_asset
from ethtune.chain.sources.files import first_rows, read_rows, syntax_of
from ethtune.chain.sources.records import Numbered, Rejected
from ethtune.core.described import Token, TokenKind
from ethtune.core.errors import DataError

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}").fullmatch
_SYMBOL = re.compile(r"(?!0x)[!#-&(-\[\]-~]{1,24}").fullmatch  # printable; no quote, no backslash
_HINT = "a token list is CSV, JSON or Parquet with address, symbol, decimals and perhaps kind"
_MAX_DECIMALS = 77  # more digits than a 256-bit number has


class TokenRegistry:
    """Known tokens of one chain by lower-case address."""

    def __init__(self, tokens: Iterable[Token] = (), *, chain_id: int = 1) -> None:
        self.chain_id = chain_id
        built_in = built_in_tokens() if chain_id == 1 else {}
        known = dict(built_in)
        for token in tokens:
            known.setdefault(token.address, token)
        shared = Counter(token.symbol.lower() for token in known.values())
        reserved = {token.symbol.lower() for token in built_in.values()}
        self._tokens = {
            address: replace(
                token,
                name_is_unique=address in built_in
                or (shared[token.symbol.lower()] == 1 and token.symbol.lower() not in reserved),
            )
            for address, token in known.items()
        }
        self._words = {address[2:]: token for address, token in self._tokens.items()}

    @classmethod
    def with_files(cls, paths: Iterable[Path], *, chain_id: int = 1) -> TokenRegistry:
        """Built-in tokens and those of the user's files, the first mention of an address wins."""
        return cls((token for path in paths for token in read_tokens(path)), chain_id=chain_id)

    def get(self, address: str) -> Token | None:
        """The token at a lower-case ``0x`` address."""
        return self._tokens.get(address)

    def among(self, digits: Iterable[str]) -> dict[str, Token]:
        """Known tokens whose 40 hex digits occur in ``digits``, by address, in fixed order."""
        found = (self._words[item] for item in sorted(self._words.keys() & set(digits)))
        return {token.address: token for token in found}

    def __len__(self) -> int:
        return len(self._tokens)


@cache
def built_in_tokens() -> Mapping[str, Token]:
    """Well-known mainnet tokens."""
    rows = read_asset("tokens.csv")
    return {
        address: Token(address, symbol, int(decimals) if decimals else None, cast(TokenKind, kind))
        for address, symbol, decimals, kind in rows
    }


def read_tokens(path: Path) -> Iterator[Token]:
    """Tokens of a CSV (ethereum-etl ``tokens.csv``), JSON or Parquet file, plain, .gz or .zst.

    Rows with an unusable symbol are left out, for such a token is as good as unknown; a row
    without an address, or a file of another kind, is a DataError.
    """
    syntax = syntax_of(path)
    first = first_rows(path, syntax, 1) if syntax else []
    if syntax is None or not any(
        "address" in row.fields for row in first if isinstance(row, Numbered)
    ):
        raise DataError(f"{path}: cannot be read as a token list: no addresses in it", hint=_HINT)
    for row in read_rows(path, syntax):
        if isinstance(row, Rejected):
            raise DataError(f"{row.where}: cannot be read as a token: {row.reason}", hint=_HINT)
        token = _token(row.fields, row.where)
        if token is not None:
            yield token


def _token(fields: Mapping[str, Any], place: str) -> Token | None:
    address = fields.get("address")
    if isinstance(address, bytes):
        address = "0x" + address.hex()
    if not isinstance(address, str) or not _ADDRESS(address):
        raise DataError(
            f"{place}: address is {str(address)[:80]!r}, expected 0x and 40 hex digits", hint=_HINT
        )
    symbol = fields.get("symbol")
    if not isinstance(symbol, str) or not _SYMBOL(symbol):
        return None
    kind = fields.get("kind")
    return Token(
        address.lower(),
        symbol,
        _decimals(fields.get("decimals")),
        cast(TokenKind, kind) if kind in get_args(TokenKind) else "erc20",
    )


def _decimals(value: object) -> int | None:
    text = str(value)
    if not text.isascii() or not text.isdigit() or int(text[:9]) > _MAX_DECIMALS:
        return None
    return int(text)
