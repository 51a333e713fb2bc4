"""Training labels in, the answers of a model that learned nothing but their frequencies out.

The rules that label the data are no baseline for it: where they wrote the reference they agree
with it by construction. They become one only on rows that people labelled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from ethtune.core.intent import Intent


def majority(intents: Iterable[Intent]) -> Intent | None:
    """The constant answer that is right most often, key by key; None where there are no intents.

    It names the most frequent action, protocol and outcome and no movement at all: assets and
    amounts belong to one transaction and have no majority.
    """
    actions: Counter[Any] = Counter()
    protocols: Counter[Any] = Counter()
    outcomes: Counter[Any] = Counter()
    for intent in intents:
        actions[intent.action] += 1
        protocols[intent.protocol] += 1
        outcomes[intent.outcome] += 1
    if not actions:
        return None
    return Intent(
        action=_most_frequent(actions),
        protocol=_most_frequent(protocols),
        outcome=_most_frequent(outcomes),
    )


def _most_frequent(counts: Counter[Any]) -> Any:
    """Of equally frequent ones the alphabetically first, so that the row order says nothing."""
    return min(counts, key=lambda value: (-counts[value], str(value)))
