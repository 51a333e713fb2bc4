"""A dataset folder in, everything that is wrong with it out, and a corrected copy when asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ethtune.core.atomic import new_folder
from ethtune.core.errors import DataError
from ethtune.core.events import SILENT, Emit, Progress
from ethtune.core.example import Example
from ethtune.dataset.balance import check_balance
from ethtune.dataset.checks import CheckedRow, CountTokens, RowChecker
from ethtune.dataset.findings import Finding
from ethtune.dataset.reading import existing_splits
from ethtune.dataset.splits import Split
from ethtune.dataset.tokens import TokenizerLike

DEFAULT_MAX_SEQ_LENGTH = 2048
_PROGRESS_ROWS = 250


@dataclass(frozen=True, slots=True)
class ValidationReport:
    """``rows`` counts lines by split; ``fixed`` is the corrected copy and ``dropped`` its gaps."""

    path: Path
    rows: dict[Split, int]
    findings: tuple[Finding, ...]
    fixed: Path | None = None
    dropped: int = 0

    @property
    def has_errors(self) -> bool:
        """Whether training on it would be a mistake."""
        return any(finding.severity == "error" for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for ``--json``."""
        return {
            "path": str(self.path),
            "valid": not self.has_errors,
            "rows": self.rows,
            "findings": [finding.as_dict() for finding in self.findings],
            "fixed": str(self.fixed) if self.fixed else None,
            "dropped": self.dropped,
        }


def validate_data(
    path: Path,
    *,
    tokenizer: TokenizerLike | None = None,
    max_seq_length: int = DEFAULT_MAX_SEQ_LENGTH,
    any_task: bool = False,
    fix: Path | None = None,
    events: Emit = SILENT,
) -> ValidationReport:
    """Check every row of a folder, or of one file as if it were a training split.

    Lengths are checked where a tokenizer is given. With ``fix`` a copy is written to that folder
    without the rows that cost a finding. Raises DataError when there is nothing to check.
    """
    files: dict[Split, Path] = {"train": path} if path.is_file() else existing_splits(path)
    checker = RowChecker(
        count_tokens=_counter(tokenizer) if tokenizer else None,
        max_seq_length=max_seq_length,
        any_task=any_task,
    )
    rows: dict[Split, int] = dict.fromkeys(files, 0)
    checked: list[CheckedRow] = []
    findings: list[Finding] = []
    dropped = 0
    with ExitStack() as stack:
        folder = stack.enter_context(new_folder(fix)) if fix else None
        for split, file in files.items():
            copy = _open_copy(stack, folder, split)
            for number, line in _lines(file):
                row, found = checker.check(line, f"{file}:{number}", split)
                rows[split] += 1
                findings += found
                if row is not None:
                    checked.append(row)
                if any(finding.costs_the_row for finding in found):
                    dropped += 1
                elif copy is not None:
                    copy.write(line.rstrip(b"\r\n") + b"\n")
                if sum(rows.values()) % _PROGRESS_ROWS == 0:
                    events(Progress("checking", sum(rows.values()), None))
    is_folder = path.is_dir()
    findings += (
        finding
        for finding in check_balance(checked, str(path))
        if is_folder or finding.code != "W502"
    )
    return ValidationReport(path, rows, tuple(findings), fix, dropped if fix else 0)


def open_tokenizer(base_model: str, *, events: Emit = SILENT) -> TokenizerLike:
    """The tokenizer of a base model, to judge lengths with. Imports torch."""
    from ethtune.model.basemodels import resolve
    from ethtune.model.tokenizer import PromptTokenizer, load_tokenizer

    base = resolve(base_model, revision=None, cache_dir=None, emit=events)
    return PromptTokenizer(load_tokenizer(base, cache_dir=None, trust_remote_code=False))


def _counter(tokenizer: TokenizerLike) -> CountTokens:
    def count(example: Example) -> int:
        prompt = tokenizer.encode_prompt(example.prompt)
        return len(prompt) + len(tokenizer.encode_completion(example.output))

    return count


def _open_copy(stack: ExitStack, folder: Path | None, split: Split) -> BinaryIO | None:
    return stack.enter_context((folder / f"{split}.jsonl").open("wb")) if folder else None


def _lines(file: Path) -> Iterator[tuple[int, bytes]]:
    """Lines that hold something, with their numbers."""
    try:
        with file.open("rb") as stream:
            yield from ((n, line) for n, line in enumerate(stream, start=1) if line.strip())
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror or error}") from error
