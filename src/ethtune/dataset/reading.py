"""A dataset folder or file in, examples out, one by one; a bad row ends it with file and line.

Rows need ``instruction``, ``input`` and ``output``, all texts; ``id`` and ``meta`` may be absent,
so that rows of other origin train as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ethtune.core.errors import DataError
from ethtune.core.example import Example
from ethtune.dataset.findings import quoted
from ethtune.dataset.splits import SPLITS, Split

ROW_KEYS = ("instruction", "input", "output")
EMPTY_OUTPUT = "output is empty, nothing to learn"

_HINT = "ethtune validate-data names every faulty row and --fix leaves them out"


def split_path(folder: Path, split: Split) -> Path:
    """Where a dataset folder keeps a split."""
    return folder / f"{split}.jsonl"


def existing_splits(folder: Path) -> dict[Split, Path]:
    """The splits that a folder has. Raises DataError when there is no such folder or none in it."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder", hint="ethtune prepare makes a dataset folder")
    found = {split: split_path(folder, split) for split in SPLITS}
    found = {split: path for split, path in found.items() if path.is_file()}
    if not found:
        raise DataError(
            f"{folder}: no train.jsonl, validation.jsonl or test.jsonl in it",
            hint="ethtune prepare EXPORT --output " + str(folder),
        )
    return found


def read_split(folder: Path, split: Split) -> Iterator[Example]:
    """Examples of one split of a dataset folder, in their order."""
    return read_file(split_path(folder, split))


def read_file(file: Path) -> Iterator[Example]:
    """Examples of a JSONL file, in their order."""
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield _example(line, f"{file}:{number}")
    except OSError as error:
        raise DataError(
            f"{file}: cannot be read: {error.strerror or error}",
            hint="ethtune prepare makes a dataset folder",
        ) from error


def _example(line: bytes, where: str) -> Example:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON: {error}", hint=_HINT) from None
    fault = row_fault(row)
    if fault:
        raise DataError(f"{where}: {fault}", hint=_HINT)
    return example_from(row, where)


def example_from(row: dict[str, Any], where: str) -> Example:
    """The record of a row without fault; its place is its id where it has none."""
    return Example(
        id=str(row.get("id") or where),
        instruction=row["instruction"],
        input=row["input"],
        output=row["output"],
        meta=row.get("meta") or {},
    )


def row_fault(row: Any) -> str | None:
    """What keeps plain data from being an example; None when nothing does."""
    if not isinstance(row, dict):
        return f"expected a JSON object, found {type(row).__name__}"
    for key in ROW_KEYS:
        if key not in row:
            return f'no key "{key}"; the row has {sorted(map(str, row))[:6]}'
        if not isinstance(row[key], str):
            return f"{key} is {quoted(row[key])}, expected a text"
    if not row["output"].strip():
        return EMPTY_OUTPUT
    if not isinstance(row.get("meta"), (dict, type(None))):
        return f"meta is {quoted(row['meta'])}, expected an object"
    return None
