"""What PyTorch's caching allocator reserves for a tape of tensors: events in, bytes out.

A replay of its rules (c10/cuda/CUDACachingAllocator): blocks up to 1 MiB come from segments of
2 MiB, larger ones from segments of 20 MiB, from 10 MiB on from one of their own; the smallest free
block that is large enough is taken and split, freed neighbours merge, no segment is given back.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

from ethtune.core.units import MIB

_SMALL_BYTES = MIB
_SMALL_SEGMENT_BYTES = 2 * MIB
_SEGMENT_BYTES = 20 * MIB
_OWN_SEGMENT_FROM = 10 * MIB
_SPLIT_REST = {True: 512, False: MIB + 1}  # smallest remainder that becomes a block, small or large


class _Block:
    __slots__ = ("is_free", "left", "number", "right", "size")

    def __init__(self, number: int, size: int) -> None:
        self.number, self.size, self.is_free = number, size, False
        self.left: _Block | None = None
        self.right: _Block | None = None


class _Pool:
    """Blocks of one kind, small or large."""

    def __init__(self, *, is_small: bool) -> None:
        self.is_small = is_small
        self.reserved_bytes = 0
        self._count = 0
        self._free: list[tuple[int, int, _Block]] = []  # by size, numbers break ties

    def take(self, size: int) -> _Block:
        place = bisect.bisect_left(self._free, (size, -1))
        block = self._free.pop(place)[2] if place < len(self._free) else self._segment(size)
        block.is_free = False
        rest = block.size - size
        if rest >= _SPLIT_REST[self.is_small]:
            block.size = size
            self._release(self._after(block, rest))
        return block

    def give(self, block: _Block) -> None:
        if block.right and block.right.is_free:
            self._absorb(block, block.right)
        if block.left and block.left.is_free:
            block = block.left
            assert block.right  # it is the block given
            self._withdraw(block)
            self._join(block, block.right)
        self._release(block)

    def _segment(self, size: int) -> _Block:
        if self.is_small:
            taken = _SMALL_SEGMENT_BYTES
        elif size < _OWN_SEGMENT_FROM:
            taken = _SEGMENT_BYTES
        else:
            taken = -(-size // (2 * MIB)) * 2 * MIB
        self.reserved_bytes += taken
        return self._new(taken)

    def _new(self, size: int) -> _Block:
        self._count += 1
        return _Block(self._count, size)

    def _after(self, block: _Block, size: int) -> _Block:
        made = self._new(size)
        made.left, made.right = block, block.right
        if block.right:
            block.right.left = made
        block.right = made
        return made

    def _absorb(self, block: _Block, free: _Block) -> None:
        self._withdraw(free)
        self._join(block, free)

    def _join(self, block: _Block, right: _Block) -> None:
        block.size += right.size
        block.right = right.right
        if right.right:
            right.right.left = block

    def _release(self, block: _Block) -> None:
        block.is_free = True
        bisect.insort(self._free, (block.size, block.number, block))

    def _withdraw(self, block: _Block) -> None:
        self._free.pop(bisect.bisect_left(self._free, (block.size, block.number)))


@dataclass(frozen=True, slots=True)
class Replayed:
    """``allocated_bytes`` as the allocator counts them: blocks in use, with what was not split."""

    reserved_bytes: int
    allocated_bytes: int


Events = Sequence[tuple[int, int]]
"""(handle, bytes) for an allocation and (handle, 0) for its end."""


def replay(loading: Events, step: Events, *, steps: int = 2) -> Replayed:
    """Loading, then some steps on top of what it leaves; the second finds other holes."""
    memory = _Memory()
    memory.run(loading)
    for _ in range(steps):
        before = set(memory.where)
        memory.run(step)
        for handle in set(memory.where) - before:
            memory.give(handle)
    reserved = sum(pool.reserved_bytes for pool in memory.pools.values())
    return Replayed(reserved, memory.peak_bytes)


class _Memory:
    """Blocks in use by handle."""

    def __init__(self) -> None:
        self.pools = {True: _Pool(is_small=True), False: _Pool(is_small=False)}
        self.where: dict[int, tuple[_Pool, _Block]] = {}
        self.used_bytes = self.peak_bytes = 0

    def run(self, events: Events) -> None:
        for handle, size in events:
            if size:
                self._take(handle, size)
            elif handle in self.where:  # what loading left may end in the first step
                self.give(handle)

    def _take(self, handle: int, size: int) -> None:
        pool = self.pools[size <= _SMALL_BYTES]
        block = pool.take(max(size, 512))
        self.where[handle] = pool, block
        self.used_bytes += block.size
        self.peak_bytes = max(self.peak_bytes, self.used_bytes)

    def give(self, handle: int) -> None:
        pool, block = self.where.pop(handle)
        self.used_bytes -= block.size
        pool.give(block)
