"""Validation rows in, a measure of a model's answers to them out: what the best is chosen by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ethtune.core.config import LoggingSection
from ethtune.core.errors import DataError
from ethtune.core.example import Example
from ethtune.core.intent import Intent
from ethtune.dataset.reading import read_split, split_path
from ethtune.scoring.compare import judge
from ethtune.scoring.metrics import score
from ethtune.scoring.parse import parse_text

if TYPE_CHECKING:
    from ethtune.model.generate import Generation

ANSWERED = ("exact_match", "action_accuracy")
Answer = Callable[[Sequence[str], Sequence[str]], Sequence["Generation"]]
"""Prompts and their references in, greedy completions as long as the longest reference out."""


@dataclass(frozen=True, slots=True)
class TaskMetric:
    """Evenly spaced rows whose reference is an intent, the same at every validation."""

    rows: tuple[tuple[Example, Intent], ...]

    def __call__(self, answer: Answer) -> dict[str, float]:
        """Shares of right answers between 0 and 1."""
        prompts = [example.prompt for example, _ in self.rows]
        answers = answer(prompts, [example.output for example, _ in self.rows])
        verdicts = [
            judge(example.id, expected, given.text, is_finished=given.finished)
            for (example, expected), given in zip(self.rows, answers, strict=True)
        ]
        shares = score(verdicts).shares
        return {name: float(shares[name].value or 0.0) for name in ANSWERED}


def task_metric(section: LoggingSection, dataset: Path) -> TaskMetric | None:
    """What ``metric_for_best_model`` needs; None where the loss says it all.

    Raises DataError when no validation row has an intent to compare with.
    """
    if section.metric_for_best_model not in ANSWERED or section.eval_strategy == "no":
        return None
    if not split_path(dataset, "validation").is_file():
        return None
    rows = [
        (example, intent)
        for example in read_split(dataset, "validation")
        if (intent := parse_text(example.output).intent) is not None
    ]
    if not rows:
        raise DataError(
            f"{dataset}: no validation row's output is an intent, so no {', '.join(ANSWERED)}",
            hint="--set logging.metric_for_best_model=eval_loss",
        )
    count = min(section.num_generated_samples, len(rows))
    return TaskMetric(tuple(rows[index * len(rows) // count] for index in range(count)))
