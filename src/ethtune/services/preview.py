"""Three training rows as the trainer will see them: what is given, what is learned; text out.

Made of the trainer's own labels, not of what they should be, so that a row that teaches nothing, or
everything, or never to stop, is seen before the weights load.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ethtune.core.errors import DataError
from ethtune.core.tokens import TokenRow
from ethtune.services.rows import TrainingRows

if TYPE_CHECKING:
    from ethtune.model.tokenizer import PromptTokenizer

_WIDTH = 100


def preview(rows: TrainingRows, tokenizer: PromptTokenizer) -> str:
    """For people to read. Raises DataError where the labels of a row are not an answer's."""
    shortest, usual, longest = _chosen([row for pack in rows.train for row in pack])
    shown = {"the shortest": shortest, "of usual length": usual, "the longest": longest}
    paragraphs = [_summary(rows, tokenizer)]
    for what, row in shown.items():
        paragraphs.append("\n".join(_row_lines(row, what, tokenizer)))
    return "\n\n".join(paragraphs) + "\n"


def _chosen(rows: list[TokenRow]) -> tuple[TokenRow, TokenRow, TokenRow]:
    ordered = sorted(rows, key=lambda row: len(row.input_ids))
    return ordered[0], ordered[len(ordered) // 2], ordered[-1]


def _summary(rows: TrainingRows, tokenizer: PromptTokenizer) -> str:
    train = [row for pack in rows.train for row in pack]
    total = sum(len(row.input_ids) for row in train)
    learned = sum(row.num_labels for row in train)
    text = (
        f"What the model is given and what it learns, in three training rows. {len(train):,} rows "
        f"train in {len(rows.train):,} sequences, {sum(map(len, rows.validation)):,} validate, "
        f"{len(rows.too_long):,} are left out. Of {total:,} tokens {learned:,} are learned "
        f"({learned / total:.0%}): the answers, each with its end, "
        f"{_token_text(tokenizer.end_id, tokenizer)} (token {tokenizer.end_id})."
    )
    return textwrap.fill(text, _WIDTH)


def _row_lines(row: TokenRow, what: str, tokenizer: PromptTokenizer) -> Iterator[str]:
    from ethtune.model.batches import IGNORED, features

    seen: dict[str, Any] = features([row])
    given: list[int] = []
    learned: list[int] = []
    for token, label in zip(seen["input_ids"], seen["labels"], strict=True):
        (given if label == IGNORED else learned).append(token)
    _require_an_answer(row.id, given, learned, tokenizer)
    yield f"row {row.id}, {what}: {len(given):,} tokens given, {len(learned):,} learned"
    yield "--- given, not learned"
    yield str(tokenizer.tokenizer.decode(given, skip_special_tokens=False))
    yield "--- learned, token by token"
    yield from _wrapped([_token_text(token, tokenizer) for token in learned])


def _require_an_answer(
    row_id: str, given: list[int], learned: list[int], tokenizer: PromptTokenizer
) -> None:
    if not learned:
        problem = "no token of it would be learned"
    elif not given:
        problem = "all of it would be learned, the prompt too"
    elif learned[-1] != tokenizer.end_id:
        problem = "its last learned token is not the one that ends an answer"
    else:
        return
    raise DataError(f"row {row_id}: {problem}", hint="please report this with the row")


def _wrapped(words: list[str]) -> Iterator[str]:
    """Lines of whole words; a word may hold spaces."""
    line = ""
    for word in words:
        if line and len(line) + 1 + len(word) > _WIDTH:
            yield line
            line = ""
        line = f"{line} {word}" if line else word
    yield line


def _token_text(token: int, tokenizer: PromptTokenizer) -> str:
    return repr(str(tokenizer.tokenizer.decode([token], skip_special_tokens=False)))
