"""Decoded arguments in, JSON values for the prompt out, and back to ABI-encoded bytes.

Texts are as short as the type allows, for the type is known on the way back: an amount of a known
token is ``12.5 USDC``, the greatest number of a type ``max``, a packed path ``WETH 500 USDC``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from ethtune.core.abi import Parameter, split_types
from ethtune.core.described import Argument, Token, Value
from ethtune.core.units import unscale_amount
from ethtune.dataset.addresses import MAX, NATIVE, AddressNames
from ethtune.dataset.amounts import AmountUnits, packed_path
from ethtune.dataset.words import SELECTOR_BYTES, WORD_BYTES, read_blob, write_blob

Json: TypeAlias = "str | list[Json]"

_ARRAY = re.compile(r"(.+)\[(\d*)\]").fullmatch
_INTEGER = re.compile(r"(u?)int(\d+)").fullmatch
_ACCOUNTS = frozenset({"to", "recipient", "receiver", "spender", "operator", "onBehalfOf"})
_BLOB_REMAINDERS = (0, SELECTOR_BYTES)
_BLOB_BYTES_MIN = WORD_BYTES + SELECTOR_BYTES


class ValueWriter:
    """Writes the values of one call."""

    def __init__(self, names: AddressNames, units: AmountUnits) -> None:
        self._names = names
        self._units = units

    def write(self, argument: Argument, members: Sequence[Parameter] = ()) -> Json:
        """JSON for one argument; ``members`` are the fields of the structs in it."""
        unit = self._units.of(argument)
        if unit is not None and isinstance(argument.value, str):
            number = int(argument.value)
            if number >= 0 and number != greatest(argument.type):
                return f"{unit.amount(number)} {self._names.write(unit.address)}"
        if argument.type == "address" and argument.name in _ACCOUNTS:
            return self._names.write_account(str(argument.value))
        if argument.type == "bytes" and (path := packed_path(str(argument.value))):
            return " ".join(self._names.write(part) for part in path)
        return self._plain(argument.type, argument.value, members)

    def _plain(self, abi_type: str, value: Value, members: Sequence[Parameter] = ()) -> Json:
        if not isinstance(value, str):
            if members and abi_type.endswith(")"):
                return self._struct(members, value)
            types = item_types(abi_type, len(value))
            return [self._plain(*pair, members) for pair in zip(types, value, strict=True)]
        if abi_type == "address":
            return self._names.write(value)
        if abi_type == "bytes":
            return self._bytes(value)
        if _INTEGER(abi_type) and int(value) == greatest(abi_type):
            return MAX
        if abi_type.startswith("bytes") and value.endswith("0000"):
            return "0x" + bytes.fromhex(value[2:]).rstrip(b"\x00").hex()
        return value

    def _struct(self, members: Sequence[Parameter], values: Sequence[Value]) -> Json:
        """Fields name the units of the amounts beside them as arguments do."""
        fields = tuple(
            Argument(member.name, member.type, value)
            for member, value in zip(members, values, strict=True)
        )
        writer = ValueWriter(self._names, self._units.of_struct(fields))
        return [
            writer.write(field, member.members)
            for field, member in zip(fields, members, strict=True)
        ]

    def _bytes(self, value: str) -> Json:
        data = bytes.fromhex(value[2:])
        if len(data) < _BLOB_BYTES_MIN or len(data) % WORD_BYTES not in _BLOB_REMAINDERS:
            return value
        return write_blob(data, self._names)


class ValueReader:
    """Reads what ValueWriter wrote. ``read_call`` turns a named inner call into bytes."""

    def __init__(
        self,
        names: AddressNames,
        tokens: Mapping[str, Token],
        read_call: Callable[[list[Any]], bytes] | None = None,
    ) -> None:
        self._names = names
        self._tokens = tokens
        self._read_call = read_call

    def read(self, abi_type: str, written: Json) -> Any:
        """The value as ``eth_abi.encode`` takes it. Raises ValueError for foreign text."""
        if abi_type == "bytes":
            return self._bytes(written)
        if isinstance(written, list):
            types = item_types(abi_type, len(written))
            return [self.read(*pair) for pair in zip(types, written, strict=True)]
        if abi_type == "bool":
            return {"true": True, "false": False}[written]
        if abi_type == "string":
            return written
        if abi_type == "address":
            return self._address(written)
        return self._number_or_bytes(abi_type, written)

    def _address(self, written: str) -> str:
        address = self._names.read(written)
        if address is None:
            raise ValueError(f"{written!r} names no address")
        return address

    def _number_or_bytes(self, abi_type: str, written: str) -> int | bytes:
        if _INTEGER(abi_type):
            return self._integer(abi_type, written)
        return _from_hex(written).ljust(int(abi_type[len("bytes") :]), b"\x00")

    def _integer(self, abi_type: str, written: str) -> int:
        if written == MAX:
            return greatest(abi_type)
        amount, _, unit = written.partition(" ")
        if not unit:
            return int(written)
        address = self._names.read(unit)
        token = NATIVE if address == NATIVE.address else self._tokens[str(address)]
        return unscale_amount(amount, token.decimals or 0)

    def _bytes(self, written: Json) -> bytes:
        if isinstance(written, str):
            return self._path(written) if " " in written else _from_hex(written)
        if str(written[0]).startswith("0x"):
            return read_blob(written, self._names)
        if self._read_call is None:
            raise ValueError(f"{written[0]!r} is no selector")
        return self._read_call(written)

    def _path(self, written: str) -> bytes:
        parts = written.split()
        return b"".join(
            int(part).to_bytes(3, "big")
            if index % 2
            else bytes.fromhex(str(self._names.read(part))[2:])
            for index, part in enumerate(parts)
        )


def _from_hex(written: str) -> bytes:
    if not written.startswith("0x"):
        raise ValueError(f"{written!r} is no hex")
    return bytes.fromhex(written[2:])


def greatest(abi_type: str) -> int:
    """The greatest value of an integer type."""
    match = _INTEGER(abi_type)
    assert match, abi_type
    return int((1 << (int(match[2]) - (not match[1]))) - 1)


def item_types(abi_type: str, count: int) -> Sequence[str]:
    """The types of the items of an array or tuple. Raises ValueError when it has not ``count``."""
    array = _ARRAY(abi_type)
    if not array and not abi_type.startswith("("):
        raise ValueError(f"{abi_type} has no items")
    types = [array[1]] * int(array[2] or count) if array else split_types(abi_type[1:-1])
    if len(types) != count:
        raise ValueError(f"{abi_type} has {len(types)} items, not {count}")
    return types


def abi_value(abi_type: str, value: Value) -> Any:
    """A decoded value as ``eth_abi.encode`` takes it."""
    if not isinstance(value, str):
        types = item_types(abi_type, len(value))
        return [abi_value(*pair) for pair in zip(types, value, strict=True)]
    if _INTEGER(abi_type):
        return int(value)
    if abi_type == "bool":
        return value == "true"
    return bytes.fromhex(value[2:]) if abi_type.startswith("bytes") else value
