"""Checked files and their findings in, a corrected copy of the dataset out, with an account."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ethtune.core.atomic import new_folder
from ethtune.dataset.checks import LineChecker
from ethtune.dataset.findinglist import FindingList
from ethtune.dataset.findings import costs_the_row
from ethtune.dataset.rawlines import RawLine, read_lines
from ethtune.dataset.repairs import REPAIRABLE, repaired
from ethtune.dataset.splits import Split


@dataclass(frozen=True, slots=True)
class Correction:
    """``dropped`` counts rows left out by split; ``repairs`` are places by what was done there."""

    path: Path
    dropped: dict[Split, int]
    repairs: dict[str, list[str]] = field(default_factory=dict)

    @property
    def num_dropped(self) -> int:
        """Rows that the copy lacks."""
        return sum(self.dropped.values())

    def as_dict(self) -> dict[str, Any]:
        """Plain data for ``--json``."""
        return {"path": str(self.path), "dropped": self.dropped, "repairs": self.repairs}


def write_corrected(
    files: Mapping[Split, Path],
    folder: Path,
    findings: FindingList,
    decimals: Mapping[str, int],
) -> Correction:
    """Copy the files to a new folder. Raises RunError when something is there already."""
    dropped: Counter[Split] = Counter()
    repairs: dict[str, dict[str, None]] = defaultdict(dict)
    with new_folder(folder) as staging:
        for split, file in files.items():
            known = findings.codes_by_line(file)
            with (staging / f"{split}.jsonl").open("wb") as copy:
                for line, codes in _aligned(read_lines(file), known):
                    content = _corrected(line, codes, decimals)
                    if content is None:
                        dropped[split] += 1
                        continue
                    copy.write(content + b"\n")
                    for repair in _line_end_repairs(line):
                        repairs[repair][str(file)] = None
                    if content != line.content:
                        repairs["output in canonical form"][f"{file}:{line.number}"] = None
    return Correction(folder, dict(dropped), {what: [*where] for what, where in repairs.items()})


def _aligned(
    lines: Iterable[RawLine], known: Iterator[tuple[int, set[str]]]
) -> Iterator[tuple[RawLine, set[str]]]:
    """Every line with the codes it cost; both come in order."""
    number, codes = next(known, (0, set()))
    for line in lines:
        if number == line.number:
            yield line, codes
            number, codes = next(known, (0, set()))
        else:
            yield line, set()


def _corrected(line: RawLine, codes: set[str], decimals: Mapping[str, int]) -> bytes | None:
    """The line as it goes into the copy; None for one that does not."""
    costly = {code for code in codes if costs_the_row(code)}
    if line.content is None or not costly <= REPAIRABLE:
        return None
    better = repaired(line.content) if codes & REPAIRABLE else None
    if better is not None and _is_sound(replace(line, content=better), decimals):
        return better
    return None if costly else line.content


def _line_end_repairs(line: RawLine) -> Iterator[str]:
    """Of the whole file: they are not counted line by line."""
    if line.has_bom:
        yield "byte order mark removed"
    if line.has_carriage_return:
        yield "carriage returns removed"


def _is_sound(line: RawLine, decimals: Mapping[str, int]) -> bool:
    checked = LineChecker(any_task=False, decimals=decimals).check(line)
    return not any(costs_the_row(fault.code) for fault in checked.faults)
