"""Decoded arguments in, the bytes that an honest encoder makes of them out.

Decoders accept more than one encoding of the same values. A prompt may write values instead of
bytes only where the bytes are the one encoding that the values give back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from eth_abi.abi import encode as encode_abi

from ethtune.core.described import Argument
from ethtune.dataset.values import abi_value

_WORD_DIGITS = 64


def encodings(arguments: Sequence[Argument]) -> Iterator[str]:
    """Hex digits of the arguments as a list, and as the fields of the one struct they may be."""
    types = [argument.type for argument in arguments]
    values = [abi_value(argument.type, argument.value) for argument in arguments]
    flat = encode(types, values)
    yield flat
    if len(flat) > _WORD_DIGITS * len(types):  # only a struct with tails is encoded differently
        yield encode([f"({','.join(types)})"], [values])


def encode(types: Sequence[str], values: Sequence[Any]) -> str:
    """ABI encoding in hex digits."""
    return encode_abi(types, values).hex()
