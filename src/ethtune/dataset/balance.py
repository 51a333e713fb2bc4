"""All rows of a dataset in, findings about it as a whole out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from ethtune.dataset.checks import CheckedRow
from ethtune.dataset.findings import Finding
from ethtune.dataset.prompts import PROMPT_VERSION
from ethtune.dataset.splits import SPLITS

_DOMINANT_SHARE = 0.8
_LISTED_MAX = 8


def check_balance(rows: Sequence[CheckedRow], where: str) -> Iterator[Finding]:
    """Missing splits, classes without balance, prompts that do not go together."""
    sizes = Counter(row.split for row in rows)
    if not sizes["train"]:
        yield Finding("E501", where, "train.jsonl is missing or has no usable row")
    for split in SPLITS[1:]:
        if not sizes[split]:
            yield Finding("W502", where, f"{split}.jsonl is missing or has no usable row")
    trained = Counter(row.action for row in rows if row.split == "train" and row.action)
    total = sum(trained.values())
    for action, count in trained.most_common(1):
        if count > _DOMINANT_SHARE * total:
            yield Finding("W503", where, f"{count / total:.0%} of the training rows are {action}")
    later = {row.action for row in rows if row.split != "train" and row.action}
    unseen = sorted(later - set(trained))
    if unseen and total:
        listed = ", ".join(unseen[:_LISTED_MAX])
        yield Finding("W504", where, f"not in the training rows: {listed}")
    yield from _check_versions(rows, where)


def _check_versions(rows: Sequence[CheckedRow], where: str) -> Iterator[Finding]:
    versions = {row.prompt_version for row in rows if row.prompt_version is not None}
    if len(versions) > 1:
        yield Finding("W505", where, f"versions {', '.join(sorted(map(str, versions)))}")
    elif versions and versions != {PROMPT_VERSION}:
        yield Finding(
            "W506", where, f"version {versions.pop()}, this ethtune writes {PROMPT_VERSION}"
        )
