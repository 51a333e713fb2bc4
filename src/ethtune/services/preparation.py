"""Exports in, a dataset folder out: rows in three splits, a manifest, a card, what was rejected.

    export ──read──▶ records ──make──▶ rows ──spool, limit, split──▶ train | validation | test
                             workers                                   └──augment──┘

Every record is accounted for: read = kept + rejected + duplicates + limited. The same input and
seed give the same bytes with any number of workers; the folder appears complete or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from ethtune.chain.sources import (
    SourceRecord,
    Unread,
    record_of,
    token_files,
    unread_transactions,
)
from ethtune.chain.sources.streams import files_of
from ethtune.chain.tokens import TokenRegistry
from ethtune.core.events import SILENT, Emit, Message, Progress
from ethtune.core.signals import StopSignals
from ethtune.dataset.limits import (
    drop_class,
    limit_alike,
    limit_classes,
    limit_contracts,
    small_classes,
)
from ethtune.dataset.splits import SPLITS, assign_splits
from ethtune.dataset.spool import Spool, open_spool
from ethtune.services.augmentation import augment
from ethtune.services.datasetfolder import dataset_folder
from ethtune.services.datasetmanifest import (
    in_characters,
    in_tokens,
    manifest_of,
    source_facts,
    write_manifest,
    write_splits,
)
from ethtune.services.intake import Intake
from ethtune.services.labels import UserLabels, open_labels
from ethtune.services.prepareoptions import PrepareOptions
from ethtune.services.rowmaker import RowMaker, record_name
from ethtune.services.validation import open_tokenizer
from ethtune.services.workers import in_order

USABLE_ROWS_MIN = 10
_PROGRESS_ROWS = 250
_LABELS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class PreparationReport:
    """What became of the records; ``manifest`` is that of the dataset folder."""

    output: Path
    manifest: dict[str, Any]

    @property
    def kept(self) -> int:
        """Rows in the three splits, augmented ones aside."""
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
    token_lists = (*options.tokens, *chain.from_iterable(map(token_files, sources)))
    maker = RowMaker(options.view, TokenRegistry.with_files(token_lists))
    readers = [unread_transactions(source) for source in sources]
    base_model = options.base_model
    measure = in_tokens(open_tokenizer(base_model, events=events)) if base_model else in_characters
    with (
        StopSignals(lambda: None),
        dataset_folder(output, overwrite=options.overwrite) as staging,
        open_spool() as spool,
        open_labels(options.labels) as labels,
    ):
        records: Iterable[SourceRecord | Unread]
        records = islice(chain.from_iterable(readers), options.limit)
        if options.labels:
            records = map(labels.attach, map(record_of, records))
        intake = _take_in(records, maker, staging, spool, options, events)
        small = _limit(spool, options)
        assign_splits(spool.database, options.split, order=options.order, seed=options.seed)
        (kept,) = spool.query("SELECT COUNT(*) FROM placed")[0]
        augmented = augment(spool, maker, options, events)
        manifest = (
            manifest_of(spool, write_splits(staging, spool, measure), tokenizer=base_model)
            | _account(intake, kept, labels)
            | {
                "augmented": dict(sorted(augmented.items())),
                "options": options.as_dict(),
                "sources": [source_facts(path) for path in _inputs(sources, options)],
            }
        )
        assert manifest["read"] == kept + sum(
            (manifest["duplicates"], *manifest["rejected"].values(), *manifest["limited"].values())
        )
        write_manifest(staging, manifest)
        for warning in _warnings(manifest, labels, small, options):
            events(Message("warning", warning))
    return PreparationReport(output, manifest)


def _take_in(
    records: Iterable[SourceRecord | Unread],
    maker: RowMaker,
    staging: Path,
    spool: Spool,
    options: PrepareOptions,
    events: Emit,
) -> Intake:
    """Make rows of the records and spool them."""
    pairs = in_order(records, maker, workers=options.workers, name=record_name)
    path = staging / "rejected.jsonl"
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as rejections:
        intake = Intake(spool, rejections, keeps_sources=options.augment is not None, events=events)
        with closing(pairs):
            for record, made in pairs:
                intake.take(record, made)
                if intake.num_read % _PROGRESS_ROWS == 0:
                    events(Progress("preparing", intake.num_read, options.limit))
    return intake


def _limit(spool: Spool, options: PrepareOptions) -> dict[str, int]:
    """Mark the rows that are too many; classes below the least, dropped unless they can grow."""
    database, seed = spool.database, options.seed
    limit_alike(database, options.max_alike, seed=seed)
    limit_contracts(database, options.max_contract_share, seed=seed)
    if options.max_per_class is not None:
        limit_classes(database, options.max_per_class, seed=seed)
    small = small_classes(database, options.min_per_class or 0)
    if options.augment is None:
        for action in small:
            drop_class(database, action)
    return small


def _account(intake: Intake, kept: int, labels: UserLabels) -> dict[str, Any]:
    rejected = sorted(intake.rejected.items(), key=lambda item: (-item[1], item[0]))
    return {
        "read": intake.num_read,
        "kept": kept,
        "duplicates": intake.num_duplicates,
        "rejected": dict(rejected),
        "own_labels": labels.counts(),
    }


def _inputs(sources: Sequence[Path], options: PrepareOptions) -> list[Path]:
    """Every file that had a say, those of folders and patterns in order of name."""
    paths = (*sources, *options.tokens, *filter(None, [options.labels]))
    return list(chain.from_iterable(map(files_of, paths)))


def _warnings(
    manifest: Mapping[str, Any],
    labels: UserLabels,
    small: Mapping[str, int],
    options: PrepareOptions,
) -> Iterator[str]:
    """What a user would not expect."""
    for split, share in zip(SPLITS, options.split, strict=True):
        if share and not manifest["splits"][split]["rows"]:
            yield f"the {split} split is empty: too few rows that differ in kind"
    for action, size in small.items():
        total = size + manifest["augmented"].get(action, 0)
        if options.augment is None:
            yield f"{action} has {size} rows, fewer than --min-per-class: left out"
        elif total < (options.min_per_class or 0):
            yield f"{action} has {total} rows even with augmentation, fewer than --min-per-class"
    unused = manifest["own_labels"]["given"] - manifest["own_labels"]["used"]
    if unused:
        shown = ", ".join(labels.unused_examples(_LABELS_SHOWN))
        yield f"{unused:,} of your labels name no transaction of the input: {shown}…"
