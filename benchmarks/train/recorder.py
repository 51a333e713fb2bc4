"""What any trainer of the transformers family does, recorded the same way: steps in, figures out.

``watch`` must be called before a trainer is made. It adds a callback to the library's own default
ones and counts the tokens that ``training_step`` is given, so that the programs compared need not
know of it. A step's time runs from the end of the one before: data, logging and all.
"""

from __future__ import annotations

import functools
import json
import re
import resource
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers.trainer
from transformers import TrainerCallback

IGNORED = -100
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(slots=True)
class Mark:
    """Where a step ended, with all that had been counted by then."""

    wall_seconds: float
    cpu_seconds: float
    useful_tokens: int
    computed_tokens: int
    labels: int
    rows: int


@dataclass(slots=True)
class Record:
    """One run. The first mark is the start of training; bytes are of the process."""

    name: str
    seed: int
    marks: list[Mark] = field(default_factory=list)
    losses: list[tuple[int, float]] = field(default_factory=list)
    start_bytes: int = 0
    peak_bytes: int = 0
    process_peak_bytes: int = 0
    held_out_loss: float | None = None
    extra: dict[str, Any] = field(default_factory=dict)


class _Counts:
    def __init__(self) -> None:
        self.useful = self.computed = self.labels = self.rows = 0

    def add(self, inputs: dict[str, Any]) -> None:
        """A micro batch: padded with a mask, flat with positions, or ours with the rows' ids."""
        ids = inputs["input_ids"]
        self.computed += ids.numel()
        self.labels += int((inputs["labels"] != IGNORED).sum())
        if "attention_mask" in inputs:
            self.useful += int(inputs["attention_mask"].sum())
            self.rows += len(ids)
            return
        starts = (inputs["position_ids"][0] == 0).nonzero()[:, 0]
        rows = len(inputs.get("ids", starts))  # ours, on a CPU, rounds up by one more document
        self.useful += int(starts[rows]) if rows < len(starts) else ids.numel()
        self.rows += rows


def watch(name: str, seed: int, output: Path, *, held_out: Path | None = None) -> Record:
    """Record the next training of this process into ``output``; ``held_out`` are token rows."""
    record, counts = Record(name, seed), _Counts()
    transformers.trainer.DEFAULT_CALLBACKS.append(_callback(record, counts, output, held_out))
    step = transformers.Trainer.training_step

    @functools.wraps(step)
    def counted(trainer: Any, model: Any, inputs: dict[str, Any], *more: Any, **named: Any) -> Any:
        counts.add(inputs)
        return step(trainer, model, inputs, *more, **named)

    transformers.Trainer.training_step = counted
    return record


def _callback(record: Record, counts: _Counts, output: Path, rows: Path | None) -> type:
    class Recorder(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            record.start_bytes = _status_bytes("VmRSS")
            _forget_peak()
            record.marks.append(_mark(counts))

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            record.marks.append(_mark(counts))

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if logs and "loss" in logs:
                record.losses.append((state.global_step, float(logs["loss"])))

        def on_train_end(
            self, args: Any, state: Any, control: Any, model: Any = None, **_: Any
        ) -> None:
            record.peak_bytes = _status_bytes("VmHWM")
            record.process_peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            write(record, output)
            if rows is not None:
                record.held_out_loss = held_out_loss(model, rows)
                write(record, output)

    return Recorder


def write(record: Record, output: Path) -> None:
    """What is known so far."""
    output.write_text(json.dumps(asdict(record)) + "\n", encoding="utf-8")


def _mark(counts: _Counts) -> Mark:
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return Mark(
        time.perf_counter(),
        time.process_time(),
        counts.useful,
        counts.computed,
        counts.labels,
        counts.rows,
    )


def _status_bytes(key: str) -> int:
    found = re.search(rf"^{key}:\s+(\d+) kB", _STATUS.read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def _forget_peak() -> None:
    """The peak of loading is no peak of a step; some systems do not let it be forgotten."""
    try:
        _CLEAR.write_text("5")
    except OSError:
        return


def held_out_loss(model: Any, rows: Path) -> float:
    """Mean over the answers' tokens, a row at a time: one yardstick, whatever was trained how.

    The model stays in training mode, there being no dropout: bitsandbytes repacks 4-bit weights in
    evaluation mode.
    """
    total, count = 0.0, 0
    kind = next(model.parameters()).device.type
    for line in rows.read_text("utf-8").splitlines():
        row = json.loads(line)
        ids = torch.tensor([row["input_ids"]], device=kind)
        targets = torch.tensor(row["labels"], device=kind)[1:]
        places = (targets != IGNORED).nonzero()[:, 0]
        with torch.no_grad(), torch.autocast(kind, torch.bfloat16):
            logits = model(input_ids=ids, logits_to_keep=places, use_cache=False).logits[0]
        losses = torch.nn.functional.cross_entropy(logits.float(), targets[places], reduction="sum")
        total, count = total + float(losses), count + len(places)
    return total / count
