"""The doctor's findings as a grouped list that reads the same without colour."""

from __future__ import annotations

from rich.text import Text

from ethtune.services.diagnosis import DoctorReport, Finding
from ethtune.ui.terminal import clean, stdout

_MARKS = {"ok": "ok", "warn": "WARN", "fail": "FAIL", "skipped": "skip", "crashed": "CRASH"}
_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red", "skipped": "dim",
           "crashed": "bold red"}  # fmt: skip
_TITLES = {"software": "Software", "gpu": "GPU", "machine": "Machine", "model": "Base model"}


def show_doctor(report: DoctorReport) -> None:
    """Print all findings by group, then the verdict."""
    for group, title in _TITLES.items():
        stdout.print(Text(title, style="bold"))
        for finding in report.findings:
            if finding.group == group:
                stdout.print(_line(finding), soft_wrap=True)
    counts = ", ".join(f"{count} {status}" for status, count in report.counts.items())
    stdout.print(Text(f"\n{counts}", style="dim"))
    style = "bold green" if report.can_train else "bold red"
    stdout.print(Text(clean(report.verdict), style=style), soft_wrap=True)


def _line(finding: Finding) -> Text:
    line = Text("  ")
    line.append(f"{_MARKS[finding.status]:<6}", style=_STYLES[finding.status])
    line.append(f"{finding.id:<20} {clean(finding.evidence)}")
    if finding.fix:
        line.append(f"\n{'':<29}fix: {clean(finding.fix)}", style="bold")
    return line
