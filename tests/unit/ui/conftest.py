"""A made-up run of 437 steps, the same on every machine."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import pytest

from ethtune.core.eventlog import LoggedEvent
from ethtune.core.events import (
    CheckpointSaved,
    Evaluated,
    Event,
    Message,
    ModelLoaded,
    PhaseStarted,
    RunEnded,
    RunStarted,
    StepLogged,
    TrainingPlanned,
)
from ethtune.core.reading import GpuReading
from ethtune.core.units import GIB

START = 1_700_000_000.0
TOTAL_STEPS = 437


def _events(device: str, until: int) -> Iterator[tuple[float, Event]]:
    yield 0, RunStarted("ethtune train", 4242, "mistralai/Mistral-7B-v0.1", device)
    yield 1, PhaseStarted("loading")
    yield 40, ModelLoaded(6_815_744, 7_248_547_840, 5 * GIB, 38.0)
    yield 41, TrainingPlanned(TOTAL_STEPS, 3, 2331, 259, 16, 466_200, 0.04)
    yield 42, PhaseStarted("training", TOTAL_STEPS)
    on_gpu = device != "cpu"
    time = 42.0
    for step in range(10, until + 1, 10):
        time += 41.0 + math.sin(step)
        loss = 0.35 + 1.9 * math.exp(-step / 70) + 0.06 * math.sin(step * 0.7)
        yield (
            time,
            StepLogged(
                step=step,
                epoch=step * 3 / TOTAL_STEPS,
                loss=loss,
                learning_rate=2e-4 * (1 - step / TOTAL_STEPS),
                grad_norm=0.6 + 0.3 * math.cos(step),
                num_steps=10,
                num_tokens=32_000,
                seconds=41.0 + math.sin(step),
                data_wait_seconds=0.4,
                allocated_bytes=int(5.1 * GIB) if on_gpu else None,
                reserved_bytes=int(5.8 * GIB) if on_gpu else None,
                process_bytes=int(2.4 * GIB),
            ),
        )
        if step % 50 == 0:
            yield time + 1, PhaseStarted("evaluating", 33)
            time += 20
            yield time, Evaluated(step, loss + 0.05, 0.9 - loss / 10, 20.0)
            yield time + 1, PhaseStarted("saving")
            time += 2
            yield time, CheckpointSaved(step, f"checkpoint-{step}", 27 * 1024**2, 1.4)
        if step == 120:
            yield time + 1, Message("warning", "12 rows are longer than 2048 tokens: left out")


@pytest.fixture
def run_events() -> Callable[..., list[LoggedEvent]]:
    """``run_events(device=…, until=step, ended=RunEnded | None)``: the log up to there."""

    def events(
        device: str = "NVIDIA GeForce RTX 3060", until: int = 210, ended: RunEnded | None = None
    ) -> list[LoggedEvent]:
        rows = list(_events(device, until))
        if ended:
            rows.append((rows[-1][0] + 5, ended))
        return [LoggedEvent(i, START + t, event) for i, (t, event) in enumerate(rows, start=1)]

    return events


@pytest.fixture
def gpu() -> GpuReading:
    return GpuReading(
        index=0,
        name="NVIDIA GeForce RTX 3060",
        memory_total_bytes=12 * GIB,
        memory_used_bytes=int(6.2 * GIB),
        utilization_percent=97,
        temperature_celsius=71,
        power_watts=168.2,
        power_limit_watts=170.0,
        throttle_reasons=("power cap",),
    )
