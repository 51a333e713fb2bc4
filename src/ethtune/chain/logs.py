"""One log in, one named event out; unknown or ill-formed logs keep topic 0 alone.

Contracts may emit anything: an event counts as known only when topic 0, the number of topics and
the shape of the data all fit its signature.
"""

from __future__ import annotations

from ethtune.chain.calldata import LayoutMismatch, decode_fields
from ethtune.chain.signatures import Signature, events, opened
from ethtune.core.described import Argument, DecodedEvent
from ethtune.core.transaction import Log


def decode_log(log: Log) -> DecodedEvent:
    """Name and arguments in the order of the signature, or neither."""
    if not log.topics:
        return DecodedEvent(log.address, None)
    topic0 = log.topics[0]
    signature = events().get((topic0, len(log.topics)))
    arguments = _arguments(signature, log) if signature else None
    if signature is None or arguments is None:
        return DecodedEvent(log.address, None, (), topic0)
    return DecodedEvent(log.address, signature.name, arguments, topic0)


def _arguments(signature: Signature, log: Log) -> tuple[Argument, ...] | None:
    digits = log.data[2:]
    pairs = list(zip(signature.parameters, signature.codecs, strict=True))
    plain = [codec for parameter, codec in pairs if not parameter.is_indexed]
    topics = iter(log.topics[1:])
    try:
        values = iter(decode_fields(plain, digits))
        if not any(codec.is_dynamic for codec in plain) and len(digits) != sum(
            codec.size for codec in plain
        ):
            return None
        arguments: list[Argument] = []
        for parameter, codec in pairs:
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
