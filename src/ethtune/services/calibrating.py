"""estimate --calibrate: a few real steps of a config on rows of its dataset, and what they took.

The steps go the way of every run, in a folder that is removed; the record that a finished run
leaves is what remains.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ethtune.core.compose import ComposedConfig
from ethtune.core.config import Config
from ethtune.core.errors import ConfigError
from ethtune.core.events import SILENT, Emit
from ethtune.core.example import Example
from ethtune.dataset.reading import read_file
from ethtune.services.session import TrainingReport
from ethtune.services.training import train

_NUM_STEPS = 3
_VALIDATED_ROWS = 6
_TOKENS_PER_CHARACTER = 0.3  # few, so that all sequences of the steps are full


def calibrate(config: Config, *, command: str, events: Emit = SILENT) -> TrainingReport:
    """Train three steps on the heaviest rows and ordinary ones, and validate once between them.

    Raises ConfigError without a dataset, and what ``train`` raises.
    """
    if config.data.dataset is None:
        raise ConfigError(
            "--calibrate needs rows to run on",
            hint="ethtune estimate --calibrate --dataset FOLDER; ethtune prepare makes one",
        )
    dataset = Path(config.data.dataset)
    rows = list(read_file(dataset / "train.jsonl" if dataset.is_dir() else dataset))
    with tempfile.TemporaryDirectory(prefix="ethtune-") as scratch:
        data, run = Path(scratch, "data"), Path(scratch, "run")
        data.mkdir()
        chosen = _chosen(rows, config)
        for name, part in (("train", chosen), ("validation", chosen[:_VALIDATED_ROWS])):
            text = "".join(row.to_json() + "\n" for row in part)
            (data / f"{name}.jsonl").write_text(text, encoding="utf-8")
        composed = ComposedConfig(_short(config, data, run), origins={})
        return train(composed, command=command, events=events)


def _chosen(rows: Sequence[Example], config: Config) -> list[Example]:
    """Rows that fill three steps: in turns the longest, one with most to learn, one from anywhere.

    The first two make the peak of memory, the third an ordinary pace.
    """
    section = config.data
    tokens = _NUM_STEPS * config.effective_batch_size * section.max_seq_length
    room = tokens / _TOKENS_PER_CHARACTER
    longest = sorted(range(len(rows)), key=lambda index: -len(rows[index].prompt))
    most_learned = sorted(range(len(rows)), key=lambda index: -len(rows[index].output))
    chosen: dict[int, Example] = {}
    for turn in zip(longest, most_learned, _spread_out(len(rows)), strict=True):
        for index in turn:
            if index not in chosen:
                chosen[index] = rows[index]
                room -= len(rows[index].prompt) + len(rows[index].output)
        if room <= 0:
            break
    return list(chosen.values())


def _spread_out(count: int) -> list[int]:
    """All indices, any first few of them from all over."""
    start = int(count * 0.618) or 1
    stride = next(step for step in range(start, count + 2) if math.gcd(step, count) == 1)
    return [index * stride % count for index in range(count)]


def _short(config: Config, data: Path, run: Path) -> Config:
    """The same steps with one validation, which a peak may come from; nothing is kept."""
    training = {
        "max_steps": _NUM_STEPS,
        "output_dir": str(run),
        "num_processes": 1,  # and with it the whole model
        "fsdp": False,
        "deepspeed": None,
    }
    logging = {
        "logging_steps": 1,
        "save_strategy": "no",
        "eval_strategy": "steps",
        "eval_steps": _NUM_STEPS - 1,
        "load_best_model_at_end": False,
        "report_to": (),
    }
    changes = {"training": training, "logging": logging, "data": {"dataset": str(data)}}
    sections = {
        name: getattr(config, name).model_copy(update=values) for name, values in changes.items()
    }
    return config.model_copy(update=sections)
