"""Decoded arguments in, the bytes that an honest encoder makes of them out.

Decoders accept more than one encoding of the same values. A prompt may write values instead of
bytes only where the bytes are the one encoding that the values give back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eth_abi.abi import encode as encode_abi

from ethtune.core.abi import Parameter, grouped, parse_parameters
from ethtune.core.described import Argument
from ethtune.dataset.values import abi_value


def parameters_of(signature: str | None, arguments: Sequence[Argument]) -> Sequence[Parameter]:
    """Parameters of a call; without a signature every argument is one."""
    if signature is not None:
        return parse_parameters(signature)
    return [Parameter(argument.name, argument.type) for argument in arguments]


def encode_arguments(parameters: Sequence[Parameter], arguments: Sequence[Argument]) -> str:
    """Hex digits of the arguments under their parameters."""
    values = grouped(parameters, (abi_value(item.type, item.value) for item in arguments))
    return encode([parameter.type for parameter in parameters], values)


def encode(types: Sequence[str], values: Sequence[Any]) -> str:
    """ABI encoding in hex digits."""
    return encode_abi(types, values).hex()
