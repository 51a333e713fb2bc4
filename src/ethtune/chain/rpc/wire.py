"""JSON-RPC 2.0 as bytes: calls in, a request body out; a response body in, answers out.

Answers are matched by id and never by place: servers answer batches in any order, leave calls
out, or put one error in place of the whole batch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

# EIP-1474 names -32005, Infura and Alchemy use it and 429 inside of answers with status 200
_LIMIT_CODES = frozenset({-32005, 429})
_LIMIT_WORDS = re.compile(
    r"rate.?limit|too many requests|requests? limit|compute units|throughput|exceeded.*capacity",
    re.I,
).search
_PASSING_CODES = frozenset({-32603, -32002})  # internal error; resource unavailable, geth: timeout
_PASSING_WORDS = re.compile(r"timed? ?out|try again|temporar|overloaded", re.I).search
_BATCH_CODES = frozenset({-32600, -32003})  # invalid request; geth: response too large
_BATCH_WORDS = re.compile(r"\bbatch", re.I).search
_SHOWN_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Call:
    """One method with its positional parameters."""

    method: str
    params: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeError:
    """What the node says instead of a result."""

    code: int | None
    message: str

    def __str__(self) -> str:
        return f"{self.message} ({self.code})" if self.code is not None else self.message

    @property
    def is_limit(self) -> bool:
        """We ask too much, too fast."""
        return self.code in _LIMIT_CODES or _LIMIT_WORDS(self.message) is not None

    @property
    def is_passing(self) -> bool:
        """The same call may well succeed a little later."""
        passing = self.code in _PASSING_CODES or _PASSING_WORDS(self.message) is not None
        return self.is_limit or passing

    @property
    def refuses_batch(self) -> bool:
        """In a batch: it was too long, its answer too large, or batches are not taken at all."""
        too_much = self.code in _BATCH_CODES or _BATCH_WORDS(self.message) is not None
        return too_much and not self.is_limit


Answer = Any  # a result as the node sent it, None included, or a NodeError


class MalformedBody(Exception):
    """The body is no answer to what was asked."""


class BatchRefused(Exception):
    """The server does not take that many calls at once."""


def encode(calls: Sequence[Call], first_id: int) -> bytes:
    """One object for one call, an array for more; ids count up from ``first_id``."""
    requests = [
        {"jsonrpc": "2.0", "id": id, "method": call.method, "params": list(call.params)}
        for id, call in enumerate(calls, first_id)
    ]
    return json.dumps(requests if len(requests) > 1 else requests[0]).encode()


def decode(body: bytes, num_calls: int, first_id: int) -> dict[int, Answer]:
    """Answers by the place of their call; calls that were not answered are missing.

    Raises MalformedBody, and BatchRefused when an error speaks of the batch.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise MalformedBody("no JSON") from None
    answers = dict(_answers(document, num_calls, first_id))
    if num_calls > 1:
        for answer in answers.values():
            if isinstance(answer, NodeError) and answer.refuses_batch:
                raise BatchRefused(str(answer))
    return answers


def _answers(document: Any, num_calls: int, first_id: int) -> Iterator[tuple[int, Answer]]:
    elements = document if isinstance(document, list) else [document]
    for element in elements:
        if not isinstance(element, dict) or not ("result" in element or element.get("error")):
            raise MalformedBody("no JSON-RPC answer")
        answer = _node_error(element["error"]) if element.get("error") else element["result"]
        id = element.get("id")
        place = id - first_id if type(id) is int else -1
        if 0 <= place < num_calls:
            yield place, answer
        elif id is None and isinstance(answer, NodeError):  # about the request as a whole
            yield from _about_all(answer, num_calls)


def _about_all(error: NodeError, num_calls: int) -> Iterator[tuple[int, Answer]]:
    if num_calls > 1 and not error.is_passing:
        raise BatchRefused(str(error))
    for place in range(num_calls):
        yield place, error


def _node_error(error: Any) -> NodeError:
    if not isinstance(error, dict):
        return NodeError(None, shown(error))
    code, message = error.get("code"), error.get("message")
    return NodeError(code if type(code) is int else None, shown(message or "error"))


def shown(value: Any) -> str:
    """The beginning of foreign text, on one line."""
    return " ".join(str(value).split())[:_SHOWN_CHARACTERS]
