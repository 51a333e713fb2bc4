"""Rows in, a Markdown table out; and a document's marked part replaced by such tables.

The part begins with a line ``<!-- figures: NAME -->`` and ends with ``<!-- end -->``, so that no
figure in a document is typed by hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Line by line; every column but the first is set right."""
    rows = list(rows)
    widths = [max(len(row[at]) for row in [header, *rows]) for at in range(len(header))]
    yield _line(header, widths)
    yield "|" + "|".join("-" * (w + 1) + (":" if at else "-") for at, w in enumerate(widths)) + "|"
    for row in rows:
        yield _line(row, widths)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    parts = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
    return "| " + " | ".join(parts) + " |"


def fill(document: Path, name: str, lines: Iterable[str]) -> None:
    """Put ``lines`` where ``document`` has its mark for ``name``. Raises ValueError without one."""
    text = document.read_text("utf-8")
    pattern = rf"(<!-- figures: {name} -->\n).*?(<!-- end -->)"
    body = "\n".join(lines).strip()
    filled, count = re.subn(
        pattern, lambda found: f"{found[1]}\n{body}\n\n{found[2]}", text, flags=re.DOTALL
    )
    if count != 1:
        raise ValueError(f"{document} has no single mark for figures of {name}")
    document.write_text(filled, encoding="utf-8")
