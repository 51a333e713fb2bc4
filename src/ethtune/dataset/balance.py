"""Rows counted, one by one, in; what is wrong with them as a whole out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ethtune.core.intent import Intent
from ethtune.dataset.findings import Fault
from ethtune.dataset.prompts import PROMPT_VERSION
from ethtune.dataset.rowforms import Row
from ethtune.dataset.splits import SPLITS, Split

_DOMINANT_SHARE = 0.8
_LISTED_MAX = 8


@dataclass(slots=True)
class Tally:
    """How many rows could be read, by split, class, prompt version and view."""

    rows: Counter[Split] = field(default_factory=Counter)
    actions: dict[Split, Counter[str]] = field(default_factory=dict)
    versions: Counter[str] = field(default_factory=Counter)
    views: Counter[str] = field(default_factory=Counter)

    def add(self, row: Row, intent: Intent | None, split: Split) -> None:
        """Count a row."""
        self.rows[split] += 1
        if intent is not None:
            self.actions.setdefault(split, Counter())[intent.action] += 1
        meta = row.plain.get("meta")
        for key, counter in (("prompt_version", self.versions), ("view", self.views)):
            if isinstance(meta, Mapping) and isinstance(meta.get(key), (str, int)):
                counter[str(meta[key])[:40]] += 1


def balance_faults(tally: Tally, *, is_folder: bool) -> Iterator[Fault]:
    """Missing splits, classes without balance, prompts that do not go together.

    A single file has no other splits that could be missing.
    """
    if not tally.rows["train"]:
        yield Fault("E501", "train.jsonl is missing or has no usable row", "train")
    for split in SPLITS[1:] if is_folder else ():
        if not tally.rows[split]:
            yield Fault("W502", f"{split}.jsonl is missing or has no usable row", split)
    trained = tally.actions.get("train", Counter())
    total = trained.total()
    for action, count in trained.most_common(1):
        if count > _DOMINANT_SHARE * total:
            yield Fault("W503", f"{count / total:.0%} of the training rows are {action}", action)
    later = {
        action for split, counts in tally.actions.items() if split != "train" for action in counts
    }
    unseen = sorted(later - set(trained))
    if unseen and total:
        listed = ", ".join(unseen[:_LISTED_MAX])
        yield Fault("W504", f"not in the training rows: {listed}", listed)
    yield from _mixtures(tally)


def _mixtures(tally: Tally) -> Iterator[Fault]:
    versions = ", ".join(sorted(tally.versions))
    if len(tally.versions) > 1:
        yield Fault("W505", f"versions {versions}", versions)
    elif versions and versions != str(PROMPT_VERSION):
        yield Fault("W506", f"version {versions}, this ethtune writes {PROMPT_VERSION}", versions)
    if len(tally.views) > 1:
        views = ", ".join(f"{count:,} {view}" for view, count in sorted(tally.views.items()))
        yield Fault("W507", f"views: {views}", views)
