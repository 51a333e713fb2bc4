"""Examples in, token rows out: prompt, then completion with its end token; nothing is ever cut.

    | prompt …            | completion … | end |
    | not learned (-100)  | learned              |
    0              prompt_length          len(input_ids)

No tokenizer library is imported here: whoever implements ``TokenizerLike`` does that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from ethtune.core.example import Example
from ethtune.core.tokens import TokenRow


class TokenizerLike(Protocol):
    """A tokenizer that knows the chat format of its model."""

    end_id: int
    """The token at which generation stops."""

    def encode_prompt(self, prompt: str, /) -> list[int]:
        """The user's turn and everything up to where the answer begins."""

    def encode_completion(self, completion: str, /) -> list[int]:
        """The answer, ending with the end token."""


@dataclass(frozen=True, slots=True)
class TooLong:
    """A row that does not fit whole; training on half of it would teach to stop mid-answer."""

    id: str
    length: int
    max_seq_length: int


def tokenize(
    examples: Iterable[Example], tokenizer: TokenizerLike, max_seq_length: int
) -> Iterator[TokenRow | TooLong]:
    """One result per example, in order. Raises ValueError for an answer without its end token."""
    for example in examples:
        prompt = tokenizer.encode_prompt(example.prompt)
        completion = tokenizer.encode_completion(example.output)
        length = len(prompt) + len(completion)
        if length > max_seq_length:
            yield TooLong(example.id, length, max_seq_length)
        else:
            yield TokenRow(example.id, (*prompt, *completion), len(prompt), tokenizer.end_id)
