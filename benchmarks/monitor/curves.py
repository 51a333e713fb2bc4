"""Curves with names: recorded from real runs, and made up, seeded, with what ails each known.

A curve is a list of moments. Each is an event of the log, what stands around the run then, or
both. ``made_up(seed)`` gives another set for each seed; rules are tuned on one and counted on
another. Healthy ones are as noisy, slow, restarted, rarely logged, warm and well filled as healthy
runs get: they are there to raise false alarms.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from ethtune.core.diagnosis import Surroundings
from ethtune.core.events import (
    CheckpointSaved,
    Evaluated,
    Event,
    PhaseStarted,
    RunStarted,
    StepLogged,
    TrainingPlanned,
)
from ethtune.core.reading import GpuReading
from ethtune.core.units import GIB

RECORDED = Path(__file__).with_name("recorded.jsonl")
CARD = GpuReading(
    index=0, name="a card", memory_total_bytes=24 * GIB, memory_used_bytes=18 * GIB,
    utilization_percent=97, temperature_celsius=74, power_watts=290.0, power_limit_watts=300.0,
    throttle_reasons=("power cap",),
)  # fmt: skip
ALIVE = Surroundings(
    folder="run", is_alive=True, pid=1, silent_seconds=1.0, ram_total_bytes=64 * GIB,
    ram_available_bytes=30 * GIB, disk_free_bytes=200 * GIB,
)  # fmt: skip
Shape = Callable[[int], float]  # step to loss


@dataclass(frozen=True)
class Moment:
    """Something was logged, or somebody looked."""

    event: Event | None
    around: Surroundings = ALIVE


@dataclass(frozen=True)
class Curve:
    """``label`` is what ails it, None when nothing does; ``onset`` the step from which on."""

    name: str
    label: str | None
    moments: list[Moment]
    onset: int = 0


@dataclass(frozen=True)
class Plan:
    """How a made-up run goes, but for what ails it."""

    steps: int = 400
    every: int = 1
    start: float = 2.2
    floor: float = 0.4
    decay: float = 60.0
    noise: float = 0.08
    tail: bool = False  # noise with long tails, as single rows give
    rate: float = 2e-4
    schedule: str = "cosine"
    warmup: float = 0.03
    eval_every: int = 40
    looks: dict[str, Callable[[float], object]] = field(default_factory=dict)
    pace: Callable[[float], float] = lambda share: 1.0
    wait: Callable[[float], float] = lambda share: 0.01


def recorded(path: Path = RECORDED) -> Iterator[Curve]:
    """What ``record.py`` wrote."""
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        columns = zip(
            row["step"], row["loss"], row["learning_rate"], row["grad_norm"], row["num_steps"],
            row["seconds"], row["data_wait_seconds"], strict=True,
        )  # fmt: skip
        total = row["step"][-1]
        events: list[Event] = [
            StepLogged(
                step, step / total, float(loss), rate, norm, num_steps, 900 * num_steps, *times,
                None, None, GIB,
            )
            for step, loss, rate, norm, num_steps, *times in columns
        ]  # fmt: skip
        events += [Evaluated(step, float(loss), 0.5, 1.0) for step, loss in row["evaluations"]]
        events.sort(key=lambda event: (event.step, event.kind == "evaluated"))
        moments = [Moment(event) for event in [*_opening(total, "cpu"), *events]]
        label = None if row["label"] == "healthy" else row["label"].replace(" ", "_")
        yield Curve(f"recorded: {row['name']}", label, moments)


def made_up(seed: int) -> Iterator[Curve]:
    """All kinds of them."""
    chance = random.Random(seed)
    for make in (_healthy, _ill_curves, _flat_curves, _broken_numbers, _ill_machines):
        yield from make(chance)


def _opening(steps: int, device: str) -> list[Event]:
    plan = TrainingPlanned(steps, 1.0, 8 * steps, 100, 8, 8 * steps * 300, 0.05)
    return [RunStarted("ethtune train", 1, "model", device), plan, PhaseStarted("training", steps)]


def _plan(chance: random.Random, **given: object) -> Plan:
    start = chance.uniform(1.2, 4.0)
    drawn = Plan(
        steps=chance.choice([200, 300, 500, 900]),
        start=start,
        floor=start * chance.uniform(0.1, 0.4),
        decay=chance.uniform(15, 60),
        noise=chance.choice([0.02, 0.05, 0.1, 0.2]),
        rate=chance.choice([5e-5, 1e-4, 2e-4, 1e-3]),
        schedule=chance.choice(["cosine", "linear"]),
        eval_every=chance.choice([20, 50, 0]),
    )
    return replace(drawn, **given)


def _falling(plan: Plan) -> Shape:
    """A power law, as training losses go."""
    return lambda step: plan.floor + (plan.start - plan.floor) * (1 + step / plan.decay) ** -0.8


def _rate(plan: Plan, step: int) -> float:
    warm = max(plan.warmup * plan.steps, 1)
    if step < warm:
        return plan.rate * step / warm
    share = (step - warm) / max(plan.steps - warm, 1)
    if plan.schedule == "cosine":
        return plan.rate * (1 + math.cos(math.pi * share)) / 2
    return plan.rate * (1 - share) if plan.schedule == "linear" else plan.rate


def _moments(
    chance: random.Random, plan: Plan, shape: Shape, validation: Shape | None = None
) -> Iterator[Moment]:
    """The log of a run whose true training loss is ``shape``; looks at its card as it goes."""
    validation = validation or (lambda step: 1.03 * shape(step))
    for event in _opening(plan.steps, CARD.name):
        yield Moment(event)
    looks: list[tuple[GpuReading, ...]] = []
    for step in range(plan.every, plan.steps + 1, plan.every):
        share = step / plan.steps
        looks.append((replace(CARD, **{k: draw(share) for k, draw in plan.looks.items()}),))
        around = replace(ALIVE, looks=tuple(looks[-60:]))
        # a mean over several steps is less noisy than one
        noise = _noise(chance, plan) / math.sqrt(plan.every)
        seconds = plan.every * plan.pace(share) * chance.uniform(0.95, 1.05)
        yield Moment(
            StepLogged(
                step, share, max(shape(step) * (1 + noise), 0.0), _rate(plan, step),
                chance.uniform(0.3, 1.2), plan.every, 2400 * plan.every, seconds,
                seconds * plan.wait(share) * chance.uniform(0.8, 1.2), 17 * GIB, 18 * GIB, 3 * GIB,
            ),
            around,
        )  # fmt: skip
        if plan.eval_every and step % plan.eval_every < plan.every:
            loss = validation(step) * (1 + chance.gauss(0, 0.006))
            yield Moment(Evaluated(step, loss, 0.5, 5.0), around)


def _noise(chance: random.Random, plan: Plan) -> float:
    if plan.tail:
        return math.exp(chance.gauss(0, 3 * plan.noise)) - 1
    return chance.gauss(0, plan.noise)


def _healthy(chance: random.Random) -> Iterator[Curve]:
    def curve(name: str, plan: Plan, shape: Shape | None = None) -> Curve:
        shape = shape or _falling(plan)
        return Curve(f"healthy: {name}", None, list(_moments(chance, plan, shape)))

    for number in range(8):
        yield curve(f"ordinary {number}", _plan(chance))
    for number in range(3):
        yield curve(f"single rows {number}", _plan(chance, noise=0.2, tail=True))
    yield curve("logged every 20", _plan(chance, every=20, steps=1200))
    yield curve("long", _plan(chance, every=5, steps=6000, decay=400.0))
    yield curve("short", _plan(chance, steps=30, eval_every=10))
    yield curve("slow to learn", _plan(chance, decay=300.0, steps=900))
    yield curve("half of it warm-up", _plan(chance, warmup=0.5))
    plan = _plan(chance, steps=500)
    yield curve("hard rows at the end", plan, lambda s: _falling(plan)(s) * (1.2 if s > 400 else 1))
    # what a card may do without harm
    looks = {
        "throttle_reasons": lambda share: ("power cap",),
        "temperature_celsius": lambda share: 83,
        "utilization_percent": lambda share: chance.choice([76, 84, 95, 99]),
        "memory_used_bytes": lambda share: int(22.9 * GIB),
    }
    yield curve("warm, well filled card", _plan(chance, looks=looks))
    yield curve("a twelfth of the time for rows", _plan(chance, wait=lambda share: 0.06))
    hot = {"throttle_reasons": lambda share: ("software thermal",) * (chance.random() < 0.1)}
    yield curve("hot now and then", _plan(chance, looks=hot))
    yield curve("slower towards its end", _plan(chance, pace=lambda share: 1 + 0.3 * share))
    yield _resumed(chance)


def _resumed(chance: random.Random) -> Curve:
    """Stopped at its half, and begun again at the checkpoint before."""
    plan = _plan(chance, steps=400)
    moments = list(_moments(chance, plan, _falling(plan)))
    at = next(i for i, m in enumerate(moments) if getattr(m.event, "step", 0) == 200)
    back = next(i for i, m in enumerate(moments) if getattr(m.event, "step", 0) == 161)
    again = Moment(RunStarted("ethtune resume", 2, "model", CARD.name, first_step=160))
    return Curve("healthy: resumed", None, [*moments[:at], again, *moments[back:]])


def _ill_curves(chance: random.Random) -> Iterator[Curve]:
    for number in range(6):
        plan = _plan(chance, steps=chance.choice([300, 500]), eval_every=0)
        onset = int(plan.steps * chance.uniform(0.3, 0.6))
        length, height = chance.choice([5, 30, 80]), chance.uniform(1.5, 5.0)
        shape = _then_rising(_falling(plan), onset, length, height)
        yield Curve(f"diverging {number}", "diverging", [*_moments(chance, plan, shape)], onset)
    for number in range(5):
        plan = _plan(chance, rate=chance.choice([3e-3, 1e-2, 0.1]), steps=200, eval_every=0)
        shape = _then_rising(_flat_from(_falling(plan), 0), 3, chance.choice([4, 15, 40]), 1.2)
        yield Curve(f"rate too high {number}", "rate_too_high", [*_moments(chance, plan, shape)])
    for number in range(6):
        plan = _plan(chance, noise=chance.choice([0.02, 0.05, 0.1]), eval_every=0)
        onset, lasting = int(plan.steps * chance.uniform(0.3, 0.8)), chance.choice([1, 2, 6])
        height = chance.uniform(1.5, 4.0)
        shape = _with_spike(_falling(plan), onset, lasting, height)
        yield Curve(f"spike {number}", "spike", [*_moments(chance, plan, shape)], onset)
    for number in range(7):
        plan = _plan(chance, floor=0.05, decay=80.0, steps=500, eval_every=25)
        turn, steepness = chance.uniform(80, 250), chance.uniform(0.15, 0.8)
        train = _falling(plan)
        valid = _turning(train, turn, steepness / 250)
        moments = [*_moments(chance, plan, train, valid)]
        yield Curve(f"overfitting {number}", "overfitting", moments, int(turn))


def _then_rising(before: Shape, onset: int, length: int, height: float) -> Shape:
    """From ``onset`` on up by ``height`` times itself and more within ``length`` steps."""
    return lambda step: (
        before(min(step, onset))
        + (
            0.0
            if step < onset
            else (before(onset) * height + 1) * min((step - onset) / length, 1.0)
        )
    )


def _with_spike(before: Shape, onset: int, lasting: int, height: float) -> Shape:
    return lambda step: before(step) + height * (onset <= step < onset + lasting)


def _turning(train: Shape, turn: float, steepness: float) -> Shape:
    return lambda step: 1.05 * train(min(step, int(turn))) * (1 + steepness * max(step - turn, 0.0))


def _flat_curves(chance: random.Random) -> Iterator[Curve]:
    for number in range(5):
        plan = _plan(
            chance, schedule="constant", steps=900, noise=chance.choice([0.01, 0.03, 0.06])
        )
        fall, onset = _falling(replace(plan, decay=5.0)), chance.choice([150, 250])
        shape = _flat_from(fall, onset)
        yield Curve(f"plateau {number}", "plateau", [*_moments(chance, plan, shape)], onset)
    for number in range(5):
        plan = _plan(chance, rate=chance.choice([1e-7, 1e-6, 5e-6]), eval_every=0)
        slope = chance.uniform(0.0, 0.008) / plan.steps
        shape = _barely_falling(plan.start, slope)
        yield Curve(f"rate too low {number}", "rate_too_low", [*_moments(chance, plan, shape)])


def _flat_from(before: Shape, onset: int) -> Shape:
    return lambda step: before(min(step, onset))


def _barely_falling(start: float, slope: float) -> Shape:
    return lambda step: start * (1 - slope * step)


def _broken_numbers(chance: random.Random) -> Iterator[Curve]:
    def changed(name: str, label: str, **values: float) -> Curve:
        plan = _plan(chance, eval_every=0)
        onset = int(plan.steps * chance.uniform(0.2, 0.7))
        moments = [
            replace(m, event=replace(m.event, **values))
            if isinstance(m.event, StepLogged) and m.event.step >= onset
            else m
            for m in _moments(chance, plan, _falling(plan))
        ]
        return Curve(name, label, moments, onset)

    yield changed("loss is nan", "no_number", loss=math.nan)
    yield changed("loss is infinite", "no_number", loss=math.inf)
    yield changed("norm is nan", "no_number", grad_norm=math.nan)
    yield changed("nothing to learn", "zero_loss", loss=0.0)
    yield changed("frozen", "zero_gradient", grad_norm=0.0)


def _ill_machines(chance: random.Random) -> Iterator[Curve]:
    def curve(name: str, label: str, onset: float = 0.0, **given: object) -> Curve:
        plan = _plan(chance, steps=300, **given)
        moments = [*_moments(chance, plan, _falling(plan))]
        return Curve(name, label, moments, int(onset * plan.steps))

    for share in (0.2, 0.5):
        yield curve(f"waits {share:.0%}", "data_starved", wait=lambda _, s=share: s)
    idle = {"utilization_percent": lambda share: chance.randint(55, 75)}
    yield curve("waits 11 %, idle", "data_starved", wait=lambda share: 0.11, looks=idle)
    yield curve("slow disk later", "data_starved", 0.5, wait=lambda share: 0.3 * (share > 0.5))
    for reason, slower in (("hardware thermal", 1.4), ("software thermal", 1.15)):
        hot = {
            "throttle_reasons": lambda share, r=reason: (r,) * (share > 0.5),
            "temperature_celsius": lambda share: 80 + 9 * (share > 0.5),
        }
        yield curve(
            reason,
            "throttled",
            0.5,
            looks=hot,
            pace=lambda share, s=slower: s if share > 0.5 else 1,
        )
    brake = {"throttle_reasons": lambda share: ("power brake",) * (chance.random() < 0.6)}
    yield curve("power brake", "power_brake", looks=brake)
    full = {"memory_used_bytes": lambda share: int(24 * GIB * (0.9 if share < 0.5 else 0.985))}
    yield curve("memory fills up", "memory_nearly_full", 0.5, looks=full)
    for name, label, change in (
        ("disk fills up", "disk_nearly_full", {"disk_free_bytes": GIB // 4}),
        ("falls silent", "stalled", {"silent_seconds": 90.0}),
        ("is killed", "dead", {"is_alive": False, "silent_seconds": 5.0}),
        ("is stopped", "paused", {"is_stopped": True, "silent_seconds": 500.0}),
    ):
        plan = _plan(chance, steps=300)
        moments = [*_moments(chance, plan, _falling(plan))][:200]
        saved = Moment(CheckpointSaved(100, "checkpoint-100", 80 * 2**20, 1.0))
        last = Moment(None, replace(moments[-1].around, **change))
        reached = max(m.event.step for m in moments if isinstance(m.event, StepLogged))
        yield Curve(name, label, [*moments, saved, last], reached)
    plan = _plan(chance, steps=300)
    moments = [*_moments(chance, plan, _falling(plan))]
    silent = replace(ALIVE, looks=(*moments[-1].around.looks, (GpuReading(0, "GPU 0"),)))
    yield Curve("falls off the bus", "gpu_lost", [*moments, Moment(None, silent)], plan.steps)
