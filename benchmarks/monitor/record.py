"""Train a small model under good and bad settings; keep what the logs say as recorded curves.

    python benchmarks/monitor/record.py FOLDER recorded.jsonl [--only NAME]

FOLDER holds the base models and the dataset of ``base.py``, and is made where it is not there. Each
run is an ordinary ``ethtune train`` on the CPU with one setting or fault that makes its curve: a
learning rate, few rows, a row whose loss is enlarged or no number. What ails it is in the table
below: by what was set, not by what the rules say; of runs on few rows, by whether the validation
loss ends more than 5 % above its lowest. One JSON line a run: the columns of its step events, and
its evaluations. All of it takes half an hour of one core.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from base import make_base

from ethtune.core.compose import compose
from ethtune.core.errors import EthtuneError
from ethtune.core.eventlog import EventReader
from ethtune.core.events import Evaluated, StepLogged
from ethtune.model import trainer
from ethtune.model.loss import labelled_loss
from ethtune.services.training import train

STEPS = 160
COMMON = {
    "training.max_steps": STEPS,
    "training.per_device_train_batch_size": 2,
    "training.gradient_accumulation_steps": 1,
    "training.learning_rate": 1e-2,
    "training.lr_scheduler_type": "cosine",
    "data.max_seq_length": 768,
    "data.max_eval_samples": 12,
    "logging.logging_steps": 1,
    "logging.eval_steps": 20,
    "logging.save_strategy": "no",
    "logging.load_best_model_at_end": False,
    "model.base_model": "read",
}
DIGITS = {"loss": 4, "learning_rate": 3, "grad_norm": 3, "seconds": 3, "data_wait_seconds": 2}
RATE, SCHEDULE = "training.learning_rate", "training.lr_scheduler_type"
BASE, BY_VALIDATION = "model.base_model", "by validation"
FEW = {"data.max_train_samples": 6, SCHEDULE: "constant", "logging.eval_steps": 10}
LONG = {"training.max_steps": 400, "lora.r": 64, "logging.eval_steps": 20}
HEART = FEW | {
    "data.max_train_samples": 2,
    "training.max_steps": 600,
    "lora.r": 256,
    "lora.alpha": 256,
    RATE: 1e-2,
    "logging.eval_steps": 25,
}
# of the model that has seen the whole dataset, and now goes on with few of its rows
KNOWN = FEW | {"training.max_steps": 200, RATE: 2e-2, BASE: "knows"}
WILD = {"training.max_grad_norm": 1e9, "training.warmup_ratio": 0.0, SCHEDULE: "constant"}

# name: (what it is, its settings, what is done to its losses)
RUNS: dict[str, tuple[str, dict[str, Any], str]] = {
    "cosine 1e-2": ("healthy", {}, ""),
    "cosine 1e-2, other seed": ("healthy", {"training.seed": 7}, ""),
    "linear 3e-3": ("healthy", {RATE: 3e-3, SCHEDULE: "linear"}, ""),
    "warm-up of a quarter": ("healthy", {"training.warmup_ratio": 0.25}, ""),
    "batch of 8": ("healthy", {"training.gradient_accumulation_steps": 4}, ""),
    "batch of 1": ("healthy", {"training.per_device_train_batch_size": 1}, ""),
    "logged every 5 steps": ("healthy", {"logging.logging_steps": 5}, ""),
    "no validation": ("healthy", {"logging.eval_strategy": "no"}, ""),
    "rank 64, dropout": ("healthy", {"lora.r": 64, "lora.dropout": 0.1}, ""),
    "constant 5e-3": ("healthy", {RATE: 5e-3, SCHEDULE: "constant"}, ""),
    "6 rows, not for long": (BY_VALIDATION, FEW, ""),
    "6 rows, 2e-2, not for long": (BY_VALIDATION, FEW | {RATE: 2e-2}, ""),
    "6 rows, other seed, not for long": (BY_VALIDATION, FEW | {"training.seed": 5}, ""),
    "2 rows": (BY_VALIDATION, FEW | LONG | {"data.max_train_samples": 2}, ""),
    "3 rows, 2e-2": (BY_VALIDATION, FEW | LONG | {"data.max_train_samples": 3, RATE: 2e-2}, ""),
    "3 rows, cosine": (BY_VALIDATION, FEW | LONG | {SCHEDULE: "cosine", RATE: 2e-2}, ""),
    "2 rows, rank 256": (BY_VALIDATION, HEART, ""),
    "3 rows of a kind it knew": (BY_VALIDATION, KNOWN | {"data.max_train_samples": 3}, ""),
    "3 rows of a kind it knew, other seed": (BY_VALIDATION, KNOWN | {"training.seed": 9}, ""),
    "1 row of a kind it knew": (BY_VALIDATION, KNOWN | {"data.max_train_samples": 1}, ""),
    "rate 1e-7": ("rate too low", {RATE: 1e-7}, ""),
    "rate 1e-6, linear": ("rate too low", {RATE: 1e-6, SCHEDULE: "linear"}, ""),
    "rate 3e-6, constant": ("rate too low", {RATE: 3e-6, SCHEDULE: "constant"}, ""),
    "rate 1": ("rate too high", WILD | {RATE: 1.0}, ""),
    "rate 0.3": ("rate too high", WILD | {RATE: 0.3}, ""),
    "rate 3": ("rate too high", WILD | {RATE: 3.0}, ""),
    "rate 0.1 after a warm-up": ("rate too high", {RATE: 0.1, "training.warmup_ratio": 0.5}, ""),
    "one row of 5 nats more": ("spike", {}, "spike"),
    "one row of 5 nats more, other seed": ("spike", {"training.seed": 11}, "spike"),
    # its trainer ends it before the update, and says why: the log has nothing but good steps
    "a row without a number": ("healthy", {}, "nan"),
}


def main() -> None:
    """Run them all, or those whose names hold --only."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    if not (given.folder / "knows").is_dir():
        make_base(given.folder)
    with given.output.open("a", encoding="utf-8") as output:
        for name, (label, settings, fault) in RUNS.items():
            if given.only in name:
                columns = record(given.folder, COMMON | settings, fault)
                row = {"name": name, "label": what_ails(label, columns)} | columns
                output.write(json.dumps(row, separators=(",", ":")) + "\n")
                output.flush()
                print(name, row["label"], len(row["step"]), row["loss"][0], row["loss"][-1])


def what_ails(label: str, columns: dict[str, Any]) -> str:
    """Of runs on few rows what their validation says."""
    if label != BY_VALIDATION:
        return label
    losses = [loss for _, loss in columns["evaluations"]]
    return "overfitting" if losses[-1] > 1.05 * min(losses) else "healthy"


def record(bases: Path, settings: dict[str, Any], fault: str) -> dict[str, Any]:
    """The columns of one run's log."""
    folder = Path(tempfile.mkdtemp())
    places = {
        "training.output_dir": str(folder / "run"),
        "data.dataset": str(bases / "data"),
        BASE: str(bases / settings[BASE]),
    }
    overrides = {key: (value, "record") for key, value in (settings | places).items()}
    try:
        with mock.patch.object(trainer, "labelled_loss", _faulty(fault)):
            train(compose(overrides=overrides), command="record")
    except EthtuneError as error:
        print(error.message)
    events = [logged.event for logged in EventReader(folder / "run" / "events.jsonl").poll()]
    shutil.rmtree(folder)
    return dict(_columns(events))


def _faulty(fault: str) -> Any:
    """The loss of training, but for one micro batch in the middle of the run."""
    count = 0

    def loss(model: Any, inputs: Any) -> Any:
        nonlocal count
        total, correct, number = labelled_loss(model, inputs)
        count += model.training
        if fault and count == STEPS // 2 and model.training:
            total = total * float("nan") if fault == "nan" else total + 5 * number
        return total, correct, number

    return loss


def _columns(events: list[Any]) -> Iterator[tuple[str, list[Any]]]:
    steps = [event for event in events if isinstance(event, StepLogged)]
    for name in ("step", "num_steps"):
        yield name, [getattr(event, name) for event in steps]
    for name, digits in DIGITS.items():
        yield name, [_short(getattr(event, name), digits) for event in steps]
    evaluations = [event for event in events if isinstance(event, Evaluated)]
    yield "evaluations", [[event.step, _short(event.eval_loss, 4)] for event in evaluations]


def _short(value: float | None, digits: int) -> float | str | None:
    if value is None or not math.isfinite(value):
        return None if value is None else str(value)
    return float(f"{value:.{digits}g}")


if __name__ == "__main__":
    main()
