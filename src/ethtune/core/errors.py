"""Every way ethtune ends other than well, each with what to do next and its exit code.

    EthtuneError                  70
    ├── UsageError                 2   flags that contradict each other or name nothing
    ├── ConfigError                3   a key, a value, a profile
    ├── DataError                  4   an export, a dataset, a row
    ├── MachineError               5   no disk, no memory, no package, no device
    ├── RunError                   6   a run folder or checkpoint that cannot be used
    ├── DivergedError              7   loss or gradients stopped being numbers
    └── Interrupted      130/143/129   Ctrl-C, SIGTERM or a closed terminal, after saving

Exit code 1 is no error: the command ran well and its answer is no.
"""

from __future__ import annotations

from typing import ClassVar


class EthtuneError(Exception):
    """A sentence for the user: what is wrong, where, the value; and a hint: what to do next.

    >>> raise DataError("train.jsonl:7: no key output", hint="ethtune validate-data data/")
    """

    exit_code: ClassVar[int] = 70

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(EthtuneError):
    """The command line asks for something contradictory or unknown."""

    exit_code = 2


class ConfigError(EthtuneError):
    """A configuration file, profile or ``--set`` value cannot be used."""

    exit_code = 3


class DataError(EthtuneError):
    """Input data is missing, unreadable, or of another kind than asked for."""

    exit_code = 4


class MachineError(EthtuneError):
    """This machine lacks something the command needs."""

    exit_code = 5


class RunError(EthtuneError):
    """A run folder or a checkpoint in it cannot be used."""

    exit_code = 6


class DivergedError(EthtuneError):
    """Training produced a number that is none, or learns nothing any more.

    ``last_step`` is the step that showed it, ``good_step`` the newest one above suspicion.
    """

    exit_code = 7

    def __init__(
        self, message: str, *, hint: str | None = None, last_step: int = 0, good_step: int = 0
    ) -> None:
        super().__init__(message, hint=hint)
        self.last_step = last_step
        self.good_step = good_step


class Interrupted(EthtuneError):
    """The user or the system asked to stop, and the work so far is saved.

    ``signal_number`` is 2 (Ctrl-C), 15 (SIGTERM) or 1 (SIGHUP); the exit code is 128 plus it.
    """

    def __init__(self, message: str, *, signal_number: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = 128 + signal_number  # type: ignore[misc]  # one per instance here
