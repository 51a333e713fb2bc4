"""One log in, one named event out; unknown or ill-formed logs keep topic 0 alone.

Contracts may emit anything: an event counts as known only when topic 0, the number of topics and
the shape of the data all fit its signature.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from ethtune.chain.calldata import Codec, LayoutMismatch, decode_fields
from ethtune.chain.signatures import Signature, events, opened
from ethtune.core.described import Argument, DecodedEvent
from ethtune.core.transaction import Log


@dataclass(frozen=True, slots=True)
class _Layout:
    """``plain`` reads the data, which has ``size`` digits where no value is dynamic."""

    signature: Signature
    plain: tuple[Codec, ...]
    size: int | None


def decode_log(log: Log) -> DecodedEvent:
    """Name and arguments in the order of the signature, or neither."""
    if not log.topics:
        return DecodedEvent(log.address, None)
    topic0 = log.topics[0]
    layout = _layouts().get((topic0, len(log.topics)))
    arguments = _arguments(layout, log) if layout else None
    if layout is None or arguments is None:
        return DecodedEvent(log.address, None, (), topic0)
    return DecodedEvent(log.address, layout.signature.name, arguments, topic0)


@cache
def _layouts() -> dict[tuple[str, int], _Layout]:
    return {key: _layout(signature) for key, signature in events().items()}


def _layout(signature: Signature) -> _Layout:
    pairs = zip(signature.parameters, signature.codecs, strict=True)
    plain = tuple(codec for parameter, codec in pairs if not parameter.is_indexed)
    is_dynamic = any(codec.is_dynamic for codec in plain)
    return _Layout(signature, plain, None if is_dynamic else sum(codec.size for codec in plain))


def _arguments(layout: _Layout, log: Log) -> tuple[Argument, ...] | None:
    digits = log.data[2:]
    if layout.size is not None and len(digits) != layout.size:
        return None
    signature = layout.signature
    topics = iter(log.topics[1:])
    arguments: list[Argument] = []
    try:
        values = iter(decode_fields(layout.plain, digits))
        for parameter, codec in zip(signature.parameters, signature.codecs, strict=True):
            if not parameter.is_indexed:
                arguments.extend(opened(parameter, next(values)))
            elif codec.word is None:
                arguments.append(Argument(parameter.name, "bytes32", next(topics)))
            else:
                value = codec.word(next(topics)[2:])
                arguments.append(Argument(parameter.name, parameter.type, value))
    except LayoutMismatch:
        return None
    return tuple(arguments)
