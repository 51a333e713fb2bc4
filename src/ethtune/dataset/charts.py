"""Counts in, a bar chart as SVG out: the same bytes for the same counts, no library.

Colours follow the reader's light or dark theme.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape

_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#24292f}.title{font-weight:600}rect{fill:#3572b0}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}rect{fill:#6cb0f5}}"
)
_WIDTH, _TITLE, _MARGIN = 720, 30, 8
_ROW, _BAR, _NAME_WIDTH, _NUMBER_WIDTH = 20, 14, 140, 80


def bar_chart(title: str, counts: Mapping[str, int], *, is_logarithmic: bool = False) -> str:
    """One bar a name, in the order given; logarithmic where counts differ widely."""
    sizes = {name: math.log1p(count) if is_logarithmic else count for name, count in counts.items()}
    scale = (_WIDTH - _NAME_WIDTH - _NUMBER_WIDTH) / max(*sizes.values(), 1, 1)
    height = _TITLE + len(counts) * _ROW + _MARGIN
    named = escape(title + (" (logarithmic)" if is_logarithmic else ""))
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" role="img">',
        f"<title>{named}</title>",
        f"<style>{_STYLE}</style>",
        f'<text class="title" x="{_MARGIN}" y="18">{named}</text>',
    ]
    for place, (name, count) in enumerate(counts.items()):
        top, width = _TITLE + place * _ROW, max(scale * sizes[name], 1)
        base, end = top + _BAR - 3, _NAME_WIDTH + width
        lines += [
            f'<text x="{_NAME_WIDTH - _MARGIN}" y="{base}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{_NAME_WIDTH}" y="{top}" width="{width:.1f}" height="{_BAR}"/>',
            f'<text x="{end + _MARGIN:.1f}" y="{base}">{count:,}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])
