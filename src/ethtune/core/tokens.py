"""A training row as token ids: what ``dataset`` produces and ``model`` consumes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TokenRow:
    """``input_ids`` is prompt then completion; only the completion, end token included, is learned.

    A row that could teach nothing, or could never teach to stop, cannot be built.
    """

    id: str
    input_ids: tuple[int, ...]
    prompt_length: int
    end_id: int

    def __post_init__(self) -> None:
        if not 0 < self.prompt_length < len(self.input_ids):
            raise ValueError(f"row {self.id}: prompt of {self.prompt_length} tokens, nothing after")
        if self.input_ids[-1] != self.end_id:
            raise ValueError(f"row {self.id}: the last token is not the end token {self.end_id}")

    @property
    def num_labels(self) -> int:
        """Tokens that count in the loss."""
        return len(self.input_ids) - self.prompt_length
