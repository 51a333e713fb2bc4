"""What would make a run smaller and what it costs; what its settings save already.

Ordered by cost: first what changes nothing but memory, then what takes time, then what may cost
quality.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ethtune.core.config import Config
from ethtune.device.memory import estimate_memory
from ethtune.device.workload import Workload
from ethtune.services.forecast import Forecast

_SHOWN_FROM = 0.01  # of the peak


@dataclass(frozen=True, slots=True)
class Saving:
    """Settings that change together, what they take off the peak, and what they cost."""

    settings: tuple[str, ...]
    saved_bytes: int
    cost: str
    is_enough: bool = False


def advice(config: Config, forecast: Forecast, excess_bytes: int) -> tuple[Saving, ...]:
    """Switches that are not yet set; ``excess_bytes`` is by how much the run is too large."""
    peak = forecast.memory.allocated_bytes
    found = []
    for settings, changed, cost in _switches(config, forecast.work):
        saved = peak - estimate_memory(forecast.shape, changed).allocated_bytes
        if saved >= _SHOWN_FROM * peak:
            found.append(Saving(settings, saved, cost, 0 < excess_bytes <= saved))
    return tuple(found)


def saved_already(forecast: Forecast) -> dict[str, int]:
    """What the switches that are set take off the peak, each against the run without it alone."""
    work, found = forecast.work, {}
    off: list[tuple[str, Workload]] = [
        ("4-bit weights", work.replace(is_quantized=False)),
        ("double quantisation", work.replace(double_quant=False)),
        ("gradient checkpointing", work.replace(checkpointing=False)),
        ("layers in parts", work.replace(num_parts=1)),
        ("8-bit optimizer", work.replace(optimizer=work.optimizer.replace("_8bit", "_32bit"))),
    ]
    for name, changed in off:
        if changed == work:
            continue
        saved = estimate_memory(forecast.shape, changed).allocated_bytes
        saved -= forecast.memory.allocated_bytes
        if saved >= _SHOWN_FROM * forecast.memory.allocated_bytes:
            found[name] = saved
    return found


def _switches(config: Config, work: Workload) -> Iterator[tuple[tuple[str, ...], Workload, str]]:
    """From the cheapest to the dearest."""
    together = config.effective_batch_size // config.training.num_processes
    half, rank = max(work.seq_length // 2, 8), max(work.rank // 2, 1)
    offered: list[tuple[tuple[str, ...], Workload, str]] = [
        (("model.attn_implementation=sdpa",), work.replace(attention="sdpa"), "nothing"),
        (
            ("optimization.optim=paged_adamw_8bit",),
            work.replace(optimizer="adamw_8bit"),
            "nothing that was measured",
        ),
        (
            ("quantization.bnb_4bit_use_double_quant=true",),
            work.replace(double_quant=True),
            "hardly any time",
        ),
        (
            (
                "training.per_device_train_batch_size=1",
                f"training.gradient_accumulation_steps={together}",
            ),
            work.replace(micro_batch=1, accumulates=together > 1),
            "some time; learns the same",
        ),
        (
            ("training.fsdp=true",),
            work.replace(num_parts=config.training.num_processes),
            "the time in which layers go from card to card",
        ),
        (
            ("optimization.gradient_checkpointing=true",),
            work.replace(checkpointing=True),
            "up to half more time",
        ),
        (
            ("quantization.load_in_4bit=true",),
            work.replace(is_quantized=True),
            "time, and a little quality",
        ),
        ((f"lora.r={rank}",), work.replace(rank=rank), "perhaps quality"),
        (
            (f"data.max_seq_length={half}",),
            work.replace(seq_length=half),
            "rows that are longer are left out",
        ),
    ]
    return (item for item in offered if item[1] != work)
