"""An evaluation report in, one screen out: metrics side by side, actions, mistakes."""

from __future__ import annotations

import json
from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ethtune.core.units import format_duration
from ethtune.scoring.markdown import percent
from ethtune.scoring.report import TITLES, Contender, EvaluationReport, Judged, has_rows
from ethtune.ui.terminal import clean

_MISTAKES_SHOWN = 3
_CONFUSIONS_SHOWN = 5
_TEXT_SHOWN_CHARACTERS = 200


def render(report: EvaluationReport) -> Iterator[RenderableType]:
    """What the command prints, from the figures that matter most to where the rest is."""
    yield _title(report)
    yield _metrics(report)
    yield Text("percent, in brackets the 95 % Wilson interval", style="dim")
    if report.paired:
        pair = report.paired
        yield Text(
            f"exact match, row by row: {pair.only_first_right:,} right only when tuned, "
            f"{pair.only_second_right:,} only before; McNemar p = {pair.p_value:.2g}"
        )
    yield _actions(report.tuned)
    if report.tuned.scores.confusions:
        yield _confusions(report.tuned)
    for row in report.mistakes[:_MISTAKES_SHOWN]:
        yield from _mistake(row)
    if report.folder:
        yield Text(clean(f"report: {report.folder}/report.md"), style="bold")


def _title(report: EvaluationReport) -> Text:
    weights = "finished adapter" if report.step is None else f"step {report.step}"
    seconds = sum(each.seconds or 0.0 for each in report.contenders)
    return Text(
        clean(
            f"{report.base_model}, {weights}: {report.num_rows:,} rows of {report.split} "
            f"in {format_duration(seconds)} on {report.device}"
        ),
        style="bold",
    )


def _metrics(report: EvaluationReport) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("metric")
    table.add_column("rows", justify="right")
    base = report.contender("base")
    for each in report.contenders:
        table.add_column(each.name, justify="right", no_wrap=True)
        if each is base:
            table.add_column("gain", justify="right", no_wrap=True)
    for metric, title in TITLES.items():
        if not has_rows(report, metric):
            continue
        share = report.tuned.scores.shares.get(metric)
        cells = [title, f"{share.total:,}" if share else ""]
        for each in report.contenders:
            cells.append(_figure(each, metric))
            if each is base:
                cells.append(_gain(report.tuned.value(metric), base.value(metric)))
        table.add_row(*cells, style="bold" if metric == "exact_match" else "")
    return table


def _figure(contender: Contender, metric: str) -> str:
    value, interval = contender.value(metric), contender.interval(metric)
    if value is None:
        return "–"
    if interval is None or contender.name == "majority":
        return f"{100 * value:.1f}"
    return f"{100 * value:.1f} ({100 * interval[0]:.0f}–{100 * interval[1]:.0f})"


def _gain(tuned: float | None, base: float | None) -> str:
    """Percentage points."""
    return "" if tuned is None or base is None else f"{100 * (tuned - base):+.1f}"


def _actions(tuned: Contender) -> Table:
    table = Table(box=None, pad_edge=False, title="actions", title_justify="left")
    table.add_column("action")
    for name in ("rows", "precision", "recall", "F1", "exact match"):
        table.add_column(name, justify="right")
    for score in tuned.scores.actions:
        figures = (score.precision, score.recall, score.f1, score.exact.value)
        table.add_row(score.action, f"{score.support:,}", *map(percent, figures))
    return table


def _confusions(tuned: Contender) -> Text:
    pairs = tuned.scores.confusions[:_CONFUSIONS_SHOWN]
    shown = "; ".join(f"{each.expected} read as {each.predicted}: {each.count:,}" for each in pairs)
    return Text(f"confused: {shown}")


def _mistake(row: Judged) -> Iterator[Text]:
    """The fields that differ, or what was written instead of an intent."""
    verdict = row.verdict
    yield Text(clean(f"wrong: {verdict.id}"), style="yellow")
    if verdict.predicted is None:
        yield Text(clean(f"  {verdict.parsed.reason}"))
        yield Text(clean(f"  text      {_shortened(' '.join(row.text.split()))}"))
        return
    expected, predicted = verdict.expected.as_dict(), verdict.predicted.as_dict()
    for field in verdict.wrong:
        yield Text(clean(f"  {field}"))
        yield Text(clean(f"    expected  {_shortened(_compact(expected.get(field)))}"))
        yield Text(clean(f"    predicted {_shortened(_compact(predicted.get(field)))}"))


def _compact(value: object) -> str:
    if value is None or isinstance(value, str):
        return value or "nothing"
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _shortened(text: str) -> str:
    if len(text) <= _TEXT_SHOWN_CHARACTERS:
        return text
    return text[:_TEXT_SHOWN_CHARACTERS] + "…"
