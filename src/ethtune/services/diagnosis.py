"""doctor: look at the machine once, run every check, say whether one can train here.

A check that breaks is reported as crashed and stops no other. Nothing is changed or installed.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ethtune.core.config import Config
from ethtune.core.units import format_bytes
from ethtune.device.checks import cpu, gpu, machine, model, software
from ethtune.device.checks.cpu import cpu_time
from ethtune.device.checks.verdict import Check, Status, Verdict
from ethtune.device.facts import Facts, gather_facts
from ethtune.device.time import speed_text

REPORT_VERSION = 1
_CHECKS: tuple[Check, ...] = (
    *software.CHECKS,
    *gpu.CHECKS,
    *cpu.CHECKS,
    *machine.CHECKS,
    *model.CHECKS,
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's id and verdict."""

    id: str
    group: str
    status: Status
    evidence: str
    fix: str | None


@dataclass(frozen=True, slots=True)
class DoctorReport:
    """All findings in order, and the answer in one sentence."""

    findings: tuple[Finding, ...]
    verdict: str
    can_train: bool

    @property
    def counts(self) -> dict[str, int]:
        """Findings by status."""
        statuses = [finding.status for finding in self.findings]
        return {status: statuses.count(status) for status in dict.fromkeys(statuses)}

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        return {
            "version": REPORT_VERSION,
            "can_train": self.can_train,
            "verdict": self.verdict,
            "counts": self.counts,
            "findings": [dataclasses.asdict(finding) for finding in self.findings],
        }


def diagnose(config: Config, *, quick: bool = False) -> DoctorReport:
    """Judge this machine for ``config``. ``quick`` leaves out what imports the stack."""
    output = Path(config.training.output_dir or "runs")
    facts = gather_facts(probe=not quick, output=output, cache_dir=config.model.cache_dir)
    return judge(facts, config)


def judge(facts: Facts, config: Config) -> DoctorReport:
    """Run every check on facts gathered before."""
    findings = tuple(_finding(check, facts, config) for check in _CHECKS)
    failed = [item.id for item in findings if item.status in ("fail", "crashed")]
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
    return Finding(check.id, check.group, verdict.status, verdict.evidence, verdict.fix)


def _verdict(facts: Facts, config: Config) -> str:
    name = config.model.base_model
    if facts.gpus:
        memory = facts.gpus[0].memory_total_bytes
        size = f" ({format_bytes(memory)})" if memory else ""
        return f"You can train {name} on the {facts.gpus[0].name}{size}."
    time = cpu_time(facts, config)
    speed = f"about {speed_text(time.tokens_per_second)}" if time else "at an unknown speed"
    return f"No GPU: you can train {name} on the CPU, {speed} when it is idle."
