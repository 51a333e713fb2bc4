"""The two streams: data on stdout, talk on stderr; foreign text never becomes markup."""

from __future__ import annotations

import io
import json
import os
import re
import sys
import traceback
from collections.abc import Mapping
from typing import Any

from rich.console import Console, RenderableType
from rich.text import Text

from ethtune.core.errors import EthtuneError, Interrupted
from ethtune.core.redaction import redact

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

# a file or a pipe has no width: wide enough that commands in it stay on one line
_WIDTH = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 120

for _stream in (sys.stdout, sys.stderr):
    if isinstance(_stream, io.TextIOWrapper):  # a dash must not end a run on a cp1252 stream
        _stream.reconfigure(errors="replace")
stdout = Console(highlight=False, markup=False, soft_wrap=False, width=_WIDTH)
stderr = Console(stderr=True, highlight=False, markup=False)


def clean(text: str) -> str:
    """Foreign text made harmless for a terminal: no control or direction characters, no tokens."""
    return redact(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", text))


def show(*renderables: RenderableType) -> None:
    """Print a report on stdout."""
    stdout.print(*renderables)


def show_json(plain: Mapping[str, Any]) -> None:
    """Print one JSON document on stdout, the same bytes whatever the terminal."""
    sys.stdout.write(json.dumps(plain, indent=2, ensure_ascii=False) + "\n")


def say(text: str, *, style: str | None = None) -> None:
    """One line of talk on stderr."""
    stderr.print(Text(clean(text), style=style or ""), soft_wrap=True)


def show_error(error: EthtuneError) -> None:
    """What is wrong, and what to do next. A stop that was asked for is no error."""
    is_asked = isinstance(error, Interrupted)
    line = Text() if is_asked else Text("error: ", style="bold red")
    line.append(clean(error.message), style="default")
    stderr.print(line, soft_wrap=True)
    if error.hint:
        hint = Text("  next: " if is_asked else "  try: ", style="bold")
        hint.append(clean(error.hint), style="not bold")
        stderr.print(hint, soft_wrap=True)


def show_bug(error: BaseException) -> None:
    """A traceback without local variables, which may hold secrets, and where to report it."""
    stderr.print(Text(clean("".join(traceback.format_exception(error)))), soft_wrap=True)
    stderr.print(Text("This is a fault of ethtune. Please report it with the lines above."))
