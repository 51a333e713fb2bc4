"""Decoded arguments in, the bytes that an honest encoder makes of them out.

Decoders accept more than one encoding of the same values. A prompt may write values instead of
bytes only where the bytes are the one encoding that the values give back.

A layout is compiled once from its types. Values are not checked: the digits of a value that does
not fit its type are nobody's calldata, so they differ from the ones they are compared with.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from ethtune.core.abi import Parameter, grouped, parse_parameters, split_types
from ethtune.core.described import Argument, Value

_WORD = 64  # hex digits
_ALL = 1 << 256
_ARRAY = re.compile(r"(.+)\[(\d*)\]").fullmatch
_LAYOUTS_KEPT = 4096

Write = Callable[[Value], str]


@dataclass(frozen=True, slots=True)
class _Layout:
    """One type: ``head`` digits in the head; ``write`` gives these or, if dynamic, the tail."""

    head: int
    is_dynamic: bool
    write: Write


def parameters_of(signature: str | None, arguments: Sequence[Argument]) -> Sequence[Parameter]:
    """Parameters of a call; without a signature every argument is one."""
    if signature is not None:
        return parse_parameters(signature)
    return [Parameter(argument.name, argument.type) for argument in arguments]


def encode_arguments(parameters: Sequence[Parameter], arguments: Sequence[Argument]) -> str:
    """Hex digits of the arguments under their parameters."""
    values = grouped(parameters, [argument.value for argument in arguments])
    layouts = _layouts(tuple([parameter.type for parameter in parameters]))
    return _write_items(layouts, values)  # type: ignore[arg-type]  # lists stand for tuples


@lru_cache(_LAYOUTS_KEPT)
def _layouts(types: tuple[str, ...]) -> tuple[_Layout, ...]:
    return tuple(map(_layout, types))


def _layout(abi_type: str) -> _Layout:
    array = _ARRAY(abi_type)
    if array:
        return _array(_layout(array[1]), int(array[2]) if array[2] else None)
    if abi_type.startswith("("):
        fields = _layouts(tuple(split_types(abi_type[1:-1])))
        is_dynamic = any(field.is_dynamic for field in fields)
        head = _WORD if is_dynamic else sum(field.head for field in fields)
        return _Layout(head, is_dynamic, lambda values: _write_items(fields, values))
    if abi_type in ("bytes", "string"):
        return _Layout(_WORD, True, _write_bytes if abi_type == "bytes" else _write_string)
    return _Layout(_WORD, False, _word_writer(abi_type))


def _array(item: _Layout, length: int | None) -> _Layout:
    def write_items(values: Value) -> str:
        return _write_items((item,) * len(values), values)

    def write_counted(values: Value) -> str:
        return f"{len(values):064x}" + write_items(values)

    if length is None:
        return _Layout(_WORD, True, write_counted)
    return _Layout(_WORD if item.is_dynamic else length * item.head, item.is_dynamic, write_items)


def _write_items(layouts: Sequence[_Layout], values: Value) -> str:
    """Heads of all values, offsets for the dynamic ones, whose tails follow."""
    heads, tails = [], []
    end = sum([layout.head for layout in layouts])
    for layout, value in zip(layouts, values, strict=True):
        digits = layout.write(value)
        if layout.is_dynamic:
            heads.append(f"{end // 2:064x}")
            tails.append(digits)
            end += len(digits)
        else:
            heads.append(digits)
    return "".join(heads + tails)


def _write_bytes(value: Value) -> str:
    digits = str(value)[2:]
    return f"{len(digits) // 2:064x}{digits}{'0' * (-len(digits) % _WORD)}"


def _write_string(value: Value) -> str:
    return _write_bytes("0x" + str(value).encode().hex())


def _word_writer(abi_type: str) -> Write:
    if abi_type == "address":
        return lambda value: "0" * 24 + str(value)[2:]
    if abi_type == "bool":
        return lambda value: "1".rjust(_WORD, "0") if value == "true" else "0" * _WORD
    if abi_type.startswith("bytes"):
        return lambda value: str(value)[2:].ljust(_WORD, "0")
    return lambda value: f"{int(str(value)) % _ALL:064x}"
