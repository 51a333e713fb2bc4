"""Examples in, one by one; a row key for each stays in memory, the texts wait on disk.

Says which rows are duplicates of earlier ones, so that millions of rows need no more memory than
their keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Literal
from zlib import crc32

from ethtune.core.example import Example
from ethtune.dataset.duplicates import likeness
from ethtune.dataset.splits import RowKey

Verdict = Literal["kept", "duplicate hash", "duplicate input", "contradiction"]


@dataclass(frozen=True, slots=True)
class SpooledRow:
    """A kept row: its key, its class, and where its line is."""

    key: RowKey
    action: str
    protocol: str | None
    label_source: str
    position: int


class Spool:
    """Writes to ``stream``, a temporary binary file."""

    def __init__(self, stream: BinaryIO) -> None:
        self.rows: list[SpooledRow] = []
        self._stream = stream
        self._position = 0
        self._ids: set[bytes] = set()
        self._answers: dict[bytes, tuple[int, int]] = {}

    def add(self, example: Example, *, sender: str) -> tuple[Verdict, str]:
        """Keep the row unless an earlier one is its like; then also that row's id."""
        identity = bytes.fromhex(example.id[2:])
        if identity in self._ids:
            return "duplicate hash", example.id
        self._ids.add(identity)
        like = likeness(example.input, sender=sender)
        answer = crc32(example.output.encode())
        earlier = self._answers.get(like.text)
        if earlier is not None:
            number, known_answer = earlier
            same = answer == known_answer
            return "duplicate input" if same else "contradiction", self.rows[number].key.id
        self._answers[like.text] = (len(self.rows), answer)
        block_number = example.meta.get("block_number")
        key = RowKey(example.id, like.template, like.counterparties, block_number)
        self._write(example, key)
        return "kept", example.id

    def lines(self, numbers: Sequence[int]) -> Iterator[bytes]:
        """JSONL lines of the rows with these numbers, in that order."""
        for number in numbers:
            self._stream.seek(self.rows[number].position)
            yield self._stream.readline()

    def _write(self, example: Example, key: RowKey) -> None:
        line = example.to_json().encode() + b"\n"
        meta = example.meta
        self.rows.append(
            SpooledRow(key, meta["action"], meta["protocol"], meta["label_source"], self._position)
        )
        self._stream.write(line)
        self._position += len(line)
