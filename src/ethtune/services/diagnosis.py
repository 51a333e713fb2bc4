"""doctor: look at the machine once, run every check, say whether one can train here.

A check that breaks is reported as crashed and stops no other. Nothing is changed or installed.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ethtune.core.config import Config
from ethtune.core.runfolder import open_run
from ethtune.core.units import format_bytes
from ethtune.device.checks import data, disk, gpu, hub, match, memory, packages, system, training
from ethtune.device.checks.training import cpu_text, cpu_time
from ethtune.device.checks.verdict import Check, Group, Status, Verdict
from ethtune.device.facts import Facts, gather_facts

REPORT_VERSION = 2
_AREAS = (gpu, match, training, memory, disk, hub, data, packages, system)
CHECKS: tuple[Check, ...] = tuple(
    sorted((check for area in _AREAS for check in area.CHECKS), key=lambda check: check.rank)
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One check and its verdict; ``commands`` are lines to paste, ready quoted."""

    id: str
    group: Group
    title: str
    status: Status
    evidence: str
    fix: str | None
    commands: tuple[str, ...]

    @property
    def is_bad(self) -> bool:
        """Whether training would break on it."""
        return self.status in ("fail", "crashed")

    @property
    def is_open(self) -> bool:
        """Whether it asks for something."""
        return self.is_bad or self.status == "warn"


@dataclass(frozen=True, slots=True)
class DoctorReport:
    """All findings, the commonest causes of failure first, and the answer in one sentence."""

    findings: tuple[Finding, ...]
    verdict: str
    can_train: bool

    @property
    def counts(self) -> dict[str, int]:
        """Findings by status."""
        statuses = [finding.status for finding in self.findings]
        return {status: statuses.count(status) for status in dict.fromkeys(statuses)}

    @property
    def open_findings(self) -> tuple[Finding, ...]:
        """What is to be done: failures first, each kind in the order of rank."""
        bad = [finding for finding in self.findings if finding.is_bad]
        return (*bad, *(finding for finding in self.findings if finding.status == "warn"))

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        return {
            "version": REPORT_VERSION,
            "can_train": self.can_train,
            "verdict": self.verdict,
            "counts": self.counts,
            "findings": [dataclasses.asdict(finding) for finding in self.findings],
        }


def diagnose(config: Config, *, quick: bool = False, run: Path | None = None) -> DoctorReport:
    """Judge this machine for ``config``. ``quick`` leaves out what tries the libraries.

    ``run`` is an old run whose checkpoints are verified too. Raises RunError when it is none.
    """
    facts = gather_facts(config, is_quick=quick)
    if run is not None:  # after the facts: what verifies them sets variables for training
        facts = dataclasses.replace(facts, checkpoints=_checkpoints(run))
    return judge(facts, config)


def judge(facts: Facts, config: Config) -> DoctorReport:
    """Run every check on facts gathered before."""
    findings = tuple(_finding(check, facts, config) for check in CHECKS)
    failed = [item.id for item in findings if item.is_bad]
    if failed:
        noun = "check fails" if len(failed) == 1 else "checks fail"
        verdict = f"You cannot train yet: {len(failed)} {noun} ({', '.join(failed)})."
        return DoctorReport(findings, verdict, can_train=False)
    return DoctorReport(findings, _verdict(facts, config), can_train=True)


def _finding(check: Check, facts: Facts, config: Config) -> Finding:
    try:
        verdict = check.judge(facts, config)
    except Exception as error:  # noqa: BLE001  # one broken check must not hide the others
        verdict = Verdict("crashed", f"{type(error).__name__}: {error}", "please report this")
    return Finding(
        check.id,
        check.group,
        check.title,
        verdict.status,
        verdict.evidence,
        verdict.fix,
        verdict.commands,
    )


def _verdict(facts: Facts, config: Config) -> str:
    name = config.model.base_model
    tried = "" if facts.stack else " The libraries were not tried."
    if facts.gpu is not None:
        total = facts.memory[0]
        size = f" ({format_bytes(total)})" if total else ""
        return f"You can train {name} on the {facts.gpu.name}{size}.{tried}"
    time = cpu_time(facts, config)
    speed = f"{cpu_text(time)}, when it is idle" if time else "at an unknown speed"
    return f"No GPU: you can train {name} on the CPU, {speed}.{tried}"


def _checkpoints(run: Path) -> tuple[tuple[str, str | None], ...]:
    """Newest first."""
    from ethtune.model.checkpoints import find_checkpoints

    found = find_checkpoints(open_run(run))
    return tuple((item.path.name, item.problem) for item in found)
