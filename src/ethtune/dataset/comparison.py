"""Digests of rows in, what is wrong between them out: leaks across splits, repeats, contradictions.

A row costs 40 bytes whatever its length. Only rows that are good by themselves are compared, so
that no row is faulted for its likeness to one that has to go.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import groupby
from pathlib import Path

from ethtune.core.intent import Intent
from ethtune.dataset.addresses import expand_repeats
from ethtune.dataset.duplicates import template
from ethtune.dataset.findings import Finding
from ethtune.dataset.rowforms import Row
from ethtune.dataset.splits import common_above

_NONE = 0  # the digest of what is not there
_HASH_CHARACTERS = 66
_FILE_SHIFT = 48  # a place is a number: the file's above, the line's below


class Comparison:
    """Takes rows one after the other. ``files`` are those of the splits, one each."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files
        self._ids = array("Q")
        self._prompts = array("Q")
        self._answers = array("Q")
        self._shapes = array("Q")
        self._places = array("Q")

    def add(self, row: Row, intent: Intent | None, *, file: int, line: int) -> None:
        """Remember a row on ``line`` of the file with that number."""
        self._ids.append(_id_digest(row))
        prompt = "\x1e".join(f"{role}\x1f{content}" for role, content in row.prompt)
        self._prompts.append(_digest(prompt if row.prompt else row.answer))
        self._answers.append(_digest(intent.to_json() if intent else row.answer))
        self._shapes.append(_shape_digest(row) if intent and not _origin(row) else _NONE)
        self._places.append(file << _FILE_SHIFT | line)

    def findings(self) -> Iterator[Finding]:
        """Everything between rows, of each kind in the order of the later row."""
        yield from self._repeated_ids()
        yield from self._repeated_prompts()
        yield from self._shared_shapes()

    def _repeated_ids(self) -> Iterator[Finding]:
        for first, *others in _groups(self._ids):
            for row in others:
                if self._file(row) != self._file(first):
                    yield self._found("E301", row, "{} is the same transaction", first)

    def _repeated_prompts(self) -> Iterator[Finding]:
        for first, *others in _groups(self._prompts):
            for row in others:
                if self._answers[row] != self._answers[first]:
                    said = "{} has the same input and another output"
                    yield self._found("E303", row, said, first)
                elif self._file(row) != self._file(first):
                    yield self._found("E302", row, "{} has the same input", first)
                else:
                    yield self._found("W304", row, "{} is the same row", first)

    def _shared_shapes(self) -> Iterator[Finding]:
        """One finding for each shape and later split, at its first row there.

        Very common shapes are split by who takes part, which a row alone does not tell: left out.
        """
        most = common_above(len(self._shapes))
        for same_shape in _groups(self._shapes):
            rows = [*{self._prompts[row]: row for row in reversed(same_shape)}.values()][::-1]
            if len(rows) > most:
                continue
            first, *others = (next(same) for _, same in groupby(rows, key=self._file))
            for row in others:
                count = sum(self._file(other) == self._file(row) for other in rows)
                said = f"{count:,} rows here have the shape of {{}}"
                yield self._found("W305", row, said, first)

    def _file(self, row: int) -> int:
        return self._places[row] >> _FILE_SHIFT

    def _found(self, code: str, row: int, said: str, first: int) -> Finding:
        place = f"{self._files[self._file(first)].name}:{self._line(first)}"
        file = str(self._files[self._file(row)])
        return Finding(code, said.format(place), file, self._line(row), place)

    def _line(self, row: int) -> int:
        return self._places[row] & ((1 << _FILE_SHIFT) - 1)


def _groups(digests: array[int]) -> Iterator[list[int]]:
    """Rows of one digest, two or more, in their order; rows without a digest are in no group."""
    order = sorted(range(len(digests)), key=digests.__getitem__)
    for digest, same in groupby(order, key=digests.__getitem__):
        rows = list(same)
        if digest != _NONE and len(rows) > 1:
            yield rows


def _origin(row: Row) -> object:
    """The transaction that an augmented row is a copy of."""
    meta = row.plain.get("meta")
    return meta.get("of") if isinstance(meta, dict) else None


def _id_digest(row: Row) -> int:
    """Only a transaction's hash is one row's alone; other people number rows from 1 in each file.

    A copy stands for its origin: neither may give the other away.
    """
    identity = _origin(row) or row.plain.get("id")
    is_hash = isinstance(identity, str) and len(identity) == _HASH_CHARACTERS
    return _digest(str(identity).lower()) if is_hash else _NONE


def _shape_digest(row: Row) -> int:
    try:
        return _digest(template(expand_repeats(row.plain["input"])))
    except (ValueError, AttributeError, RecursionError):
        return _NONE  # an input of other form


def _digest(text: str) -> int:
    raw = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(raw, "big") or 1
