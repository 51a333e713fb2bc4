"""Findings in as they are found, out in order of place; however many, memory stays flat.

In memory are a place and a code for each, and the first few of every code; the rest waits in a
temporary file. What concerns the dataset as a whole comes last.
"""

from __future__ import annotations

import json
import weakref
from array import array
from bisect import insort
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from tempfile import SpooledTemporaryFile

from ethtune.dataset.findings import Finding

FIRST_MAX = 3
_MEMORY_BYTES = 8 << 20  # texts up to here need no disk
_FILE_SHIFT = 48  # a place is a number: the file's above, the line's below


class FindingList:
    """``counts`` are by code, ``first`` the first places of each code."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.counts: Counter[str] = Counter()
        self.first: dict[str, list[Finding]] = {}
        self._files = {str(file): index for index, file in enumerate(files)}
        self._places = array("Q")
        self._offsets = array("Q")
        self._codes = array("H")
        self._names: list[str] = []
        self._end = 0
        self._stream = SpooledTemporaryFile(_MEMORY_BYTES)  # noqa: SIM115  # as long as the list
        weakref.finalize(self, self._stream.close)

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Finding]:
        """In order of file and line."""
        for number in sorted(range(len(self)), key=self._places.__getitem__):
            self._stream.seek(self._offsets[number])
            yield Finding(*json.loads(self._stream.readline()))

    def add(self, finding: Finding) -> None:
        """Take one, of any place."""
        if finding.code not in self.counts:
            self._names.append(finding.code)
        self.counts[finding.code] += 1
        first = self.first.setdefault(finding.code, [])
        insort(first, finding, key=self._place)
        del first[FIRST_MAX:]
        self._places.append(self._place(finding))
        self._codes.append(self._names.index(finding.code))
        self._offsets.append(self._end)
        plain = (finding.code, finding.message, finding.file, finding.line, finding.value)
        line = json.dumps(plain).encode() + b"\n"
        self._stream.seek(self._end)
        self._end += self._stream.write(line)

    def codes_by_line(self, file: Path) -> Iterator[tuple[int, set[str]]]:
        """Lines of a file that cost a finding, in their order, each with its codes."""
        index = self._files[str(file)]
        mine = (n for n, place in enumerate(self._places) if place >> _FILE_SHIFT == index)
        order = sorted(mine, key=self._places.__getitem__)
        for place, same in groupby(order, key=self._places.__getitem__):
            yield place & ((1 << _FILE_SHIFT) - 1), {self._names[self._codes[n]] for n in same}

    def _place(self, finding: Finding) -> int:
        index = self._files.get(finding.file) if finding.line is not None else None
        whole = len(self._files)
        return (whole if index is None else index) << _FILE_SHIFT | (finding.line or 0)
