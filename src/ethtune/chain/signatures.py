"""Known functions, events and router commands: from selector or topic to names and types.

The tables in ``assets/chain`` hold signatures as Solidity writes them, with the hash that finds
them; the tests recompute every hash. A struct argument stands for its fields, one level deep.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import cast

from ethtune.chain.calldata import Codec, LayoutMismatch, compile_type, decode_fields
from ethtune.core.abi import Parameter, parse_parameters
from ethtune.core.described import Argument, DecodedEvent, Value
from ethtune.core.intent import Action


@dataclass(frozen=True, slots=True)
class Signature:
    """A function, event or command with its compiled layout.

    ``action`` is what its name promises, ``protocol`` the only one known to speak it.
    """

    text: str
    name: str
    parameters: tuple[Parameter, ...]
    codecs: tuple[Codec, ...]
    action: Action | None = None
    protocol: str | None = None

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
            for argument in opened(parameter, value)
        )


def opened(parameter: Parameter, value: Value) -> Sequence[Argument]:
    """The value under its name, a struct under the names of its fields."""
    if not parameter.is_struct:
        return (Argument(parameter.name, parameter.type, value),)
    pairs = zip(parameter.members, value, strict=True)
    return [Argument(member.name, member.type, item) for member, item in pairs]


def parse_signature(text: str, action: str = "", protocol: str = "") -> Signature:
    """Read ``transfer(address to,uint256 value)`` and compile its layout."""
    parameters = parse_parameters(text)
    codecs = tuple(compile_type(parameter.type) for parameter in parameters)
    name = text.partition("(")[0]
    return Signature(
        text, name, parameters, codecs, cast("Action | None", action or None), protocol or None
    )


@cache
def functions() -> dict[str, Signature]:
    """By selector, ``0x`` and 8 digits."""
    return {key: parse_signature(*rest) for key, *rest in read_asset("functions.csv")}


@cache
def promises() -> dict[str, Signature]:
    """Functions whose names promise an action, by signature."""
    return {item.text: item for item in functions().values() if item.action is not None}


@cache
def events() -> dict[tuple[str, int], Signature]:
    """By topic 0 and number of topics, which tells an ERC-20 Transfer from an ERC-721 one."""
    table = {}
    for topic0, *rest in read_asset("events.csv"):
        signature = parse_signature(*rest)
        indexed = sum(parameter.is_indexed for parameter in signature.parameters)
        table[topic0, 1 + indexed] = signature
    return table


def meaning_of(event: DecodedEvent) -> Signature | None:
    """The layout of an event that tells an action or a protocol; None for all others."""
    if event.name is None or not event.arguments:
        return None
    return _telling().get((event.topic0, event.arguments[0].name))


@cache
def _telling() -> dict[tuple[str | None, str], Signature]:
    """By topic 0 and first argument, for events of one topic may mean different things."""
    return {
        (topic0, event.parameters[0].opened[0].name): event
        for (topic0, _), event in events().items()
        if event.action is not None or event.protocol is not None
    }


@cache
def commands() -> dict[str, Signature]:
    """Commands of the Universal Router by their byte, two digits."""
    return {key: parse_signature(text) for key, text in read_asset("universal_router.csv")}


def read_asset(name: str) -> list[list[str]]:
    """Rows of a table in ``assets/chain`` without its header."""
    text = (files("ethtune.assets") / "chain" / name).read_text(encoding="utf-8")
    return list(csv.reader(text.splitlines()))[1:]
