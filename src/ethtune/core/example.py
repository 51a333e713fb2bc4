"""One training row: what the model is given, what it must answer, and where it comes from."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

_to_json = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


@dataclass(frozen=True, slots=True)
class Example:
    """``instruction`` and ``input`` make the prompt, ``output`` the completion that is learned.

    ``id`` is the transaction hash; ``meta`` never reaches the model (view, prompt version, action,
    contract and selector for splitting).
    """

    id: str
    instruction: str
    input: str
    output: str
    meta: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.output.strip():
            raise ValueError(f"example {self.id}: empty output, nothing to learn")

    @property
    def prompt(self) -> str:
        """The user's turn: instruction, newline, input."""
        return f"{self.instruction}\n{self.input}"

    def to_json(self) -> str:
        """One JSONL row without its newline; same bytes for the same example."""
        row = {
            "id": self.id,
            "instruction": self.instruction,
            "input": self.input,
            "output": self.output,
            "meta": self.meta,
        }
        return _to_json(row)
