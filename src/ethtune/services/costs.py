"""What a run takes beside memory: download, disk, electricity."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ethtune.core.config import Config
from ethtune.device.host import free_disk_bytes
from ethtune.device.memory import adapter_sizes, state_bytes
from ethtune.device.shapes import find_model
from ethtune.device.target import Target
from ethtune.services.forecast import Forecast
from ethtune.services.modelfolder import local_folder

# A graphics card that is not known, the machine around one, a machine that trains on its CPU.
_UNKNOWN_CARD_WATTS = 250
_HOST_WATTS = 100
_CPU_WATTS = 100
_TOKENIZER_BYTES = 8 * 10**6  # beside every adapter


@dataclass(frozen=True, slots=True)
class DiskUse:
    """``download_bytes`` is 0 where the base model is here, None where its size is not known.

    ``run_bytes`` is the run folder at its largest.
    """

    download_bytes: int | None
    checkpoint_bytes: int
    run_bytes: int
    free_bytes: int | None


@dataclass(frozen=True, slots=True)
class Electricity:
    """Ranges are (low, high); money in the currency of the price."""

    watts: int
    kilowatt_hours: tuple[float, float]
    price: tuple[float, float]


def disk_use(config: Config, forecast: Forecast, num_trained: int) -> DiskUse:
    """A checkpoint holds adapter and optimizer states; one more than the limit stands at times."""
    adapter = num_trained * 4 + _TOKENIZER_BYTES
    sizes = adapter_sizes(forecast.shape, forecast.work)
    checkpoint = adapter + sum(state_bytes(size, forecast.work) for size in sizes)
    is_saved = config.logging.save_strategy != "no"
    kept = config.logging.save_total_limit + 1 if is_saved else 1
    folder = Path(config.training.output_dir or ".")
    return DiskUse(
        download_bytes=_download_bytes(config),
        checkpoint_bytes=checkpoint,
        run_bytes=adapter + kept * checkpoint,
        free_bytes=free_disk_bytes(folder),
    )


def electricity(price_per_kwh: float, seconds: tuple[float, float], target: Target) -> Electricity:
    """At the most that the card draws by its data sheet, and the machine around it."""
    card = target.facts.board_watts if target.facts else _UNKNOWN_CARD_WATTS
    watts = card + _HOST_WATTS if target.on_gpu else _CPU_WATTS
    low, high = (watts / 1000 * duration / 3600 for duration in seconds)
    return Electricity(watts, (low, high), (low * price_per_kwh, high * price_per_kwh))


def _download_bytes(config: Config) -> int | None:
    if local_folder(config.model) is not None:
        return 0
    known = find_model(config.model.base_model)
    return known.download_bytes if known else None
