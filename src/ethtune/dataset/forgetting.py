"""A described transaction in, the same with names missing out: as if its code were unknown.

On the long tail a model meets functions and events that no table knows. The caller checks that the
label still follows from what is left.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

from ethtune.core.described import DescribedTransaction

_EVENT_SHARE = 0.25


def forget_names(described: DescribedTransaction, rng: Random) -> DescribedTransaction:
    """Without the name of the function and its arguments, and without those of some events."""
    topics = sorted({str(event.topic0) for event in described.events if event.name is not None})
    forgotten = {topic for topic in topics if rng.random() < _EVENT_SHARE}
    events = tuple(
        replace(event, name=None, arguments=()) if event.topic0 in forgotten else event
        for event in described.events
    )
    return replace(described, function=None, arguments=(), calls=(), signature=None, events=events)
