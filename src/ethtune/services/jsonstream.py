"""A JSON document with one long list in, its text out piece by piece, never whole in memory."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

HERE = "\N{NULL}the list"
"""Stands in the document where the list belongs."""


def json_chunks(plain: Mapping[str, Any], items: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """``plain`` with ``items`` in the place of ``HERE``, one item a line."""
    text = json.dumps(plain, indent=2, ensure_ascii=False)
    head, _, tail = text.partition(json.dumps(HERE))
    yield head + "["
    separator = "\n"
    for item in items:
        yield separator + json.dumps(item, ensure_ascii=False)
        separator = ",\n"
    yield "]" + tail + "\n"
