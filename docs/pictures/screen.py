"""A terminal's screen as SVG that looks the same everywhere: Rich's export, without its web font.

Curves are made of braille signs, which few fonts have: their dots are drawn instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape, unescape
from pathlib import Path

from rich.console import Console

_WIDTH, _HEIGHT, _BASE = 12.2, 24.4, 20.0  # of a character in Rich's export; its base line
_SIZE = 3  # of a dot
_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # by dot row, dot column
_FONTS = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
_TEXT = re.compile(
    r'<text class="([\w-]+)" x="([\d.]+)" y="([\d.]+)"([^>]*)>([^<]*[⠀-⣿][^<]*)</text>'
)


def save_screen(console: Console, path: Path, title: str) -> None:
    """Write what a recording console has shown."""
    svg = console.export_svg(title=title, unique_id=path.stem)
    svg = re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    svg = svg.replace("Fira Code, monospace", _FONTS)
    path.write_text(_TEXT.sub(_drawn, svg), encoding="utf-8")


def _drawn(found: re.Match[str]) -> str:
    """The text without its braille signs, then their dots."""
    style, x, y, rest, content = found.groups()
    text = unescape(content)
    dots = "".join(
        f"M{left - _SIZE / 2:.1f} {top - _SIZE / 2:.1f}h{_SIZE}v{_SIZE}h-{_SIZE}z"
        for i, sign in enumerate(text)
        for left, top in _dots(sign, float(x) + i * _WIDTH, float(y) - _BASE)
    )
    kept = re.sub("[⠀-⣿]", "\N{NO-BREAK SPACE}", text)
    words = ""
    if kept.strip():
        plain = escape(kept).replace("\N{NO-BREAK SPACE}", "&#160;")
        words = f'<text class="{style}" x="{x}" y="{y}"{rest}>{plain}</text>'
    return f'{words}<path class="{style}" d="{dots}"/>'


def _dots(sign: str, left: float, top: float) -> Iterator[tuple[float, float]]:
    bits = ord(sign) - 0x2800
    if 0 < bits < 0x100:
        for row in range(4):
            for column in range(2):
                if bits & _BITS[row][column]:
                    yield left + (column + 0.5) * _WIDTH / 2, top + (row + 0.5) * _HEIGHT / 4
