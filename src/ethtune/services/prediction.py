"""Transactions of any export in, one intent each out, with what needs no model joined in.

    export ──queries──▶ prompts ──generate──▶ texts ──parse──▶ intents ──join──▶ records

Answers come in the order of the input, a window of rows at a time, so that a long input shows its
first ones early.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ethtune.chain.case import open_case
from ethtune.chain.rpc import Endpoint
from ethtune.core.errors import DataError
from ethtune.core.events import SILENT, Emit, Progress
from ethtune.core.intent import Intent
from ethtune.dataset.grounding import ungrounded
from ethtune.scoring.decoding import DEFAULT_BATCH_SIZE, DEFAULT_MAX_NEW_TOKENS
from ethtune.scoring.joined import resolved_intent, transaction_facts
from ethtune.scoring.parse import ParsedText, parse_text
from ethtune.services.lookup import fetched_file
from ethtune.services.queries import Query, read_queries, spooled
from ethtune.services.tuned import find_tuned, opened

if TYPE_CHECKING:
    from ethtune.model.generate import Generation, Generator

_BATCHES_IN_WINDOW = 8  # enough rows to batch by length, few enough to see the first ones soon
_FOREIGN_PROMPT = (ValueError, ArithmeticError, AttributeError, TypeError)


@dataclass(frozen=True, slots=True)
class PredictionRequest:
    """``source`` is a file or folder of exports or prepared rows; None reads stdin.

    Where ``hashes`` are given, their transactions are fetched from ``endpoint`` instead.
    ``tokens`` are token lists beyond the built-in one and those beside the export.
    """

    run: Path
    source: Path | None = None
    hashes: tuple[str, ...] = ()
    endpoint: Endpoint | None = None
    tokens: tuple[Path, ...] = ()
    limit: int | None = None
    batch_size: int = DEFAULT_BATCH_SIZE
    max_new_tokens: int = DEFAULT_MAX_NEW_TOKENS


@dataclass(frozen=True, slots=True)
class PredictedIntent:
    """An answered row.

    ``ungrounded`` lists what the answer names and the prompt does not hold; None where that cannot
    be told: the answer is no intent, or the prompt of a prepared row is not of our making.
    """

    query: Query
    text: str
    parsed: ParsedText
    ungrounded: tuple[str, ...] | None
    is_finished: bool

    @property
    def is_valid(self) -> bool:
        """The text is an intent."""
        return self.parsed.intent is not None

    def as_dict(self) -> dict[str, Any]:
        """One line of output: the full record, or why there is none and what the model wrote."""
        described, intent = self.query.described, self.parsed.intent
        known = transaction_facts(described.transaction) if described else {"hash": self.query.id}
        if intent is None:
            reason = self.parsed.reason if self.is_finished else f"cut off: {self.parsed.reason}"
            return known | {"valid": False, "error": reason, "text": self.text}
        record = known | (resolved_intent(intent, described) if described else intent.as_dict())
        if described is not None:
            record["actor"] = open_case(described).actor
        record["valid"] = True
        if self.ungrounded is not None:
            record["grounded"] = not self.ungrounded
        if self.ungrounded:
            record["ungrounded"] = list(self.ungrounded)
        return record


def predict(request: PredictionRequest, *, events: Emit = SILENT) -> Iterator[PredictedIntent]:
    """Answer every row. Raises RunError without an adapter, DataError when nothing can be read.

    >>> request = PredictionRequest(run=Path("runs/demo"), source=Path("transactions.jsonl"))
    >>> for predicted in predict(request):  # doctest: +SKIP
    ...     print(json.dumps(predicted.as_dict()))
    {"hash": "0x5e…", "from": "0x28…", "fee_eth": "0.0021", "action": "swap", …, "valid": true}
    """
    tuned = find_tuned(request.run, events=events)
    with _input(request, events) as path:
        queries = itertools.islice(read_queries(path, request.tokens, events), request.limit)
        first = next(queries, None)
        if first is None:
            raise DataError(f"{path} holds no transaction that can be read")
        rest = itertools.chain([first], queries)
        with opened(tuned, events=events) as generator:
            size = request.batch_size * _BATCHES_IN_WINDOW
            num_answered = 0
            while window := list(itertools.islice(rest, size)):
                yield from _answer(window, generator, request)
                num_answered += len(window)
                events(Progress("answering", num_answered, request.limit))


def _input(request: PredictionRequest, events: Emit) -> AbstractContextManager[Path]:
    if request.endpoint is not None:
        return fetched_file(request.endpoint, request.hashes, events)
    return spooled(request.source)


def _answer(
    window: list[Query], generator: Generator, request: PredictionRequest
) -> Iterator[PredictedIntent]:
    answers = dict(
        generator.generate(
            [query.prompt for query in window],
            max_new_tokens=request.max_new_tokens,
            batch_size=request.batch_size,
        )
    )
    for index, query in enumerate(window):
        yield _judged(query, answers[index])


def _judged(query: Query, answer: Generation) -> PredictedIntent:
    parsed = parse_text(answer.text)
    missing = _missing(query, parsed.intent) if parsed.intent else None
    return PredictedIntent(query, answer.text, parsed, missing, answer.finished)


def _missing(query: Query, intent: Intent) -> tuple[str, ...] | None:
    try:
        return tuple(ungrounded(intent, query.input))
    except _FOREIGN_PROMPT:
        if query.described is not None:
            raise  # our own prompts can always be read
        return None
