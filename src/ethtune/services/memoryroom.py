"""Whether a run's rows fit in the memory that is free now: foreseen, said, and refused in time.

A prediction is no measurement. Only a run whose low estimate is clearly above what is free is
refused, only on a device that is surely the run's own, and ``optimization.check_memory`` false lets
it try.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from ethtune.core.config import Config
from ethtune.core.errors import ConfigError, MachineError
from ethtune.core.events import Emit, Message
from ethtune.core.units import format_bytes, format_duration
from ethtune.device.cards import GpuProcess, card_details
from ethtune.device.checks.memory import process_text
from ethtune.device.host import host_facts
from ethtune.device.nvml import readings
from ethtune.device.target import Target
from ethtune.services.advice import Saving
from ethtune.services.calibration import read_records, store
from ethtune.services.estimation import EstimateReport, Known, estimate
from ethtune.services.rows import TrainingRows
from ethtune.services.trainingdata import packed_amount

_CLEARLY = 0.9  # of the low estimate: it was never that far off where it was measured
_SHOWN = 4


def foresee(
    config: Config, rows: TrainingRows, target: Target, events: Emit
) -> EstimateReport | None:
    """What the run should need here, said before it starts; None for a model of unknown shape."""
    known = Known(packed_amount(rows), read_records(store()))
    batch_size = min(config.training.per_device_train_batch_size, len(rows.train))
    training = config.training.model_copy(update={"per_device_train_batch_size": batch_size})
    try:
        report = estimate(
            config.model_copy(update={"training": training}), target=target, known=known
        )
    except ConfigError as error:
        events(Message("info", f"no estimate: {error.message.splitlines()[0]}"))
        return None
    low, high = (format_bytes(count) for count in report.process_bytes)
    text = f"estimate: {low} to {high} of {format_bytes(report.free_bytes)} free"
    if report.seconds is not None:
        text += f", {' to '.join(map(format_duration, report.seconds))}"
    events(Message("info" if report.answer == "fits" else "warning", f"{text}: {report.answer}"))
    return report


def require_memory(config: Config, report: EstimateReport | None, card: str | None) -> None:
    """Raises MachineError where the run clearly needs more than is free, naming who holds it.

    ``card`` is the UUID of the GPU that trains, None on the CPU.
    """
    if report is None or not config.optimization.check_memory:
        return
    free: int = _free_on_cpu()
    holders: tuple[GpuProcess, ...] = ()
    if card is not None:
        found = _free_on_card(card)
        if found is None:  # a part of a card, or a driver that does not tell
            return
        free, holders = found
    if report.process_bytes[0] * _CLEARLY > free:
        raise MachineError(
            "\n".join(_lines(report, free, holders)),
            hint="end what holds the memory, or make the run smaller; "
            "--set optimization.check_memory=false tries it all the same",
        )


def _free_on_card(uuid: str) -> tuple[int, tuple[GpuProcess, ...]] | None:
    """Free bytes of the card, and the processes of others on it."""
    details = card_details()
    for gpu in readings():
        total, used = gpu.memory_total_bytes, gpu.memory_used_bytes
        if uuid not in (gpu.uuid or "") or total is None or used is None:
            continue
        card = details[gpu.index]
        if card.mig is not None:
            return None
        others = (item for item in card.processes or () if item.pid != os.getpid())
        return total - used, tuple(sorted(others, key=lambda item: -(item.used_bytes or 0)))
    return None


def _free_on_cpu() -> int:
    """With the swap, and with what this process holds: the estimate counts its libraries."""
    import psutil

    host = host_facts()
    own = int(psutil.Process().memory_info().rss)
    return host.ram_available_bytes + host.swap_free_bytes + own


def _lines(report: EstimateReport, free: int, holders: tuple[GpuProcess, ...]) -> Iterator[str]:
    low, high = map(format_bytes, report.process_bytes)
    yield (
        f"the run does not fit: it needs {low} to {high}, and {report.target} has "
        f"{format_bytes(free)} free"
    )
    if holders:
        shown = ", ".join(map(process_text, holders[:_SHOWN]))
        more = f" and {len(holders) - _SHOWN} more" if len(holders) > _SHOWN else ""
        yield f"    held by {shown}{more}"
    for saving in report.savings[:_SHOWN]:
        yield f"    {_saving_text(saving)}"


def _saving_text(saving: Saving) -> str:
    settings = " ".join(f"--set {setting}" for setting in saving.settings)
    enough = ", which is enough" if saving.is_enough else ""
    return f"{settings} saves {format_bytes(saving.saved_bytes)}{enough}; costs {saving.cost}"
