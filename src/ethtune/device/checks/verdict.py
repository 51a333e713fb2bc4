"""A check and what it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ethtune.core.config import Config
from ethtune.device.facts import Facts

Status = Literal["ok", "warn", "fail", "skipped", "crashed"]
Group = Literal[
    "gpu", "match", "training", "packages", "memory", "disk", "hub", "data", "system", "multi"
]

NO_GPU = "no NVIDIA GPU"
NOT_PROBED = "the libraries are not tried with --quick"


@dataclass(frozen=True, slots=True)
class Verdict:
    """``evidence`` is what was seen, ``fix`` what to do, ``commands`` lines to paste for it.

    Skipped is not ok: nothing was judged. Foreign text in a command is quoted for a shell.
    """

    status: Status
    evidence: str
    fix: str | None = None
    commands: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """A stable id, the question in a few words, and who answers it.

    ``rank`` orders by how often it is what breaks a run: 1 first. ``judge`` sees the facts and the
    config meant to run.
    """

    id: str
    group: Group
    rank: int
    title: str
    judge: Callable[[Facts, Config], Verdict]


def ok(evidence: str) -> Verdict:
    """All is well."""
    return Verdict("ok", evidence)


def warn(evidence: str, fix: str | None = None, *commands: str) -> Verdict:
    """A run will work, worse than it could."""
    return Verdict("warn", evidence, fix, commands)


def fail(evidence: str, fix: str | None = None, *commands: str) -> Verdict:
    """A run will not work."""
    return Verdict("fail", evidence, fix, commands)


def skipped(reason: str) -> Verdict:
    """Nothing was judged."""
    return Verdict("skipped", reason)
