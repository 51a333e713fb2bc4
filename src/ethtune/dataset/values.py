"""Decoded arguments in, JSON values for the prompt out, and back to ABI-encoded bytes.

Texts are as short as the type allows, for the type is known on the way back: an amount of a known
token is ``12.5 USDC``, the greatest number of a type ``max``, a packed path ``WETH 500 USDC``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol, TypeAlias

from ethtune.core.abi import Parameter, split_types
from ethtune.core.described import Argument, Token, Value
from ethtune.core.packedcalls import PackedCall, pack_calls
from ethtune.core.units import unscale_amount
from ethtune.dataset.addresses import MAX, NATIVE, AddressNames
from ethtune.dataset.amounts import AmountUnits, packed_path
from ethtune.dataset.words import SELECTOR_BYTES, WORD_BYTES, read_blob, write_blob

Json: TypeAlias = "str | list[Json]"

_INTEGER = re.compile(r"(u?)int(\d+)").fullmatch
_ACCOUNTS = frozenset({"to", "recipient", "receiver", "spender", "operator", "onBehalfOf"})
_NUMBERED = "token"  # before an address that an interface writes as a number
_TOKENS = frozenset({"token", "srcToken", "fromToken"})
_ADDRESS_MIN, _ADDRESS_BITS = 1 << 104, 160  # a smaller one is more likely a number
_TYPES_KEPT = 4096
_array = lru_cache(_TYPES_KEPT)(re.compile(r"(.+)\[(\d*)\]").fullmatch)
_fields = lru_cache(_TYPES_KEPT)(split_types)
BATCH, SINGLE = "calls", "call"  # begin packed calls; no known function has these names
_BLOB_REMAINDERS = (0, SELECTOR_BYTES)
_BLOB_BYTES_MIN = WORD_BYTES + SELECTOR_BYTES


def address_in(abi_type: str, value: str) -> str | None:
    """The address that a number is: some interfaces write tokens so."""
    if not abi_type.startswith("uint") or not _ADDRESS_MIN <= int(value) < 1 << _ADDRESS_BITS:
        return None
    return f"0x{int(value):040x}"


class InnerCalls(Protocol):
    """The calls in the bytes of a call."""

    def write(self, data: str) -> Json | None:
        """The call that ``data`` is, None for other bytes."""

    def is_called(self, address: str) -> bool:
        """Whether one of them, with calldata, goes to this contract."""


class ValueWriter:
    """Writes the values of one call."""

    def __init__(
        self,
        names: AddressNames,
        units: AmountUnits,
        inner: InnerCalls | None = None,
    ) -> None:
        self._names = names
        self._units = units
        self._inner = inner

    def write(self, argument: Argument, members: Sequence[Parameter] = ()) -> Json:
        """JSON for one argument; ``members`` are the fields of the structs in it."""
        abi_type, value = argument.type, argument.value
        if not isinstance(value, str):
            return self._plain(abi_type, value, members)
        unit = self._units.of(argument)
        if unit is not None and not value.startswith("-") and int(value) != greatest(abi_type):
            return f"{unit.amount(int(value))} {self._names.write(unit.address)}"
        if argument.name in _TOKENS and (address := address_in(abi_type, value)):
            return f"{_NUMBERED} {self._names.write(address)}"
        if abi_type == "address" and argument.name in _ACCOUNTS:
            is_called = self._inner is not None and self._inner.is_called(value)
            return self._names.write(value) if is_called else self._names.write_account(value)
        if abi_type == "bytes" and (path := packed_path(value)):
            return " ".join(map(self._names.write, path))
        return self._plain(abi_type, value, members)

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
        if is_integer(abi_type):
            return MAX if int(value) == greatest(abi_type) else value
        if abi_type.startswith("bytes") and value.endswith("0000"):
            return "0x" + bytes.fromhex(value[2:]).rstrip(b"\x00").hex()
        return value

    def _struct(self, members: Sequence[Parameter], values: Sequence[Value]) -> Json:
        """Fields name the units of the amounts beside them as arguments do."""
        fields = tuple(
            Argument(member.name, member.type, value)
            for member, value in zip(members, values, strict=True)
        )
        writer = ValueWriter(self._names, self._units.of_struct(fields), self._inner)
        return [
            writer.write(field, member.members)
            for field, member in zip(fields, members, strict=True)
        ]

    def _bytes(self, value: str) -> Json:
        call = self._inner.write(value) if self._inner else None
        if call is not None:
            return call
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
        if is_integer(abi_type):
            return self._integer(abi_type, written)
        return _from_hex(written).ljust(int(abi_type[len("bytes") :]), b"\x00")

    def _integer(self, abi_type: str, written: str) -> int:
        if written == MAX:
            return greatest(abi_type)
        amount, _, unit = written.partition(" ")
        if not unit:
            return int(written)
        if amount == _NUMBERED:
            return int(self._address(unit), 16)
        address = self._names.read(unit)
        token = NATIVE if address == NATIVE.address else self._tokens[str(address)]
        return unscale_amount(amount, token.decimals or 0)

    def _bytes(self, written: Json) -> bytes:
        if isinstance(written, str):
            return self._path(written) if " " in written else _from_hex(written)
        if str(written[0]).startswith("0x"):
            return read_blob(written, self._names)
        if written[0] in (BATCH, SINGLE):
            return self._packed(written)
        if self._read_call is None:
            raise ValueError(f"{written[0]!r} is no selector")
        return self._read_call(written)

    def _packed(self, written: Sequence[Any]) -> bytes:
        if written[0] == SINGLE:
            to, value, data = written[1:]
            wei = self._integer("uint256", value).to_bytes(WORD_BYTES, "big")
            return bytes.fromhex(self._address(to)[2:]) + wei + self._bytes(data)
        return pack_calls(
            PackedCall(
                int(operation),
                self._address(to),
                self._integer("uint256", value),
                "0x" + self._bytes(data).hex(),
            )
            for operation, to, value, data in written[1:]
        )

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


@lru_cache(_TYPES_KEPT)
def is_integer(abi_type: str) -> bool:
    """Signed or not, of any width."""
    return _INTEGER(abi_type) is not None


@lru_cache(_TYPES_KEPT)
def greatest(abi_type: str) -> int:
    """The greatest value of an integer type."""
    match = _INTEGER(abi_type)
    assert match, abi_type
    return int((1 << (int(match[2]) - (not match[1]))) - 1)


def item_types(abi_type: str, count: int) -> Sequence[str]:
    """The types of the items of an array or tuple. Raises ValueError when it has not ``count``."""
    array = _array(abi_type)
    if not array and not abi_type.startswith("("):
        raise ValueError(f"{abi_type} has no items")
    types = (array[1],) * int(array[2] or count) if array else _fields(abi_type[1:-1])
    if len(types) != count:
        raise ValueError(f"{abi_type} has {len(types)} items, not {count}")
    return types
