"""What runs on this machine took, kept for the next estimate: a run in, a line of JSON out.

One file in the cache folder, a line a run. A line is appended in one write; one that is torn or of
another version is skipped. An estimate looks for the line nearest to its config and scales its own
model by it: what the model misses there it misses here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from ethtune.core.cachefolder import cache_folder
from ethtune.core.config import Config
from ethtune.core.events import StepLogged
from ethtune.core.runstate import RunState
from ethtune.device.cards import driver
from ethtune.device.target import Target
from ethtune.services.forecast import Load, place_of_run
from ethtune.services.trainingdata import Amount, Packing

_VERSION = 1
_PACKAGES = ("torch", "transformers", "bitsandbytes")
_KEPT = 500  # newest lines that are read
_KEYS = {  # what of a config decides memory and speed
    "model": ("base_model", "attn_implementation"),
    "lora": ("r", "dropout", "target_modules", "use_dora"),
    "quantization": ("load_in_4bit", "bnb_4bit_use_double_quant"),
    "training": ("per_device_train_batch_size", "gradient_accumulation_steps"),
    "data": ("max_seq_length", "packing"),
    "optimization": ("gradient_checkpointing", "optim", "fp16", "bf16", "use_liger_kernel"),
}


@dataclass(frozen=True, slots=True)
class Record:
    """One run. ``peak_bytes`` are reserved on a GPU, the whole process's on a CPU.

    ``settings`` are those of the config that decide memory and speed.
    """

    time: float
    device: str
    versions: dict[str, str]
    settings: dict[str, dict[str, Any]]
    load: Load
    num_steps: int
    tokens_per_second: float
    seconds_per_step: float
    loaded_bytes: int
    peak_bytes: int

    @property
    def config(self) -> Config:
        """The config it ran with, as far as it matters here."""
        return Config.model_validate(self.settings)


def store() -> Path:
    """The file of records."""
    return cache_folder() / "calibration.jsonl"


def record_of(
    config: Config, packing: Packing | None, state: RunState, target: Target
) -> Record | None:
    """What a finished run measured; None where it has too few steps to tell.

    The first step compiles kernels and fills caches: it is no measure of speed. A run that memory
    ran out in is no measure of its config.
    """
    if state.adjustments:
        return None
    steps = state.recent[1:] or state.recent
    if not steps or state.loaded is None or not state.peak_bytes:
        return None
    seconds = sum(step.seconds for step in steps)
    tokens = sum(step.num_tokens for step in steps)
    if seconds <= 0 or tokens <= 0:
        return None
    return Record(
        time=time.time(),
        device=device_key(target),
        versions=versions(),
        settings=settings_of(config),
        load=dataclasses.replace(Load.of(config, packing), mean=_mean_length(config, steps)),
        num_steps=sum(step.num_steps for step in steps),
        tokens_per_second=tokens / seconds,
        seconds_per_step=seconds / sum(step.num_steps for step in steps),
        loaded_bytes=state.loaded.memory_bytes,
        peak_bytes=state.peak_bytes,
    )


def remember_run(config: Config, amount: Amount, state: RunState, *, on_gpu: bool) -> None:
    """Append what a run on this machine measured. A cache that cannot be written is no error.

    What several processes did together says nothing of one.
    """
    if config.training.num_processes > 1:
        return
    record = record_of(config, amount.packing, state, place_of_run(on_gpu=on_gpu))
    if record is not None:
        with contextlib.suppress(OSError):
            append(record, store())


def append(record: Record, path: Path) -> None:
    """Add a line in one write, after whatever a torn one left behind. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps({"v": _VERSION, **dataclasses.asdict(record)}, allow_nan=False) + "\n"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        if os.fstat(descriptor).st_size:
            os.lseek(descriptor, -1, os.SEEK_END)
            line = line if os.read(descriptor, 1) == b"\n" else "\n" + line
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def read_records(path: Path) -> list[Record]:
    """The newest records, oldest first; whatever is no record is passed over."""
    try:
        lines = path.read_bytes().splitlines()[-_KEPT:]
    except OSError:
        return []
    return [record for line in lines for record in _record(line)]


def nearest(records: Sequence[Record], config: Config, target: Target) -> Record | None:
    """Of the same device: the same model before another, then the fewest settings that differ."""
    same = [record for record in records if record.device == device_key(target)]
    if not same:
        return None
    now = versions()

    def distance(record: Record) -> tuple[float, ...]:
        changed = differences(record, config)
        length = record.settings["data"]["max_seq_length"]
        return (
            "model.base_model" in changed,
            len(changed),
            record.versions != now,
            abs(math.log(length / config.data.max_seq_length)),
            -record.time,
        )

    return min(same, key=distance)


def differences(record: Record, config: Config) -> list[str]:
    """Settings of ``config`` that the record's run had otherwise."""
    return [
        f"{section}.{key}"
        for section, values in settings_of(config).items()
        for key, value in values.items()
        if record.settings.get(section, {}).get(key) != value
    ]


def settings_of(config: Config) -> dict[str, dict[str, Any]]:
    """What decides memory and speed."""
    plain = config.model_dump(mode="json")
    return {name: {key: plain[name][key] for key in keys} for name, keys in _KEYS.items()}


def device_key(target: Target) -> str:
    """What a record must share with an estimate: the card or the processor."""
    return target.facts.name if target.facts else target.name.removesuffix(" (here)")


def versions() -> dict[str, str]:
    """Of the packages that compute a step, and of the driver."""
    found = {"driver": driver().version or "none"}
    for name in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _mean_length(config: Config, steps: Sequence[StepLogged]) -> float:
    """Tokens of a sequence in these very steps."""
    sequences = sum(step.num_steps for step in steps) * config.effective_batch_size
    return sum(step.num_tokens for step in steps) / sequences


def _record(line: bytes) -> Iterator[Record]:
    try:
        plain = json.loads(line)
        if plain.pop("v") != _VERSION:
            return
        record = Record(**plain | {"load": Load(**plain["load"])})
        figures = (
            record.tokens_per_second, record.seconds_per_step, record.load.mean,
            record.load.longest, record.peak_bytes, record.loaded_bytes,
        )  # fmt: skip
        if all(math.isfinite(value) and value > 0 for value in figures):
            _ = record.config  # an older or newer config may not validate
            yield record
    except (ValueError, TypeError, KeyError, AttributeError):
        return
