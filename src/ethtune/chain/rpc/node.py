"""Calls in, answers out, from a node that may be busy, slow, picky or gone.

    ask ──▶ batches ──▶ settle: send, keep what is answered, wait, send the rest again
      ▲                    │
      └── smaller batches ─┘ refused

A batch that is refused, or fails where a smaller one might not, is halved for good, down to single
calls. Waits after a limit hold all threads, other waits only the one whose request failed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import TypeVar

from ethtune.chain.rpc.endpoint import Endpoint
from ethtune.chain.rpc.pace import Pacer, backoff_seconds
from ethtune.chain.rpc.settings import NodeSettings
from ethtune.chain.rpc.threads import Crew
from ethtune.chain.rpc.transport import Refused, Transport, Trouble
from ethtune.chain.rpc.wire import (
    Answer,
    BatchRefused,
    Call,
    MalformedBody,
    NodeError,
    decode,
    encode,
)
from ethtune.core.errors import MachineError
from ethtune.core.events import SILENT, Emit, Message

A = TypeVar("A")
B = TypeVar("B")

_OPENING_RETRIES = 2  # a wrong URL is told soon
_SIZE_FAILURES = 2  # so often in a row, then a smaller batch is tried
_WAIT_SHOWN_SECONDS = 3.0


class Node:
    """A context manager that knows its ``chain_id``. Raises MachineError when it cannot be reached.

    >>> with Node(Endpoint("http://127.0.0.1:8545")) as node:  # doctest: +SKIP
    ...     node.ask([Call("eth_blockNumber")])
    ['0x12d687']
    """

    def __init__(
        self,
        endpoint: Endpoint,
        settings: NodeSettings = NodeSettings(),  # noqa: B008  # frozen
        *,
        events: Emit = SILENT,
    ) -> None:
        self.host = endpoint.host
        self.settings = settings
        self.chain_id = 0
        self.batch_size = settings.batch_size
        if settings.calls_per_second is not None:  # no more in a batch than in a second
            self.batch_size = min(self.batch_size, max(1, int(settings.calls_per_second)))
        self._endpoint, self._events = endpoint, events
        self._crew = Crew(settings.num_threads)
        self._pacer = Pacer(settings.calls_per_second, sleep=self._crew.rest)
        self._transport = Transport(endpoint, settings)
        self._next_id = 1
        self._lock = threading.Lock()

    def __enter__(self) -> Node:
        try:
            (answer,) = self._settle([Call("eth_chainId")], _OPENING_RETRIES)
            self.chain_id = int(answer, 16)
        except (TypeError, ValueError):
            self._transport.close()
            raise MachineError(
                f"{self.host} does not tell its chain: {self._shown(answer)}",
                hint="is the URL that of an Ethereum JSON-RPC endpoint?",
            ) from None
        except BaseException:
            self._transport.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._crew.dismiss()
        self._transport.close()

    def ask(self, calls: Sequence[Call]) -> list[Answer]:
        """An answer to each call, in their order. Raises MachineError after the last retry."""
        answers: list[Answer] = []
        while len(answers) < len(calls):
            batch = calls[len(answers) : len(answers) + self.batch_size]
            try:
                answers += self._settle(batch, self.settings.num_retries)
            except BatchRefused:
                with self._lock:
                    self.batch_size = min(self.batch_size, max(1, len(batch) // 2))
        return answers

    def each(self, work: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
        """Work on all items in the node's threads; results come as they arrive."""
        return self._crew.arriving(work, items)

    def _settle(self, batch: Sequence[Call], num_retries: int) -> list[Answer]:
        """Send until every call is answered for good. Raises BatchRefused for more than one.

        Failures count anew once one more call is answered.
        """
        answers: dict[int, Answer] = {}
        num_failures = 0
        while True:
            places = [place for place in range(len(batch)) if place not in answers]
            fresh, trouble = self._tried([batch[place] for place in places])
            passing = {places[index] for index, answer in fresh.items() if _is_passing(answer)}
            answers |= {places[index]: answer for index, answer in fresh.items()}
            if trouble is None:
                return [answers[place] for place in range(len(batch))]
            num_failures = 1 if len(fresh) > len(passing) else num_failures + 1
            if trouble.may_be_size and len(places) > 1 and num_failures >= _SIZE_FAILURES:
                raise BatchRefused(trouble.reason)
            if num_failures > num_retries:
                if len(answers) == len(batch) and not trouble.is_limit:
                    return [answers[place] for place in range(len(batch))]
                raise self._given_up(trouble, num_failures)
            for place in passing:
                del answers[place]
            self._wait(trouble, num_failures)

    def _tried(self, calls: Sequence[Call]) -> tuple[dict[int, Answer], Trouble | None]:
        """What one request brought, and why it must be followed by another."""
        try:
            answers = self._exchange(calls)
        except Trouble as trouble:
            return {}, trouble
        return answers, _unsettled(answers, len(calls))

    def _exchange(self, calls: Sequence[Call]) -> dict[int, Answer]:
        """One HTTP request."""
        with self._lock:
            first_id = self._next_id
            self._next_id += len(calls)
        self._pacer.take(len(calls))
        try:
            body = self._transport.post(encode(calls, first_id))
            answers = decode(body, len(calls), first_id)
        except MalformedBody as error:
            raise Trouble(f"the answer is {error}", may_be_size=True) from None
        except Refused as refused:
            if len(calls) > 1 and refused.status != 401:
                raise BatchRefused(refused.reason) from None
            raise MachineError(f"{self.host}: {refused.reason}", hint=refused.hint) from None
        return {place: self._scrubbed(answer) for place, answer in answers.items()}

    def _scrubbed(self, answer: Answer) -> Answer:
        if isinstance(answer, NodeError):
            return NodeError(answer.code, self._shown(answer.message))
        return answer

    def _shown(self, value: object) -> str:
        return self._endpoint.scrub(str(value))

    def _wait(self, trouble: Trouble, num_failures: int) -> None:
        seconds = backoff_seconds(num_failures, self.settings.backoff_seconds)
        seconds = max(seconds, trouble.retry_after_seconds or 0)
        if seconds > self.settings.longest_wait_seconds:
            raise MachineError(
                f"{self.host}: {trouble.reason}; it asks to come back in {seconds:,.0f} s",
                hint="run the same command again then",
            )
        is_news = self._pacer.pause(seconds) if trouble.is_limit else True
        if is_news and seconds >= _WAIT_SHOWN_SECONDS:
            text = f"{self.host}: {trouble.reason}; trying again in {seconds:.0f} s"
            self._events(Message("warning", text))
        if not trouble.is_limit:
            self._crew.rest(seconds)

    def _given_up(self, trouble: Trouble, num_tries: int) -> MachineError:
        return MachineError(
            f"{self.host}: {trouble.reason}, {num_tries} times in a row",
            hint="wait a while, or ask slower with --rate-limit"
            if trouble.is_limit
            else "check the network and the URL",
        )


def _is_passing(answer: Answer) -> bool:
    return isinstance(answer, NodeError) and answer.is_passing


def _unsettled(answers: dict[int, Answer], num_calls: int) -> Trouble | None:
    """Why calls must be sent again; None when all are answered for good."""
    passing = [answer for answer in answers.values() if _is_passing(answer)]
    if passing:
        worst = next((error for error in passing if error.is_limit), passing[0])
        return Trouble(str(worst), is_limit=worst.is_limit)
    if len(answers) < num_calls:
        return Trouble(
            f"{num_calls - len(answers)} of {num_calls} calls are not answered", may_be_size=True
        )
    return None
