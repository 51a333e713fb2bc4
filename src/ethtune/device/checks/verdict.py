"""A check and what it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ethtune.core.config import Config
from ethtune.device.facts import Facts

Status = Literal["ok", "warn", "fail", "skipped", "crashed"]
Group = Literal["software", "gpu", "machine", "model"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """``evidence`` is what was seen, ``fix`` the next thing to do. Skipped is not ok."""

    status: Status
    evidence: str
    fix: str | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """A stable id, and the judgement. ``judge`` sees the facts and the config meant to run."""

    id: str
    group: Group
    judge: Callable[[Facts, Config], Verdict]


def ok(evidence: str) -> Verdict:
    """All is well."""
    return Verdict("ok", evidence)


def warn(evidence: str, fix: str | None = None) -> Verdict:
    """A run will work, worse than it could."""
    return Verdict("warn", evidence, fix)


def fail(evidence: str, fix: str | None = None) -> Verdict:
    """A run will not work."""
    return Verdict("fail", evidence, fix)


def skipped(reason: str) -> Verdict:
    """Nothing was judged."""
    return Verdict("skipped", reason)
