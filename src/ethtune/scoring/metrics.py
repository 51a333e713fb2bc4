"""Judged rows in, the field's standard metrics out. A text that is no intent is wrong everywhere.

Every share has a Wilson interval. A metric about a field that few rows have (recipient, sent
amounts) is over the rows whose reference has it; what a model adds where the reference has
nothing costs it the exact match and, for assets, precision.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ethtune.scoring.compare import MOVEMENT_FIELDS, Verdict
from ethtune.scoring.intervals import Share

_CONFUSIONS_KEPT = 10


def _is_right(field: str) -> Callable[[Verdict], bool | None]:
    return lambda verdict: field not in verdict.wrong


def _is_right_where_expected(field: str) -> Callable[[Verdict], bool | None]:
    return lambda verdict: field not in verdict.wrong if getattr(verdict.expected, field) else None


# Metric to the judgement of one row: right, wrong, or None where the row has nothing to judge.
SHARES: Mapping[str, Callable[[Verdict], bool | None]] = {
    "exact_match": lambda verdict: verdict.is_exact,
    "action_accuracy": _is_right("action"),
    "protocol_accuracy": _is_right("protocol"),
    "outcome_accuracy": _is_right("outcome"),
    "sent_amounts_exact": _is_right_where_expected("sent"),
    "received_amounts_exact": _is_right_where_expected("received"),
    "approved_amounts_exact": _is_right_where_expected("approved"),
    "recipient_exact": _is_right_where_expected("recipient"),
    "spender_exact": _is_right_where_expected("spender"),
    "valid_json": lambda verdict: verdict.parsed.is_json,
    "valid_schema": lambda verdict: verdict.predicted is not None,
    "finished": lambda verdict: verdict.is_finished,
}


@dataclass(frozen=True, slots=True)
class ActionScore:
    """One class. ``support`` is its number of references; a figure over no rows is None."""

    action: str
    support: int
    precision: float | None
    recall: float | None
    f1: float
    exact: Share


@dataclass(frozen=True, slots=True)
class Confusion:
    """``count`` rows of ``expected`` were taken for ``predicted``, which may be INVALID."""

    expected: str
    predicted: str
    count: int


@dataclass(frozen=True, slots=True)
class Scores:
    """All metrics of one model on one set of rows.

    ``f1`` holds micro-averaged F1 of the assets moved and the macro-averaged F1 of actions; None
    where neither side has any.
    """

    num_rows: int
    shares: Mapping[str, Share]
    f1: Mapping[str, float | None]
    actions: tuple[ActionScore, ...]
    confusions: tuple[Confusion, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain data; shares with count, value and interval."""
        return {
            "num_rows": self.num_rows,
            "shares": {name: _share_dict(share) for name, share in self.shares.items()},
            "f1": dict(self.f1),
            "actions": [
                {
                    "action": score.action,
                    "support": score.support,
                    "precision": score.precision,
                    "recall": score.recall,
                    "f1": score.f1,
                    "exact_match": _share_dict(score.exact),
                }
                for score in self.actions
            ],
            "confusions": [
                {"expected": c.expected, "predicted": c.predicted, "count": c.count}
                for c in self.confusions
            ],
        }


def score(verdicts: Sequence[Verdict]) -> Scores:
    """Every metric over the judged rows."""
    actions = _score_actions(verdicts)
    f1: dict[str, float | None] = {
        f"{field}_assets_f1": assets_f1(verdicts, field) for field in MOVEMENT_FIELDS
    }
    f1["action_macro_f1"] = sum(a.f1 for a in actions) / len(actions) if actions else None
    return Scores(
        num_rows=len(verdicts),
        shares={
            name: _share(judged(verdict) for verdict in verdicts) for name, judged in SHARES.items()
        },
        f1=f1,
        actions=actions,
        confusions=_confusions(verdicts),
    )


def assets_f1(verdicts: Iterable[Verdict], field: str) -> float | None:
    """Micro F1 over the assets of a movement field, each as often as it occurs in its row."""
    num_common = num_expected = num_predicted = 0
    for verdict in verdicts:
        expected = Counter(movement.asset for movement in getattr(verdict.expected, field))
        predicted = Counter(movement.asset for movement in getattr(verdict.predicted, field, ()))
        num_common += (expected & predicted).total()
        num_expected += expected.total()
        num_predicted += predicted.total()
    total = num_expected + num_predicted
    return 2 * num_common / total if total else None


def _share(judgements: Iterable[bool | None]) -> Share:
    judged = [judgement for judgement in judgements if judgement is not None]
    return Share(sum(judged), len(judged))


def _share_dict(share: Share) -> dict[str, Any]:
    return {
        "right": share.right,
        "total": share.total,
        "value": share.value,
        "interval": share.interval,
    }


def _score_actions(verdicts: Sequence[Verdict]) -> tuple[ActionScore, ...]:
    """Every action that is a reference or a prediction, most frequent reference first."""
    expected: Counter[str] = Counter(verdict.expected.action for verdict in verdicts)
    predicted: Counter[str] = Counter(verdict.action for verdict in verdicts if verdict.predicted)
    right: Counter[str] = Counter(v.action for v in verdicts if v.action == v.expected.action)
    names = sorted(expected | predicted, key=lambda name: (-expected[name], name))
    return tuple(
        ActionScore(
            action=name,
            support=expected[name],
            precision=right[name] / predicted[name] if predicted[name] else None,
            recall=right[name] / expected[name] if expected[name] else None,
            f1=2 * right[name] / (expected[name] + predicted[name]),
            exact=_share(v.is_exact for v in verdicts if v.expected.action == name),
        )
        for name in names
    )


def _confusions(verdicts: Iterable[Verdict]) -> tuple[Confusion, ...]:
    counts = Counter(
        (verdict.expected.action, verdict.action)
        for verdict in verdicts
        if verdict.action != verdict.expected.action
    )
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Confusion(*pair, count) for pair, count in ordered[:_CONFUSIONS_KEPT])
