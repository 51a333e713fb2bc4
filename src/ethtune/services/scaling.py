"""A forecast and the record of a like run in, the model scaled by what it missed there out.

Memory on a CPU has two parts: what is there once the model is loaded, which is measured, and what
the steps add, which is the model's figure times the ratio that the record shows. On a GPU it is
what the allocator reserves that is scaled. Speed is scaled as a whole.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timezone

from ethtune.core.config import Config
from ethtune.core.errors import ConfigError
from ethtune.device.memory import context_bytes
from ethtune.device.target import Target
from ethtune.device.time import TimeEstimate
from ethtune.services.calibration import Record, differences, versions
from ethtune.services.forecast import Forecast, forecast

# How far such estimates lay from runs, as shares: with the same settings, and more for a load that
# is e times heavier or lighter, for other settings, and for another base model.
_SPREAD = 0.08
_SPREAD_PER_LOAD = 0.1
_SPREAD_SETTINGS = 0.08
_SPREAD_MODEL = 0.15
_PLAUSIBLE = (0.2, 5.0)  # a ratio outside says that something else ran on the machine


@dataclass(frozen=True, slots=True)
class Ranges:
    """``source`` says what they rest on; None for the model alone."""

    process_bytes: tuple[int, int]
    time: TimeEstimate | None
    source: str | None = None


def ranges(config: Config, now: Forecast, record: Record | None) -> Ranges:
    """The forecast's own ranges, or those that ``record`` narrows."""
    if record is None:
        return Ranges(now.process_bytes, now.time)
    try:
        then = forecast(record.config, now.target, record.load)
    except ConfigError:  # its model folder is gone
        return Ranges(now.process_bytes, now.time)
    found = differences(record, config)
    spread = _spread(found, now, then)
    return Ranges(
        _process_bytes(record, now, then, spread),
        _time(record, now, then, spread),
        _source(record, found),
    )


def _spread(found: list[str], now: Forecast, then: Forecast) -> float:
    spread = _SPREAD + _SPREAD_PER_LOAD * abs(math.log(now.moving_bytes / then.moving_bytes))
    if "model.base_model" in found:
        return spread + _SPREAD_MODEL
    return spread + (_SPREAD_SETTINGS if found else 0.0)


def _process_bytes(record: Record, now: Forecast, then: Forecast, spread: float) -> tuple[int, int]:
    if now.target.on_gpu:
        ratio = _clamped(record.peak_bytes / then.memory.reserved_bytes)
        context = _context_bytes(now.target)
        usual = now.memory.reserved_bytes * ratio
        return int(usual * (1 - spread)) + context, int(usual * (1 + spread)) + context
    ratio = _clamped((record.peak_bytes - record.loaded_bytes) / then.moving_bytes)
    loaded = record.loaded_bytes + now.loaded_bytes - then.loaded_bytes
    usual = max(loaded, 0) + ratio * now.moving_bytes
    return int(usual * (1 - spread)), int(usual * (1 + spread))


def _context_bytes(target: Target) -> int:
    return context_bytes(target.facts.compute_capability if target.facts else (8, 0))


def _time(record: Record, now: Forecast, then: Forecast, spread: float) -> TimeEstimate | None:
    if now.time is None or then.time is None:
        return None
    usual = _middle(now.time) * record.tokens_per_second / _middle(then.time)
    return TimeEstimate((usual / (1 + spread), usual * (1 + spread)), now.time.flops_per_token)


def _middle(time: TimeEstimate) -> float:
    slow, fast = time.tokens_per_second
    return math.sqrt(slow * fast)


def _clamped(ratio: float) -> float:
    low, high = _PLAUSIBLE
    return min(max(ratio, low), high)


def _source(record: Record, found: list[str]) -> str:
    day = datetime.fromtimestamp(record.time, timezone.utc).strftime("%Y-%m-%d")
    model = record.config.model.base_model
    text = f"{record.num_steps} steps of {model} measured here on {day}"
    changed = [key for key in found if key != "model.base_model"]
    if changed:
        text += f", with other {', '.join(changed)}"
    if record.versions != versions():
        text += ", with other versions"
    return text
