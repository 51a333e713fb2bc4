"""Exports in, a dataset folder out: rows in three splits, a manifest, a card, what was rejected.

    export ──read──▶ transactions ──describe, decode──▶ intents ──render, ground──▶ examples
           ──likeness──▶ groups ──assign──▶ train | validation | test

Every record is accounted for: read = kept + rejected + duplicates + limited. The same input and
seed give the same bytes; the folder appears complete or not at all.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, cast

from ethtune import __version__
from ethtune.chain.sources import read_transactions, token_files
from ethtune.chain.tokens import TokenRegistry
from ethtune.core.errors import UsageError
from ethtune.core.events import SILENT, Emit, Message, Progress
from ethtune.dataset.card import dataset_card
from ethtune.dataset.examples import View
from ethtune.dataset.prompts import INSTRUCTION, PROMPT_VERSION
from ethtune.dataset.splits import SPLITS, Order, Split, assign_splits, place_in_time
from ethtune.dataset.spool import Spool, SpooledRow
from ethtune.services.datasetfolder import DATASET_FORMAT, MANIFEST_NAME, dataset_folder
from ethtune.services.intake import Intake
from ethtune.services.labels import read_labels

USABLE_ROWS_MIN = 10
_PROGRESS_ROWS = 250


@dataclass(frozen=True, slots=True)
class PrepareOptions:
    """How exports become rows.

    ``tokens`` are token lists beyond those beside the exports; ``labels`` the user's intents by
    hash, which win over the rules; ``limit`` stops reading after so many records;
    ``max_per_class`` keeps at most so many rows of one action.
    """

    view: View = "receipt"
    split: tuple[float, float, float] = (0.7, 0.15, 0.15)
    order: Order = "time"
    seed: int = 42
    limit: int | None = None
    max_per_class: int | None = None
    labels: Path | None = None
    tokens: tuple[Path, ...] = ()
    overwrite: bool = False

    def __post_init__(self) -> None:
        if min(self.split) < 0 or self.split[0] == 0:
            raise UsageError(
                f"--split is {self.split}: no share may be negative, that of train not 0"
            )


@dataclass(frozen=True, slots=True)
class PreparationReport:
    """What became of the records; ``manifest`` is that of the dataset folder."""

    output: Path
    manifest: dict[str, Any]

    @property
    def kept(self) -> int:
        """Rows in the three splits."""
        return int(self.manifest["kept"])

    @property
    def is_usable(self) -> bool:
        """Enough rows to call it a dataset."""
        return self.kept >= USABLE_ROWS_MIN

    def as_dict(self) -> dict[str, Any]:
        """Plain data for ``--json``: where it is, and its manifest."""
        return {"output": str(self.output), "usable": self.is_usable} | self.manifest


def prepare(
    sources: Sequence[Path], output: Path, *, options: PrepareOptions, events: Emit = SILENT
) -> PreparationReport:
    """Write the dataset folder. Raises DataError for input that cannot be read at all."""
    labels = read_labels(options.labels) if options.labels else {}
    token_lists = (*options.tokens, *chain.from_iterable(map(token_files, sources)))
    registry = TokenRegistry.with_files(token_lists)
    readers = [read_transactions(source) for source in sources]
    with (
        dataset_folder(output, overwrite=options.overwrite) as staging,
        tempfile.TemporaryFile() as stream,
    ):
        spool = Spool(cast("Any", stream))
        with (staging / "rejected.jsonl").open("w", encoding="utf-8", newline="\n") as rejections:
            intake = Intake(options.view, registry, labels, spool, rejections)
            for record in islice(chain.from_iterable(readers), options.limit):
                intake.take(record)
                if intake.num_read % _PROGRESS_ROWS == 0:
                    events(Progress("preparing", intake.num_read, options.limit))
        splits = _split(spool.rows, options)
        files = [_write_split(staging, split, spool, splits[split]) for split in SPLITS]
        rows = {split: [spool.rows[number] for number in splits[split]] for split in SPLITS}
        manifest = _manifest(intake, len(spool.rows), rows, options) | {
            "sources": [_source(path) for path in _inputs(sources, options)],
            "files": files,
        }
        text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
        (staging / MANIFEST_NAME).write_bytes(text.encode())
        (staging / "README.md").write_bytes(dataset_card(manifest).encode())
    _warn(rows, options, events)
    return PreparationReport(output, manifest)


def _split(rows: Sequence[SpooledRow], options: PrepareOptions) -> dict[Split, list[int]]:
    """Row numbers by split, each in the order of blocks."""
    kept = _limited(rows, options)
    keys = [rows[number].key for number in kept]
    placed = assign_splits(keys, options.split, order=options.order, seed=options.seed)
    splits: dict[Split, list[int]] = {split: [] for split in SPLITS}
    for number, split in zip(kept, placed, strict=True):
        splits[split].append(number)
    for numbers in splits.values():
        numbers.sort(key=lambda number: place_in_time(rows[number].key))
    return splits


def _limited(rows: Sequence[SpooledRow], options: PrepareOptions) -> list[int]:
    """Numbers of the rows that stay: a seeded draw from every class that has too many."""
    if options.max_per_class is None:
        return list(range(len(rows)))
    by_action: dict[str, list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        by_action[row.action].append(number)

    def lot(number: int) -> bytes:
        return hashlib.sha256(f"{options.seed} {rows[number].key.id}".encode()).digest()

    drawn = (sorted(numbers, key=lot)[: options.max_per_class] for numbers in by_action.values())
    return sorted(chain.from_iterable(drawn))


def _write_split(
    folder: Path, split: Split, spool: Spool, numbers: Sequence[int]
) -> dict[str, Any]:
    """Write the rows; name, hash and count for the manifest."""
    digest = hashlib.sha256()
    path = folder / f"{split}.jsonl"
    with path.open("wb") as stream:
        for line in spool.lines(numbers):
            digest.update(line)
            stream.write(line)
    return {"name": path.name, "sha256": digest.hexdigest(), "rows": len(numbers)}


def _manifest(
    intake: Intake,
    num_spooled: int,
    splits: dict[Split, list[SpooledRow]],
    options: PrepareOptions,
) -> dict[str, Any]:
    """The accounts; nothing in them depends on the time or the machine."""
    kept = list(chain.from_iterable(splits.values()))
    limited = num_spooled - len(kept)
    rejected = sum(intake.rejected.values())
    assert intake.num_read == len(kept) + rejected + intake.num_duplicates + limited
    return {
        "format": DATASET_FORMAT,
        "ethtune": __version__,
        "prompt_version": PROMPT_VERSION,
        "instruction": INSTRUCTION,
        "read": intake.num_read,
        "kept": len(kept),
        "duplicates": intake.num_duplicates,
        "limited": limited,
        "rejected": _counts(intake.rejected),
        "labels": _counts(Counter(row.label_source for row in kept)),
        "splits": {
            split: {
                "rows": len(rows),
                "actions": _counts(Counter(row.action for row in rows)),
                "protocols": _counts(Counter(str(row.protocol) for row in rows)),
            }
            for split, rows in splits.items()
        },
        "options": {
            "view": options.view,
            "split": list(options.split),
            "order": options.order,
            "seed": options.seed,
            "limit": options.limit,
            "max_per_class": options.max_per_class,
        },
    }


def _counts(counter: Counter[str]) -> dict[str, int]:
    """Most frequent first, then by name."""
    return dict(sorted(counter.items(), key=lambda item: (-item[1], item[0])))


def _inputs(sources: Sequence[Path], options: PrepareOptions) -> list[Path]:
    """Every file that had a say, those of folders in order of name."""
    paths: Iterable[Path] = (*sources, *options.tokens, *filter(None, [options.labels]))
    return [
        file
        for path in paths
        for file in (sorted(path.rglob("*")) if path.is_dir() else [path])
        if file.is_file() and not file.name.startswith(".")
    ]


def _source(file: Path) -> dict[str, Any]:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return {"name": file.name, "sha256": digest.hexdigest(), "bytes": file.stat().st_size}


def _warn(rows: dict[Split, list[SpooledRow]], options: PrepareOptions, events: Emit) -> None:
    for split, share in zip(SPLITS, options.split, strict=True):
        if share and not rows[split]:
            events(
                Message("warning", f"the {split} split is empty: too few rows that differ in kind")
            )
