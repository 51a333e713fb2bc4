"""One reference and one prediction in, which fields of the intent are right out.

The order of movements and of secondary effects means nothing; that of ``via`` is how wrappers nest.
Amounts are exact strings: "1.50" is no amount, "1.5" and "1.500001" differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ethtune.core.intent import Intent, Movement
from ethtune.scoring.parse import ParsedText, parse_text

FIELDS = (
    "action", "protocol", "outcome", "via", "sent", "received", "approved",
    "recipient", "spender", "secondary",
)  # fmt: skip
MOVEMENT_FIELDS = ("sent", "received", "approved")
INVALID = "(invalid)"  # stands for the action of a text that is no intent


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judged row. ``wrong`` names the fields that differ, all of them where nothing was said."""

    id: str
    expected: Intent
    parsed: ParsedText
    wrong: tuple[str, ...]
    is_finished: bool = True

    @property
    def predicted(self) -> Intent | None:
        """None where the text was no intent."""
        return self.parsed.intent

    @property
    def is_exact(self) -> bool:
        """Every field of the intent is right."""
        return not self.wrong

    @property
    def action(self) -> str:
        """The predicted action, or INVALID."""
        return self.predicted.action if self.predicted else INVALID


def judge(example_id: str, expected: Intent, text: str, *, is_finished: bool = True) -> Verdict:
    """Parse what a model wrote for a row and compare it. ``is_finished``: it was not cut off."""
    parsed = parse_text(text)
    wrong = FIELDS if parsed.intent is None else wrong_fields(expected, parsed.intent)
    return Verdict(example_id, expected, parsed, wrong, is_finished)


def wrong_fields(expected: Intent, predicted: Intent) -> tuple[str, ...]:
    """Names of the fields that differ, in the order of the schema."""
    return tuple(
        name for name in FIELDS if _comparable(expected, name) != _comparable(predicted, name)
    )


def _comparable(intent: Intent, name: str) -> Any:
    value = getattr(intent, name)
    if name in MOVEMENT_FIELDS:
        return sorted(map(_movement_key, value))
    return sorted(value) if name == "secondary" else value


def _movement_key(movement: Movement) -> tuple[str, ...]:
    optional = (movement.amount, movement.token_id, movement.bound)
    return (movement.asset, *("" if value is None else value for value in optional))
