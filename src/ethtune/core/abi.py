"""Signatures as Solidity writes them in, parameters out.

    swap(address executor,(address srcToken,uint256 amount) desc,bytes data)

Struct types are written out in brackets with the names of their fields, at any depth.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

_Item = TypeVar("_Item")

_ARRAY_SUFFIX = re.compile(r"(?:\[\d*\])*")


@dataclass(frozen=True, slots=True)
class Parameter:
    """Name and canonical type; ``members`` are the fields of a struct, or of an array's structs."""

    name: str
    type: str
    is_indexed: bool = False
    members: tuple[Parameter, ...] = ()

    @property
    def is_struct(self) -> bool:
        """One struct; its fields are arguments in their own right, an array's items are not."""
        return bool(self.members) and self.type.endswith(")")

    @property
    def opened(self) -> tuple[Parameter, ...]:
        """The parameters that arguments are listed under: the fields of a struct, else itself."""
        return self.members if self.is_struct else (self,)


@cache
def parse_parameters(signature: str) -> tuple[Parameter, ...]:
    """Parameters of ``transfer(address to,uint256 value)``."""
    return tuple(map(_parse, split_types(signature.partition("(")[2][:-1])))


def grouped(parameters: Iterable[Parameter], opened: Iterable[_Item]) -> list[_Item | list[_Item]]:
    """Arguments under their parameters again: the fields of each struct in one list."""
    rest = iter(opened)
    return [
        [next(rest) for _ in parameter.members] if parameter.is_struct else next(rest)
        for parameter in parameters
    ]


def split_types(inner: str) -> Sequence[str]:
    """Cut ``address,(bool,bytes)[],uint8`` at the commas outside brackets."""
    parts: list[str] = []
    depth = start = 0
    for index, letter in enumerate(inner):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append(inner[start:index])
            start = index + 1
    return [*parts, inner[start:]] if inner else []


def _parse(text: str) -> Parameter:
    if not text.startswith("("):
        words = text.split()
        return Parameter(words[-1], words[0], is_indexed="indexed" in words)
    inner, _, rest = text[1:].rpartition(")")
    suffix = _ARRAY_SUFFIX.match(rest)
    array = suffix[0] if suffix else ""
    members = tuple(map(_parse, split_types(inner)))
    abi_type = f"({','.join(member.type for member in members)}){array}"
    return Parameter(rest.split()[-1], abi_type, " indexed " in rest, members)
