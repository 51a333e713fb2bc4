"""A model's text in, the intent it says out, or the reason why it says none.

Only white space around the JSON is forgiven: text before or after it, a code fence, a missing
brace are faults of the model and count as such.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import NoReturn

from ethtune.core.intent import Intent, InvalidIntent, parse_intent


@dataclass(frozen=True, slots=True)
class ParsedText:
    """``intent`` is None exactly when ``reason`` says why; ``is_json`` may hold all the same."""

    is_json: bool
    intent: Intent | None = None
    reason: str | None = None


def parse_text(text: str) -> ParsedText:
    """Judge what a model wrote; never raises."""
    stripped = text.strip()
    if not stripped:
        return ParsedText(is_json=False, reason="empty text")
    is_json = _is_json(stripped)
    try:
        intent = parse_intent(stripped)
        # An escaped half of a surrogate pair is JSON, but no text that could be stored or shown.
        intent.to_json().encode()
    except InvalidIntent as error:
        return ParsedText(is_json=is_json, reason=str(error))
    except UnicodeEncodeError:
        return ParsedText(is_json=is_json, reason="a string holds half a surrogate pair")
    return ParsedText(is_json=is_json, intent=intent)


def _is_json(text: str) -> bool:
    try:
        json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse_constant(name: str) -> NoReturn:
    """Python reads NaN and Infinity; JSON has neither."""
    raise ValueError(name)
