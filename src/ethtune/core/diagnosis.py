"""What a run may suffer from, as records: what is judged, and the judgement.

``diagnosing`` makes them, by the rules in ``curverules`` and ``machinerules``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from ethtune.core.events import Level
from ethtune.core.reading import GpuReading
from ethtune.core.runstate import RunState

Kind = Literal[
    "dead", "stalled", "paused", "no_number", "zero_loss", "zero_gradient", "diverging",
    "rate_too_high", "rate_too_low", "spike", "overfitting", "plateau", "data_starved",
    "throttled", "power_brake", "gpu_lost", "memory_nearly_full", "disk_nearly_full",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """``evidence`` has the figures, ``advice`` what to do, ``command`` what to type for it."""

    kind: Kind
    level: Level
    evidence: str
    advice: str = ""
    command: str | None = None

    @property
    def title(self) -> str:
        """The kind in words."""
        return self.kind.replace("_", " ")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the log does not tell; None where nobody tells.

    ``folder`` is the run's, as a shell reads it. ``looks`` are the latest readings of all GPUs,
    oldest first, a second or more apart.
    """

    folder: str = "RUN"
    is_alive: bool | None = None
    is_stopped: bool = False
    pid: int | None = None
    silent_seconds: float | None = None
    looks: tuple[tuple[GpuReading, ...], ...] = ()
    ram_total_bytes: int | None = None
    ram_available_bytes: int | None = None
    disk_free_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """What a rule judges. ``stood`` is whether its diagnosis stood at the last look."""

    state: RunState
    around: Surroundings
    stood: bool = False

    @property
    def is_over(self) -> bool:
        """Whether the machine no longer matters to the run."""
        return self.state.ended is not None or self.around.is_alive is False

    def limit(self, comes: float, *, goes: float) -> float:
        """The figure to compare with: where the diagnosis comes, or where it goes again."""
        return goes if self.stood else comes


Rule = Callable[[Case], Diagnosis | None]


def cards_of_run(state: RunState, look: Iterable[GpuReading]) -> list[GpuReading]:
    """The GPUs that the run computes on: of its name, as many as it has processes.

    Of more cards of that name those in heaviest use, and the fullest first.
    """
    cards = [reading for reading in look if reading.name == state.device]
    cards.sort(key=lambda reading: reading.memory_used_bytes or 0, reverse=True)
    return cards[: state.num_processes]
