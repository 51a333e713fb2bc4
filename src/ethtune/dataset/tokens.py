"""Examples in, token rows out: prompt, then completion with its end token; nothing is ever cut.

    | prompt …            | completion … | end |
    | not learned (-100)  | learned              |
    0              prompt_length          len(input_ids)

No tokenizer library is imported here: whoever implements ``TokenizerLike`` does that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from ethtune.core.errors import DataError
from ethtune.core.example import Example
from ethtune.core.tokens import TokenRow

_BATCH_ROWS = 512  # enough for a tokenizer to use every core


class TokenizerLike(Protocol):
    """A tokenizer that knows the chat format of its model."""

    end_id: int
    """The token at which generation stops."""

    def encode_rows(
        self, prompts: Sequence[str], completions: Sequence[str], /
    ) -> list[tuple[list[int], list[int]]]:
        """Of each row the user's turn up to where the answer begins, and the answer with its end.

        Many rows at once, so that all cores can work.
        """


@dataclass(frozen=True, slots=True)
class TooLong:
    """A row that does not fit whole; training on half of it would teach to stop mid-answer."""

    id: str
    length: int
    max_seq_length: int


def tokenize(
    examples: Iterable[Example], tokenizer: TokenizerLike, max_seq_length: int
) -> Iterator[TokenRow | TooLong]:
    """One result per example, in order.

    Raises DataError where nothing or everything would be learned, ValueError for an answer without
    its end token.
    """
    remaining = iter(examples)
    while batch := list(islice(remaining, _BATCH_ROWS)):
        encoded = tokenizer.encode_rows(
            [example.prompt for example in batch], [example.output for example in batch]
        )
        for example, (prompt, completion) in zip(batch, encoded, strict=True):
            _require_both(example, prompt, completion)
            length = len(prompt) + len(completion)
            if length > max_seq_length:
                yield TooLong(example.id, length, max_seq_length)
            else:
                yield TokenRow(example.id, (*prompt, *completion), len(prompt), tokenizer.end_id)


def _require_both(example: Example, prompt: Sequence[int], completion: Sequence[int]) -> None:
    if not prompt:
        raise DataError(
            f"row {example.id}: the model's chat template writes nothing before the answer, so the "
            "whole row would be learned",
            hint="choose a base model whose template shows the user's turn",
        )
    if len(completion) < 2:
        raise DataError(
            f"row {example.id}: the tokenizer makes no token of the output {example.output[:40]!r}",
            hint="choose a base model whose tokenizer knows these characters",
        )
