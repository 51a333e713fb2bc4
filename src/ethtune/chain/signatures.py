"""Known functions, events and router commands: from selector or topic to names and types.

The tables in ``assets/chain`` hold signatures as Solidity writes them, with the hash that finds
them; the tests recompute every hash. A struct argument stands for its fields, one level deep.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from ethtune.chain.calldata import Codec, LayoutMismatch, compile_type, decode_fields, split_types
from ethtune.core.described import Argument, Value

_ARRAY_SUFFIX = re.compile(r"(?:\[\d*\])*")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument; ``fields`` are the (name, type) pairs of a struct that is no array."""

    name: str
    type: str
    is_indexed: bool = False
    fields: tuple[tuple[str, str], ...] = ()

    def arguments(self, value: Value) -> Iterator[Argument]:
        """The value under its name, a struct under the names of its fields."""
        if not self.fields:
            yield Argument(self.name, self.type, value)
            return
        for (name, abi_type), item in zip(self.fields, value, strict=True):
            yield Argument(name, abi_type, item)


@dataclass(frozen=True, slots=True)
class Signature:
    """A function, event or command with its compiled layout."""

    name: str
    parameters: tuple[Parameter, ...]
    codecs: tuple[Codec, ...]

    @property
    def canonical(self) -> str:
        """The text that is hashed: ``transfer(address,uint256)``."""
        return f"{self.name}({','.join(parameter.type for parameter in self.parameters)})"

    def decode(self, digits: str) -> tuple[Argument, ...]:
        """Arguments from hex digits without selector; empty when they do not fit the layout."""
        try:
            values = decode_fields(self.codecs, digits)
        except LayoutMismatch:
            return ()
        return tuple(
            argument
            for parameter, value in zip(self.parameters, values, strict=True)
            for argument in parameter.arguments(value)
        )


def parse_signature(text: str) -> Signature:
    """Read ``transfer(address to,uint256 value)``; struct types are written out in brackets."""
    name, _, inner = text.partition("(")
    parameters = tuple(_parse_parameter(part) for part in split_types(inner[:-1]))
    return Signature(name, parameters, tuple(compile_type(item.type) for item in parameters))


@cache
def functions() -> dict[str, Signature]:
    """By selector, ``0x`` and 8 digits."""
    return {key: parse_signature(text) for key, text in read_asset("functions.csv")}


@cache
def events() -> dict[tuple[str, int], Signature]:
    """By topic 0 and number of topics, which tells an ERC-20 Transfer from an ERC-721 one."""
    table = {}
    for topic0, text in read_asset("events.csv"):
        signature = parse_signature(text)
        indexed = sum(parameter.is_indexed for parameter in signature.parameters)
        table[topic0, 1 + indexed] = signature
    return table


@cache
def commands() -> dict[str, Signature]:
    """Commands of the Universal Router by their byte, two digits."""
    return {key: parse_signature(text) for key, text in read_asset("universal_router.csv")}


def read_asset(name: str) -> list[list[str]]:
    """Rows of a table in ``assets/chain`` without its header."""
    text = (files("ethtune.assets") / "chain" / name).read_text(encoding="utf-8")
    return list(csv.reader(text.splitlines()))[1:]


def _parse_parameter(text: str) -> Parameter:
    if not text.startswith("("):
        words = text.split()
        return Parameter(words[-1], words[0], is_indexed="indexed" in words)
    inner, _, rest = text[1:].rpartition(")")
    suffix = _ARRAY_SUFFIX.match(rest)
    array = suffix[0] if suffix else ""
    members = [_parse_parameter(part) for part in split_types(inner)]
    abi_type = f"({','.join(member.type for member in members)}){array}"
    fields = () if array else tuple((member.name, member.type) for member in members)
    return Parameter(rest.split()[-1], abi_type, is_indexed=" indexed " in rest, fields=fields)
