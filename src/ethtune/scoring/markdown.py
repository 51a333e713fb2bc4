"""An evaluation report in, the text of report.md out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ethtune.scoring.report import TITLES, Contender, EvaluationReport, has_rows

_MISTAKES_SHOWN = 10


def to_markdown(report: EvaluationReport) -> str:
    """The whole report: where it comes from, metrics, actions, confusions, mistakes."""
    return "\n".join(
        [
            f"# Evaluation on the {report.split} split",
            "",
            *_provenance(report),
            "",
            *_metrics(report),
            "",
            *_reading(report),
            *_actions(report.tuned),
            *_confusions(report.tuned),
            *_mistakes(report),
        ]
    )


def percent(value: float | None) -> str:
    """0.5 is "50.0 %"; a figure over no rows is a dash."""
    return "–" if value is None else f"{100 * value:.1f} %"


def _provenance(report: EvaluationReport) -> Iterator[str]:
    weights = "the finished adapter" if report.step is None else f"step {report.step}"
    yield f"- base model: `{report.base_model}`, adapter: `{report.adapter}` ({weights})"
    yield f"- rows: {report.num_rows:,} of `{report.dataset}`, device: {report.device}"
    if report.num_skipped:
        yield f"- left out: {report.num_skipped:,} rows whose reference is no intent"
    for each in report.contenders:
        if each.seconds is not None and each.tokens_per_second is not None:
            speed = f"{each.tokens_per_second:,.1f} generated tokens/s"
            yield f"- {each.name}: {each.seconds:,.1f} s, {speed}"


def _metrics(report: EvaluationReport) -> Iterator[str]:
    names = [each.name for each in report.contenders]
    yield from _header(["metric", "rows", *names])
    for metric, title in TITLES.items():
        if has_rows(report, metric):
            cells = [_cell(each, metric) for each in report.contenders]
            share = report.tuned.scores.shares.get(metric)
            yield _row([title, f"{share.total:,}" if share else "", *cells])


def _cell(contender: Contender, metric: str) -> str:
    shown = percent(contender.value(metric))
    interval = contender.interval(metric)
    return f"{shown} ({100 * interval[0]:.1f} to {100 * interval[1]:.1f})" if interval else shown


def _reading(report: EvaluationReport) -> Iterator[str]:
    yield "In brackets: 95 % Wilson intervals. Decoding is greedy. `majority` answers every row"
    yield "with the most frequent action, protocol and outcome of the training split. The rules"
    yield "that label the data are no baseline: they agree with their own labels."
    if report.paired:
        pair = report.paired
        yield ""
        yield f"Exact match, row by row: right only when tuned {pair.only_first_right:,} times,"
        yield f"right only before {pair.only_second_right:,} times"
        yield f"(exact McNemar test, p = {pair.p_value:.2g})."


def _actions(tuned: Contender) -> Iterator[str]:
    yield from ("", "## Actions", "")
    yield from _header(["action", "rows", "precision", "recall", "F1", "exact match"])
    for score in tuned.scores.actions:
        figures = (score.precision, score.recall, score.f1, score.exact.value)
        yield _row([score.action, f"{score.support:,}", *map(percent, figures)])


def _confusions(tuned: Contender) -> Iterator[str]:
    if not tuned.scores.confusions:
        return
    yield from ("", "## Confused actions", "")
    yield from _header(["expected", "predicted", "rows"])
    for each in tuned.scores.confusions:
        yield _row([each.expected, each.predicted, f"{each.count:,}"])


def _mistakes(report: EvaluationReport) -> Iterator[str]:
    if not report.mistakes:
        return
    yield from ("", "## Mistakes", "")
    for row in report.mistakes[:_MISTAKES_SHOWN]:
        verdict = row.verdict
        yield f"- `{verdict.id}`: {verdict.parsed.reason or ', '.join(verdict.wrong)}"
        yield ""
        for line in (verdict.expected.to_json(), *row.text.splitlines()):
            yield f"      {line}"
        yield ""


def _header(names: Sequence[str]) -> Iterator[str]:
    yield _row(names)
    yield _row(["---", *("---:" for _ in names[1:])])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
