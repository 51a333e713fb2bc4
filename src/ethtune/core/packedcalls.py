"""The bytes of a Safe's ``multiSend`` in, its calls out, and back without loss.

Each call is operation, 1 byte; to, 20; value, 32; length of the data, 32; the data; and again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

_HEAD = 170  # hex digits before the data of one call


class PackedCall(NamedTuple):
    """One call; ``operation`` is 1 where the account runs the code as its own."""

    operation: int
    to: str
    value_wei: int
    data: str


def unpack_calls(packed: str) -> tuple[PackedCall, ...]:
    """Calls of ``packed``, hex with 0x; none where it is not made of whole calls."""
    calls = []
    position = 2
    while position < len(packed):
        start = position + _HEAD
        if start > len(packed):
            return ()
        head = packed[position:start]
        position = start + 2 * int(head[106:], 16)
        if position > len(packed):
            return ()
        operation, value_wei = int(head[:2], 16), int(head[42:106], 16)
        data = "0x" + packed[start:position]
        calls.append(PackedCall(operation, "0x" + head[2:42], value_wei, data))
    return tuple(calls)


def pack_calls(calls: Iterable[PackedCall]) -> bytes:
    """Inverse of unpack_calls."""
    return b"".join(
        call.operation.to_bytes(1, "big")
        + bytes.fromhex(call.to[2:])
        + call.value_wei.to_bytes(32, "big")
        + (len(call.data) // 2 - 1).to_bytes(32, "big")
        + bytes.fromhex(call.data[2:])
        for call in calls
    )
