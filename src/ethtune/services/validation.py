"""A dataset folder in, everything that is wrong with it out, and a corrected copy when asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ethtune.chain.tokens import built_in_tokens
from ethtune.core.events import SILENT, Emit, Progress
from ethtune.dataset.addresses import NATIVE
from ethtune.dataset.balance import Tally, balance_faults
from ethtune.dataset.checks import CheckedLine, LineChecker
from ethtune.dataset.comparison import Comparison
from ethtune.dataset.findinglist import FindingList
from ethtune.dataset.findings import Fault, costs_the_row, severity
from ethtune.dataset.rawlines import count_lines, read_lines
from ethtune.dataset.reading import existing_splits
from ethtune.dataset.rowlengths import LengthReport, RowLengths, TokenCounter
from ethtune.dataset.splits import Split
from ethtune.services.correction import Correction, write_corrected
from ethtune.services.jsonstream import HERE, json_chunks

DEFAULT_MAX_SEQ_LENGTH = 2048
_BATCH_LINES = 512  # enough for a tokenizer to use every core
_BATCH_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class ValidationReport:
    """``rows`` counts lines by split, ``actions`` classes."""

    path: Path
    rows: dict[Split, int]
    findings: FindingList
    actions: dict[Split, dict[str, int]]
    lengths: LengthReport | None
    correction: Correction | None = None

    @property
    def num_errors(self) -> int:
        """Findings that make it unfit to train on."""
        return sum(n for code, n in self.findings.counts.items() if severity(code) == "error")

    @property
    def num_warnings(self) -> int:
        """All others."""
        return len(self.findings) - self.num_errors

    @property
    def is_trainable(self) -> bool:
        """Whether ``ethtune train`` reads its rows and should."""
        return not self.num_errors and "W110" not in self.findings.counts

    def as_dict(self) -> dict[str, Any]:
        """Plain data, whole in memory."""
        return self._as_dict([finding.as_dict() for finding in self.findings])

    def json_chunks(self) -> Iterator[str]:
        """The same as JSON, piece by piece."""
        return json_chunks(self._as_dict(HERE), (finding.as_dict() for finding in self.findings))

    def _as_dict(self, findings: Any) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "valid": not self.num_errors,
            "rows": self.rows,
            "num_errors": self.num_errors,
            "num_warnings": self.num_warnings,
            "actions": self.actions,
            "lengths": self.lengths.as_dict() if self.lengths else None,
            "correction": self.correction.as_dict() if self.correction else None,
            "findings": findings,
        }


def validate_data(
    path: Path,
    *,
    tokenizer: TokenCounter | None = None,
    max_seq_length: int = DEFAULT_MAX_SEQ_LENGTH,
    any_task: bool = False,
    fix: Path | None = None,
    events: Emit = SILENT,
) -> ValidationReport:
    """Check every row of a folder, or of one file as if it were a training split.

    Lengths are judged where a tokenizer is given. With ``fix`` a copy is written to that folder,
    repaired where that is safe, without the other rows that cost a finding. Raises DataError when
    there is nothing to check.
    """
    files: dict[Split, Path] = {"train": path} if path.is_file() else existing_splits(path)
    survey = _Survey(files, tokenizer, max_seq_length, any_task=any_task)
    total = sum(map(count_lines, files.values()))
    for done in survey.lines():
        events(Progress("checking", done, max(total, done)))
    survey.conclude(path)
    return ValidationReport(
        path,
        dict(survey.num_lines),
        survey.findings,
        {split: dict(counts.most_common()) for split, counts in survey.tally.actions.items()},
        survey.lengths.report(),
        write_corrected(files, fix, survey.findings, known_decimals()) if fix else None,
    )


@cache
def known_decimals() -> Mapping[str, int]:
    """Decimals of the assets that intents name by a symbol."""
    tokens = (NATIVE, *built_in_tokens().values())
    return {token.symbol: token.decimals for token in tokens if token.decimals is not None}


def open_tokenizer(base_model: str, *, events: Emit = SILENT) -> TokenCounter:
    """The tokenizer of a base model, to judge lengths with. Imports torch.

    Raises ConfigError or MachineError where there is none of that name.
    """
    from ethtune.model.basemodels import resolve
    from ethtune.model.tokenizer import PromptTokenizer, load_tokenizer

    base = resolve(base_model, revision=None, cache_dir=None, emit=events)
    return PromptTokenizer(load_tokenizer(base, cache_dir=None, trust_remote_code=False))


class _Survey:
    """One pass over the files; keeps digests and counts of rows, and what was found."""

    def __init__(
        self,
        files: Mapping[Split, Path],
        tokenizer: TokenCounter | None,
        max_seq_length: int,
        *,
        any_task: bool,
    ) -> None:
        self.num_lines: dict[Split, int] = dict.fromkeys(files, 0)
        self.tally = Tally()
        self.findings = FindingList(list(files.values()))
        self.lengths = (
            RowLengths("tokens", max_seq_length) if tokenizer else RowLengths("characters", None)
        )
        self._files = files
        self._tokenizer = tokenizer
        self._any_task = any_task
        self._comparison = Comparison(list(files.values()))

    def lines(self) -> Iterator[int]:
        """Check all lines; how many are done, after every batch."""
        for index, (split, file) in enumerate(self._files.items()):
            checker = LineChecker(any_task=self._any_task, decimals=known_decimals())
            batch: list[tuple[int, CheckedLine]] = []
            num_bytes = 0
            for line in read_lines(file):
                batch.append((line.number, checker.check(line)))
                num_bytes += line.num_bytes
                if len(batch) == _BATCH_LINES or num_bytes > _BATCH_BYTES:
                    self._take(batch, split, index)
                    batch, num_bytes = [], 0
                    yield sum(self.num_lines.values())
            self._take(batch, split, index)
        yield sum(self.num_lines.values())

    def conclude(self, path: Path) -> None:
        """Add what only all rows together tell."""
        for finding in self._comparison.findings():
            self.findings.add(finding)
        for fault in balance_faults(self.tally, is_folder=path.is_dir()):
            self.findings.add(fault.at(str(path), None))

    def _take(self, batch: list[tuple[int, CheckedLine]], split: Split, index: int) -> None:
        lengths = self._measured(batch)
        for number, checked in batch:
            self.num_lines[split] += 1
            faults: list[Fault] = checked.faults
            if checked.row is not None:
                too_long = self.lengths.add(*next(lengths))
                faults = [*faults, too_long] if too_long else faults
                self.tally.add(checked.row, checked.intent, split)
                if not any(costs_the_row(fault.code) for fault in faults):
                    self._comparison.add(checked.row, checked.intent, file=index, line=number)
            for fault in faults:
                self.findings.add(fault.at(str(self._files[split]), number))

    def _measured(self, batch: list[tuple[int, CheckedLine]]) -> Iterator[tuple[int, int]]:
        """Lengths of prompt and completion of every row in the batch."""
        rows = [checked.row for _, checked in batch if checked.row is not None]
        if self._tokenizer is not None:
            prompts = [row.prompt for row in rows]
            return iter(self._tokenizer.count_tokens(prompts, [row.answer for row in rows]))
        return ((sum(len(text) for _, text in row.prompt), len(row.answer)) for row in rows)
