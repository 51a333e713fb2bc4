"""Traces of one transaction in, the ether that contracts moved inside it out.

Only what took effect counts: calls with value, contracts created with value, contracts destroyed.
The outermost call is the transaction itself; what a failed call did, or any call below it, was
undone; delegate calls show a value that does not move.
"""

from __future__ import annotations

import re

from ethtune.chain.sources.fields import integer
from ethtune.chain.sources.joindata import JoinData
from ethtune.chain.sources.records import Row
from ethtune.core.transaction import InvalidTransaction

_MOVING = frozenset({"call", "create", "create2", "suicide", "selfdestruct"})
_MAX_DIGITS = 9
_NUMBERS = re.compile("[0-9]+").findall


def internal_transfers(data: JoinData, key: bytes) -> list[Row] | None:
    """Moves in the order they were made; None where the transaction has no traces."""
    query = "SELECT DISTINCT sender, receiver, value, kind, path, failed FROM traces WHERE hash = ?"
    found = [(_path(row[4]), row) for row in data.select(query, key)]
    if not found:
        return None
    failed = {path for path, row in found if row[5]}
    moves = []
    for path, (sender, receiver, value, kind, _, _) in sorted(found, key=lambda item: item[0]):
        is_undone = any(path[:depth] in failed for depth in range(len(path) + 1))
        if path and not is_undone and kind in _MOVING and integer("trace value", value):
            if not sender:
                raise InvalidTransaction(f"a trace that moves {value} wei names no sender")
            moves.append({"from": sender, "to": receiver, "value": value})
    return moves


def _path(address: object) -> tuple[int, ...]:
    """Numbers of "0,2": of the first call below the outermost one the third."""
    text = str(address or "")
    numbers = _NUMBERS(text)
    if any(len(number) > _MAX_DIGITS for number in numbers):
        raise InvalidTransaction(f"trace_address is {text[:60]!r}, expected small numbers")
    return tuple(map(int, numbers))
