"""One look at one GPU. None means the card, driver or permissions do not tell; never 0 for that."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GpuReading:
    """Sizes in bytes, temperature in degrees Celsius, power in watts, utilisation in percent.

    ``utilization_percent`` is the share of the last sample period with at least one kernel
    running, not how busy the card was. ``throttle_reasons`` are the active ones by name.
    """

    index: int
    name: str
    uuid: str | None = None
    memory_total_bytes: int | None = None
    memory_used_bytes: int | None = None
    utilization_percent: int | None = None
    temperature_celsius: int | None = None
    power_watts: float | None = None
    power_limit_watts: float | None = None
    throttle_reasons: tuple[str, ...] | None = None
    compute_capability: tuple[int, int] | None = None

    @property
    def is_silent(self) -> bool:
        """Whether it answers nothing at all, not even its name: it fell off the bus, say."""
        told = (self.memory_total_bytes, self.utilization_percent, self.temperature_celsius)
        return self.name == nameless(self.index) and all(value is None for value in told)


def nameless(index: int) -> str:
    """What a card is called that does not tell its name."""
    return f"GPU {index}"
