"""Lines of a dataset in, findings out: one row by itself first, then against all before it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from ethtune.core.example import Example
from ethtune.core.intent import Intent, InvalidIntent, parse_intent
from ethtune.dataset.findings import Finding
from ethtune.dataset.grounding import ungrounded
from ethtune.dataset.reading import example_from, row_fault
from ethtune.dataset.splits import Split

CountTokens = Callable[[Example], int]

_LABEL_KEYS = frozenset({"action", "protocol", "outcome", "intent", "label", "decoded_action"})
_TELLING_CHARACTERS = 12  # shorter outputs may stand in an input by chance
_SHOWN_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class CheckedRow:
    """A row that could be read, as far as its dataset's figures need it."""

    split: Split
    action: str | None
    prompt_version: object


class RowChecker:
    """Checks rows one after the other, keeping digests of what it has seen.

    ``count_tokens`` None skips lengths; ``any_task`` skips what only holds for intents.
    """

    def __init__(
        self, *, count_tokens: CountTokens | None, max_seq_length: int, any_task: bool
    ) -> None:
        self._count_tokens = count_tokens
        self._max_seq_length = max_seq_length
        self._any_task = any_task
        self._ids: dict[bytes, tuple[Split, str]] = {}
        self._inputs: dict[bytes, tuple[Split, str, bytes]] = {}

    def check(
        self, line: bytes, where: str, split: Split
    ) -> tuple[CheckedRow | None, list[Finding]]:
        """The row, None where it cannot be read, and everything found."""
        try:
            row = json.loads(line.decode())
        except (ValueError, RecursionError) as error:
            text = line.decode(errors="replace")
            return None, [Finding("E101", where, f"{error}: {_shown(text)}")]
        fault = row_fault(row)
        if fault:
            code = "E103" if fault.startswith("output is empty") else "E102"
            return None, [Finding(code, where, fault)]
        example = example_from(row, where)
        intent, findings = (None, []) if self._any_task else _read_output(example, where)
        if intent is not None:
            findings += _check_label(example, intent, where)
        findings += self._check_against_others(example, where, split)
        findings += self._check_length(example, where)
        version = example.meta.get("prompt_version")
        return CheckedRow(split, intent.action if intent else None, version), findings

    def _check_against_others(
        self, example: Example, where: str, split: Split
    ) -> Iterator[Finding]:
        own_id, answer = _digest(example.id), _digest(example.output)
        first_split, first_where = self._ids.setdefault(own_id, (split, where))
        if first_where != where and first_split != split:
            yield Finding("E301", where, f"{example.id} stands at {first_where} too")
        text = _digest(example.prompt)
        first_split, first_where, first_answer = self._inputs.setdefault(
            text, (split, where, answer)
        )
        if first_where == where:
            return
        if first_answer != answer:
            yield Finding("E303", where, f"{first_where} has the same input and another output")
        elif first_split != split:
            yield Finding("E302", where, f"{first_where} has the same input")
        else:
            yield Finding("W304", where, f"{first_where} is the same row")

    def _check_length(self, example: Example, where: str) -> Iterator[Finding]:
        if self._count_tokens is None:
            return
        length = self._count_tokens(example)
        if length > self._max_seq_length:
            yield Finding("E401", where, f"{length:,} tokens, limit {self._max_seq_length:,}")


def _read_output(example: Example, where: str) -> tuple[Intent | None, list[Finding]]:
    try:
        return parse_intent(example.output), []
    except InvalidIntent as error:
        try:
            plain = json.loads(example.output)
        except ValueError:
            plain = None
        if isinstance(plain, dict) and "action" in plain:
            return None, [Finding("E202", where, f"{error}: {_shown(example.output)}")]
        return None, [Finding("E201", where, f"output is {_shown(example.output)}")]


def _check_label(example: Example, intent: Intent, where: str) -> Iterator[Finding]:
    output = example.output.strip()
    is_there = output in example.input or json.dumps(output)[1:-1] in example.input
    if len(output) >= _TELLING_CHARACTERS and is_there:
        yield Finding("E205", where, _shown(output))
    try:
        plain = json.loads(example.input)
        for key in sorted(_LABEL_KEYS & set(_keys(plain))):
            yield Finding("E204", where, f'input has the key "{key}"')
        missing = ungrounded(intent, example.input)
    except (ValueError, TypeError, AttributeError, ArithmeticError):
        yield Finding("W206", where, f"input is {_shown(example.input)}")
        return
    if missing:
        yield Finding("E203", where, f"the input does not hold {', '.join(missing[:3])}")


def _keys(plain: Any) -> Iterator[str]:
    """Keys of objects at any depth."""
    if isinstance(plain, dict):
        yield from plain
        plain = list(plain.values())
    if isinstance(plain, list):
        for item in plain:
            yield from _keys(item)


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).digest()


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…")
