"""What an evaluation found: the records behind the screen, report.json and report.md."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ethtune.scoring.compare import Verdict
from ethtune.scoring.intervals import PairedTest
from ethtune.scoring.metrics import Scores

# Metric names in the order in which every table shows them, with the words it uses.
TITLES: dict[str, str] = {
    "exact_match": "exact match",
    "action_accuracy": "action accuracy",
    "action_macro_f1": "action macro F1",
    "protocol_accuracy": "protocol accuracy",
    "outcome_accuracy": "outcome accuracy",
    "sent_assets_f1": "sent assets F1",
    "sent_amounts_exact": "sent amounts exact",
    "received_assets_f1": "received assets F1",
    "received_amounts_exact": "received amounts exact",
    "approved_assets_f1": "approved assets F1",
    "approved_amounts_exact": "approved amounts exact",
    "recipient_exact": "recipient exact",
    "spender_exact": "spender exact",
    "valid_json": "valid JSON",
    "valid_schema": "valid schema",
    "finished": "finished",
}


@dataclass(frozen=True, slots=True)
class Judged:
    """A row as predictions.jsonl and the list of mistakes show it."""

    verdict: Verdict
    text: str

    def as_dict(self) -> dict[str, Any]:
        """Plain data of one line of predictions.jsonl."""
        verdict = self.verdict
        return {
            "id": verdict.id,
            "exact_match": verdict.is_exact,
            "wrong": list(verdict.wrong),
            "reason": verdict.parsed.reason,
            "finished": verdict.is_finished,
            "expected": verdict.expected.as_dict(),
            "predicted": self.text,
        }


@dataclass(frozen=True, slots=True)
class Contender:
    """One model on the rows: "tuned", "base" or "majority", which generates nothing."""

    name: str
    judged: tuple[Judged, ...]
    scores: Scores
    seconds: float | None = None
    num_generated_tokens: int | None = None

    def value(self, metric: str) -> float | None:
        """A metric's figure between 0 and 1."""
        share = self.scores.shares.get(metric)
        return share.value if share else self.scores.f1[metric]

    def interval(self, metric: str) -> tuple[float, float] | None:
        """The 95 % interval of a share; F1 has none."""
        share = self.scores.shares.get(metric)
        return share.interval if share else None

    @property
    def tokens_per_second(self) -> float | None:
        """Generated tokens only."""
        if not self.seconds or self.num_generated_tokens is None:
            return None
        return self.num_generated_tokens / self.seconds

    def as_dict(self) -> dict[str, Any]:
        """Plain data without the rows."""
        return {
            "name": self.name,
            "seconds": self.seconds,
            "num_generated_tokens": self.num_generated_tokens,
        } | self.scores.as_dict()


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """``contenders`` begins with the tuned model; ``paired`` compares it to the base model.

    ``adapter`` is the folder whose weights were judged, ``step`` the checkpoint's or None for a
    finished run. ``num_skipped`` references were no intents. ``folder`` is None when unsaved.
    """

    run: str
    adapter: str
    step: int | None
    base_model: str
    device: str
    dataset: str
    split: str
    max_new_tokens: int
    num_skipped: int
    contenders: tuple[Contender, ...]
    paired: PairedTest | None = None
    folder: str | None = None

    @property
    def tuned(self) -> Contender:
        """The model that the run trained."""
        return self.contenders[0]

    @property
    def num_rows(self) -> int:
        """Rows that every contender answered."""
        return self.tuned.scores.num_rows

    @property
    def mistakes(self) -> tuple[Judged, ...]:
        """Rows that the tuned model has wrong, in the order of the split."""
        return tuple(row for row in self.tuned.judged if not row.verdict.is_exact)

    def contender(self, name: str) -> Contender | None:
        """The contender of that name, if it took part."""
        return next((each for each in self.contenders if each.name == name), None)

    def as_dict(self) -> dict[str, Any]:
        """report.json."""
        return {
            "run": self.run,
            "adapter": self.adapter,
            "step": self.step,
            "base_model": self.base_model,
            "device": self.device,
            "dataset": self.dataset,
            "split": self.split,
            "max_new_tokens": self.max_new_tokens,
            "num_rows": self.num_rows,
            "num_skipped": self.num_skipped,
            "models": {each.name: each.as_dict() for each in self.contenders},
            "paired_exact_match": asdict(self.paired) if self.paired else None,
            "folder": self.folder,
        }


def has_rows(report: EvaluationReport, metric: str) -> bool:
    """A metric that no contender has a figure for needs no line in a table."""
    return any(each.value(metric) is not None for each in report.contenders)
