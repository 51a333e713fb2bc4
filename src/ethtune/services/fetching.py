"""Hashes or a range of blocks in, a file of transactions with their receipts out.

    asked ──not in the file yet──▶ node ──▶ one line a transaction, as it arrives
                                    └─────▶ what failed, beside it as .failed.jsonl

What the file holds is not asked for again, so that the same command goes on where a killed,
interrupted or failed one stopped.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from ethtune.chain.rpc import (
    Endpoint,
    Failure,
    Item,
    Node,
    NodeSettings,
    fetch_blocks,
    fetch_transactions,
)
from ethtune.chain.rpc.blocks import newest_blocks, parse_blocks
from ethtune.chain.rpc.hashes import read_hashes, require_hashes
from ethtune.chain.rpc.rowfile import RowFile
from ethtune.chain.sources.records import Rejected
from ethtune.core.atomic import write_text
from ethtune.core.errors import DataError, Interrupted, MachineError, UsageError
from ethtune.core.events import SILENT, Emit, Message, Progress
from ethtune.services.queries import spooled

STDIN = Path("-")
_MAINNET = 1
_GOES_ON = "the same command goes on where it stopped"


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """Either ``hashes`` and those in ``source``, a file or ``STDIN``, or ``blocks`` as typed."""

    endpoint: Endpoint
    output: Path
    hashes: Sequence[str] = ()
    source: Path | None = None
    blocks: str | None = None
    settings: NodeSettings = field(default_factory=NodeSettings)

    def __post_init__(self) -> None:
        wants_hashes = bool(self.hashes) or self.source is not None
        if wants_hashes == (self.blocks is not None):
            raise UsageError(
                "give hashes or blocks, one of the two",
                hint="ethtune fetch 0x…, --input FILE with a hash a line, or --blocks 100-200",
            )
        require_hashes(self.hashes)


@dataclass(frozen=True, slots=True)
class FetchReport:
    """What came of ``num_asked`` hashes or blocks, the ``unit``.

    ``num_present`` of them were in the file before; ``num_fetched`` transactions were added to it;
    ``has_rows`` says that it now holds any of them.
    ``chain_id`` is None where neither file nor node had to tell; ``batch_size`` is what the node
    was left to take where it refused larger batches.
    """

    output: Path
    host: str
    unit: str
    num_asked: int
    num_present: int
    num_fetched: int
    has_rows: bool
    chain_id: int | None
    failures: tuple[Failure, ...] = ()
    batch_size: int | None = None

    @property
    def failed_path(self) -> Path:
        """Where failures are listed."""
        return _failed_path(self.output)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for ``--json``."""
        return {
            "output": str(self.output),
            "endpoint": self.host,
            "chain_id": self.chain_id,
            "unit": self.unit,
            "asked": self.num_asked,
            "already_there": self.num_present,
            "fetched": self.num_fetched,
            "failed": len(self.failures),
            "batch_size": self.batch_size,
            "failures": [failure.as_dict() for failure in self.failures],
        }


def fetch(request: FetchRequest, *, events: Emit = SILENT) -> FetchReport:
    """Add to the file what it lacks. Raises MachineError when the node fails; rows so far stay."""
    with closing(RowFile(request.output)) as rows:
        intake = _Intake(request, rows, events)
        try:
            return _fetch_hashes(intake) if request.blocks is None else _fetch_blocks(intake)
        finally:
            _write_failures(request.output, intake.failures)


def _fetch_hashes(intake: _Intake) -> FetchReport:
    asked = list(dict.fromkeys(_asked(intake)))
    if not asked:
        first = next(iter(intake.failures), None)
        raise DataError(
            f"{intake.request.source} holds no transaction hash"
            + (f": {first.name}: {first.reason}" if first else ""),
            hint="one hash a line, or CSV or JSON lines with a column hash",
        )
    lacking = [hash for hash in asked if hash not in intake.rows.hashes]
    if lacking:
        with intake.node() as node:
            for items in fetch_transactions(node, lacking):
                intake.take(items)
                intake.show(len(items), len(lacking))
    return intake.report("hashes", len(asked), len(asked) - len(lacking))


def _fetch_blocks(intake: _Intake) -> FetchReport:
    wanted = parse_blocks(str(intake.request.blocks))
    has_block = intake.rows.has_block
    if isinstance(wanted, range) and all(map(has_block, wanted)):
        return intake.report("blocks", len(wanted), len(wanted))
    with intake.node() as node:
        if isinstance(wanted, int):
            wanted = newest_blocks(node, wanted)
        lacking = [number for number in wanted if not has_block(number)]
        for items in fetch_blocks(node, lacking):
            intake.take(items)
            intake.show(1, len(lacking))
    return intake.report("blocks", len(wanted), len(wanted) - len(lacking))


def _asked(intake: _Intake) -> Iterator[str]:
    """Every hash in lower case; lines of the input that hold none are failures."""
    yield from require_hashes(intake.request.hashes)
    source = intake.request.source
    if source is None:
        return
    with spooled(None if source == STDIN else source) as path:
        for item in read_hashes(path):
            if isinstance(item, Rejected):
                where = item.where.replace(str(path), str(source))
                intake.failures.append(Failure("line", where, item.reason))
            else:
                yield item


class _Intake:
    """Takes items as they arrive: rows to the file, failures to a list."""

    def __init__(self, request: FetchRequest, rows: RowFile, events: Emit) -> None:
        self.request, self.rows = request, rows
        self.failures: list[Failure] = []
        self._events = events
        self._num_fetched = self._num_done = 0
        self._has_rows = False
        self._batch_size: int | None = None

    @contextmanager
    def node(self) -> Iterator[Node]:
        """The node, of the right chain; what ends it is told with what there is by then."""
        request = self.request
        try:
            with Node(request.endpoint, request.settings, events=self._events) as node:
                self.rows.require_chain(node.chain_id)
                self.rows.chain_id = node.chain_id
                if node.chain_id != _MAINNET:
                    self._events(Message("warning", _foreign_chain(node.chain_id)))
                most = node.batch_size
                yield node
                self._batch_size = node.batch_size if node.batch_size < most else None
        except MachineError as error:
            hint = f"{error.hint}; {_GOES_ON}" if self.rows.hashes else error.hint
            raise MachineError(f"{error.message}{self._so_far()}", hint=hint) from None
        except KeyboardInterrupt:
            raise Interrupted(
                f"interrupted{self._so_far()}", signal_number=signal.SIGINT, hint=_GOES_ON
            ) from None

    def take(self, items: Sequence[Item]) -> None:
        """Keep what is new."""
        for item in items:
            if isinstance(item, Failure):
                self.failures.append(item)
                continue
            self._has_rows = True
            if item.hash not in self.rows.hashes:
                self.rows.append(item)
                self._num_fetched += 1

    def show(self, num_done: int, total: int) -> None:
        """Move the bar."""
        self._num_done += num_done
        self._events(Progress("fetching", self._num_done, total))

    def report(self, unit: str, num_asked: int, num_present: int) -> FetchReport:
        """The accounts."""
        return FetchReport(
            output=self.request.output,
            host=self.request.endpoint.host,
            unit=unit,
            num_asked=num_asked,
            num_present=num_present,
            num_fetched=self._num_fetched,
            has_rows=self._has_rows or num_present > 0,
            chain_id=self.rows.chain_id,
            failures=tuple(sorted(self.failures, key=_place)),
            batch_size=self._batch_size,
        )

    def _so_far(self) -> str:
        num_rows = len(self.rows.hashes)
        if not num_rows:
            return ""
        return f"; {num_rows:,} transactions are in {self.request.output}"


def _foreign_chain(chain_id: int) -> str:
    return (
        f"chain {chain_id} is not Ethereum mainnet, whose contracts and tokens are those that "
        "ethtune knows"
    )


def _place(failure: Failure) -> tuple[str, int, str]:
    """Hashes by value, blocks by number, lines by place."""
    return failure.kind, len(failure.name), failure.name


def _failed_path(output: Path) -> Path:
    return output.with_suffix(".failed.jsonl")


def _write_failures(output: Path, failures: Sequence[Failure]) -> None:
    path = _failed_path(output)
    if failures:
        found = sorted(failures, key=_place)
        lines = (json.dumps(failure.as_dict(), ensure_ascii=False) for failure in found)
        write_text(path, "\n".join(chain(lines, [""])))
    else:
        path.unlink(missing_ok=True)
