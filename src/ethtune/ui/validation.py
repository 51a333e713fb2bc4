"""What ``ethtune validate-data`` found, for a person: grouped by code, with the first places."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from ethtune.dataset.findings import FIXES, TITLES, Finding
from ethtune.services.validation import ValidationReport
from ethtune.ui.terminal import clean

_PLACES_SHOWN = 3
_STYLES = {"error": "bold red", "warning": "yellow"}


def render(report: ValidationReport) -> Iterator[RenderableType]:
    """The verdict last, where the eye rests."""
    by_code: dict[str, list[Finding]] = defaultdict(list)
    for finding in report.findings:
        by_code[finding.code].append(finding)
    for code in sorted(by_code):
        yield from _group(code, by_code[code])
    yield _verdict(report)


def _group(code: str, findings: list[Finding]) -> Iterator[Text]:
    head = Text()
    head.append(f"{code} ", style=_STYLES[findings[0].severity])
    head.append(TITLES[code], style="bold")
    head.append(f"  ({len(findings):,})")
    yield head
    for finding in findings[:_PLACES_SHOWN]:
        yield Text(f"  {clean(finding.where)}: {clean(finding.message)}")
    if len(findings) > _PLACES_SHOWN:
        yield Text(f"  and {len(findings) - _PLACES_SHOWN:,} more", style="dim")
    yield Text(f"  fix: {FIXES[code]}\n", style="dim")


def _verdict(report: ValidationReport) -> Text:
    counts = ", ".join(f"{count:,} {split}" for split, count in report.rows.items())
    errors = sum(finding.severity == "error" for finding in report.findings)
    warnings = len(report.findings) - errors
    verdict = Text(f"{counts} rows: ")
    if errors:
        verdict.append(f"{errors:,} errors, {warnings:,} warnings", style="bold red")
    else:
        verdict.append("fit to train on", style="bold green")
        verdict.append(f", {warnings:,} warnings" if warnings else "")
    return verdict


def next_step(report: ValidationReport) -> str:
    """One line: the command to type now."""
    if report.fixed:
        return f"{report.dropped:,} rows left out; next: ethtune validate-data {report.fixed}"
    if report.has_errors:
        return f"next: ethtune validate-data {report.path} --fix DIR writes a copy without them"
    return f"next: ethtune train --dataset {report.path}"
