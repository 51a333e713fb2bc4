"""What ``ethtune validate-data`` found, for a person: grouped by code, with the first places."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.markdown import Markdown
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ethtune.core.errors import UsageError
from ethtune.dataset.findings import Finding, severity
from ethtune.dataset.rowlengths import LengthReport
from ethtune.dataset.rules import rules
from ethtune.services.validation import ValidationReport
from ethtune.ui.terminal import clean

_CLASSES_SHOWN = 5
_BAR_WIDTH = 32
_STYLES = {"error": "bold red", "warning": "yellow"}


def render(report: ValidationReport) -> RenderableType:
    """The verdict last, where the eye rests."""
    return Group(*_parts(report))


def _parts(report: ValidationReport) -> Iterator[RenderableType]:
    found = report.findings
    for code in rules():
        if code in found.counts:
            yield from _group(code, found.counts[code], found.first[code])
    if report.lengths:
        yield from _lengths(report.lengths)
    if report.actions:
        yield _classes(report)
    yield _verdict(report)


def write_json(report: ValidationReport) -> None:
    """The whole report as JSON on stdout, however many findings it has."""
    sys.stdout.writelines(report.json_chunks())


def rule_page(code: str) -> RenderableType:
    """The page of a finding. Raises UsageError for a code that is none."""
    rule = rules().get(code.strip().upper())
    if rule is None:
        raise UsageError(f'"{code}" is no finding', hint=f"one of {', '.join(rules())}")
    return Markdown(rule.page, code_theme="ansi_light")


def _group(code: str, count: int, first: list[Finding]) -> Iterator[RenderableType]:
    head = Text()
    head.append(f"{code} ", style=_STYLES[severity(code)])
    head.append(rules()[code].title, style="bold")
    head.append(f"  ({count:,})")
    yield head
    for finding in first:
        yield _indented(Text(f"{clean(finding.where)}: {clean(finding.message)}"))
    if count > len(first):
        yield _indented(Text(f"and {count - len(first):,} more", style="dim"))
    yield _indented(Text(f"fix: {rules()[code].fix}", style="dim"))
    yield Text()


def _indented(text: Text) -> Padding:
    """Two columns in, lines that are wrapped as well."""
    return Padding(text, (0, 0, 0, 2), expand=False)


def _lengths(lengths: LengthReport) -> Iterator[RenderableType]:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(lengths.unit)
    for name in ("p50", "p90", "p99", "max", "sum"):
        table.add_column(name, justify="right")
    for name, row in (
        ("prompt", lengths.prompt),
        ("completion", lengths.completion),
        ("total", lengths.total),
    ):
        table.add_row(name, *(f"{n:,}" for n in (row.p50, row.p90, row.p99, row.max, row.sum)))
    yield table
    yield Text()
    yield _histogram(lengths)
    if lengths.over_limit:
        yield Text(
            f"{lengths.over_limit:,} rows are longer than {lengths.max_seq_length:,} tokens: "
            f"ethtune train leaves them out; cut, all would lose their end token, "
            f"{lengths.answerless:,} the whole answer",
            style="yellow",
        )
    yield Text()


def _histogram(lengths: LengthReport) -> Table:
    """A bar for every power of two; those beyond the limit stand out."""
    bars = Table(box=None, pad_edge=False, show_header=False)
    bars.add_column(justify="right")
    bars.add_column()
    bars.add_column(justify="right")
    most = max(rows for _, _, rows in lengths.total.histogram)
    for low, high, rows in lengths.total.histogram:
        is_over = lengths.max_seq_length is not None and low > lengths.max_seq_length
        width = max(round(_BAR_WIDTH * rows / most), 1) if rows else 0
        bars.add_row(
            Text(f"{low:,} to {high:,}", style="dim"),
            Text("█" * width, style="red" if is_over else "cyan"),
            f"{rows:,}",
        )
    return bars


def _classes(report: ValidationReport) -> Text:
    counts = Counter[str]()
    for actions in report.actions.values():
        counts.update(actions)
    shown = ", ".join(
        f"{action} {count / counts.total():.0%}"
        for action, count in counts.most_common(_CLASSES_SHOWN)
    )
    hidden = len(counts) - _CLASSES_SHOWN
    text = Text(f"{_number(len(counts), 'action')}: ", style="dim").append(shown, style="not dim")
    return text.append(f" and {hidden} more" if hidden > 0 else "", style="not dim")


def _verdict(report: ValidationReport) -> Text:
    counts = ", ".join(f"{count:,} {split}" for split, count in report.rows.items())
    verdict, warnings = Text(f"{counts} rows: "), _number(report.num_warnings, "warning")
    if report.num_errors:
        said = f"{_number(report.num_errors, 'error')}, {warnings}"
        return verdict.append(said, style="bold red")
    verdict.append("fit to train on" if report.is_trainable else "no errors", style="bold green")
    return verdict.append(f", {warnings}" if report.num_warnings else "")


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def next_step(report: ValidationReport) -> str:
    """What was written, or one line: the command to type now."""
    copy = report.correction
    if copy is not None:
        done = [f"{_number(copy.num_dropped, 'row')} left out"]
        done += [f"{what}: {len(places):,}" for what, places in copy.repairs.items()]
        return f"{'; '.join(done)}; next: ethtune validate-data {copy.path}"
    if report.num_errors:
        return f"next: ethtune validate-data {report.path} --fix DIR writes a copy without them"
    if not report.is_trainable:
        return "ethtune train reads rows of instruction, input and output"
    return f"next: ethtune train --dataset {report.path}"
