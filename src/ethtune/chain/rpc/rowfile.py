"""The file that fetched rows are appended to, and what it already holds.

One line a transaction, one ``write`` a line: a process that is killed leaves whole lines and at
most one torn last one, which is cut when the file is opened again.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections import Counter
from pathlib import Path

from ethtune.chain.rpc.records import Fetched
from ethtune.core.errors import DataError, MachineError, UsageError

if sys.platform != "win32":
    import fcntl

_START = b'{"transaction":'
_OTHER_FILE = "choose another --output"


class RowFile:
    """Open for appending from construction to ``close``; ``hashes`` are those it holds.

    Raises DataError when it holds anything else than rows, UsageError when another process
    appends to it, MachineError when the disk refuses.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.hashes: set[str] = set()
        self.chain_id: int | None = None
        self._rows_of_block: Counter[int] = Counter()
        self._size_of_block: dict[int, int] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._raw = path.open("a+b", buffering=0)
        except OSError as error:
            raise self._refused(error) from None
        try:
            self._lock()
            self._read()
        except OSError as error:
            self._raw.close()
            raise self._refused(error) from None
        except BaseException:
            self._raw.close()
            raise

    def has_block(self, number: int) -> bool:
        """Whether every transaction of the block is here."""
        size = self._size_of_block.get(number)
        return size is not None and self._rows_of_block[number] >= size

    def require_chain(self, chain_id: int) -> None:
        """Raises UsageError when the rows are of another chain."""
        if self.chain_id not in (None, chain_id):
            raise UsageError(
                f"{self.path} holds transactions of chain {self.chain_id}, the node is one of "
                f"chain {chain_id}",
                hint=_OTHER_FILE,
            )

    def append(self, row: Fetched) -> None:
        """Write one line."""
        rest = row.line()
        try:
            while rest:
                rest = rest[self._raw.write(rest) :]
        except OSError as error:
            raise self._refused(error) from None
        self.hashes.add(row.hash)

    def close(self) -> None:
        """Make the rows durable. An empty file is not left behind."""
        try:
            os.fsync(self._raw.fileno())
            is_empty = os.fstat(self._raw.fileno()).st_size == 0
            self._raw.close()
        except OSError as error:
            raise self._refused(error) from None
        if is_empty:
            self.path.unlink(missing_ok=True)

    def _lock(self) -> None:
        if sys.platform == "win32":
            return  # nothing there locks a file and lets others read it
        try:
            fcntl.lockf(self._raw, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(f"another process writes to {self.path}", hint=_OTHER_FILE) from None

    def _read(self) -> None:
        """Take in what is there. The file is only cut once all of it is known to be ours."""
        self._raw.seek(0)
        reader = io.BufferedReader(self._raw, 1 << 20)
        end = 0
        for number, line in enumerate(reader, 1):
            if line.endswith(b"\n"):
                self._take(line, number)
                end += len(line)
            elif not line.startswith(_START[: len(line)]):
                raise self._foreign(number)
        reader.detach()
        self._raw.truncate(end)

    def _take(self, line: bytes, number: int) -> None:
        try:
            row = json.loads(line)
            hash, chain_id = row["transaction"]["hash"].lower(), int(row["chain_id"])
            block, size = int(row["transaction"]["blockNumber"], 16), row.get("block_transactions")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise self._foreign(number) from None
        if hash in self.hashes:
            return
        self.hashes.add(hash)
        self.chain_id = chain_id
        self._rows_of_block[block] += 1
        if isinstance(size, int):
            self._size_of_block[block] = size

    def _foreign(self, number: int) -> DataError:
        return DataError(
            f"{self.path}:{number}: no row that ethtune fetch wrote; the file is left as it is",
            hint=_OTHER_FILE,
        )

    def _refused(self, error: OSError) -> MachineError:
        return MachineError(
            f"{self.path} cannot be written: {error.strerror or error}",
            hint="free disk space, or choose another --output; whole rows in it are kept",
        )
