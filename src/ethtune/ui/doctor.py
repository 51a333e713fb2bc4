"""The doctor's findings: what is open with its fix, a line for each group, then the answer."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from rich.table import Table
from rich.text import Text

from ethtune.device.checks.verdict import NOT_PROBED, Group
from ethtune.services.diagnosis import DoctorReport, Finding
from ethtune.ui.terminal import clean, stderr, stdout

_MARKS = {"ok": "ok", "warn": "WARN", "fail": "FAIL", "skipped": "skip", "crashed": "CRASH"}
_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red", "skipped": "dim",
           "crashed": "bold red"}  # fmt: skip
_WORDS = {"crashed": "crashed", "fail": "failed", "warn": "to look at", "ok": "ok",
          "skipped": "n/a"}  # fmt: skip
_TITLES: dict[Group, str] = {
    "gpu": "GPU",
    "match": "Driver, CUDA and torch",
    "training": "Quantisation and precision",
    "memory": "Memory",
    "disk": "Disk",
    "hub": "Base model and hub",
    "data": "Data and config",
    "packages": "Packages",
    "system": "System",
    "multi": "Several GPUs",
}
_NOT_TRIED = "not tried"
_INDENT = 6


def show_doctor(report: DoctorReport, *, verbose: bool = False) -> None:
    """Print the report. Commands are never wrapped, so that they can be copied."""
    if verbose:
        _show_all(report)
    for finding in report.open_findings:
        _show_open(finding)
    if not verbose:
        stdout.print(*_summary(report), sep="\n")
        stdout.print()
    style = "bold green" if report.can_train else "bold red"
    stdout.print(Text(clean(report.verdict), style=style))
    if report.open_findings and not verbose:
        stdout.print(Text("Every check: --verbose. As a script: --fix-script FILE", style="dim"))


def show_script(script: str) -> None:
    """As it is, for a file or another program."""
    sys.stdout.write(script)


def waiting(*, is_quick: bool) -> AbstractContextManager[Any]:
    """Something that moves while the libraries are tried; nothing where no one looks."""
    if is_quick or not stderr.is_terminal:
        return nullcontext()
    return stderr.status("trying the libraries: imports, a 4-bit step, the hub")


def _show_open(finding: Finding) -> None:
    mark = f"{_MARKS[finding.status]:<{_INDENT}}"
    stdout.print(
        Text.assemble(
            (mark, _STYLES[finding.status]), (finding.id, "bold"), (f"  {finding.title}", "dim")
        )
    )
    _show_indented(clean(finding.evidence))
    if finding.fix:
        _show_indented(f"fix: {clean(finding.fix)}")
    for command in finding.commands:
        line = Text.assemble((f"{'':<{_INDENT}}$ ", "dim"), (clean(command), "cyan"))
        stdout.print(line, soft_wrap=True)
    stdout.print()


def _show_all(report: DoctorReport) -> None:
    for group, title in _TITLES.items():
        stdout.print(Text(title, style="bold"))
        table = Table.grid(padding=(0, 1))
        table.add_column(width=_INDENT)
        table.add_column(min_width=19, no_wrap=True)
        table.add_column()
        for finding in report.findings:
            if finding.group == group:
                mark = Text(f"  {_MARKS[finding.status]}", style=_STYLES[finding.status])
                style = "dim" if finding.status == "skipped" else ""
                table.add_row(mark, finding.id, Text(clean(finding.evidence), style=style))
        stdout.print(table)
    stdout.print()


def _summary(report: DoctorReport) -> Iterator[Text]:
    """How each group came off."""
    room = max(map(len, _TITLES.values())) + 2
    for group, title in _TITLES.items():
        words = [_word(finding) for finding in report.findings if finding.group == group]
        yield Text(f"{title:<{room}}").append_text(Text("  ").join(_counts(words)))


def _word(finding: Finding) -> str:
    return _NOT_TRIED if finding.evidence == NOT_PROBED else _WORDS[finding.status]


def _counts(words: list[str]) -> Iterator[Text]:
    styles = {word: _STYLES[status] for status, word in _WORDS.items()}
    for word, style in (styles | {_NOT_TRIED: "dim"}).items():
        if count := words.count(word):
            yield Text(f"{count} {word}", style=style)


def _show_indented(text: str) -> None:
    """Wrapped, without blanks at the ends of lines."""
    for line in Text(text).wrap(stdout, max(stdout.width - _INDENT, 20)):
        line.rstrip()
        stdout.print(Text(" " * _INDENT).append_text(line))
