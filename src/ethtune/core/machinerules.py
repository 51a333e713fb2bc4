"""What a run suffers from outside: a process that is gone or silent, heat, hunger, full memory."""

from __future__ import annotations

import statistics
from itertools import chain

from ethtune.core.diagnosis import Case, Diagnosis, Kind, Rule, cards_of_run
from ethtune.core.reading import GpuReading
from ethtune.core.runstate import RunState
from ethtune.core.units import MIB, format_bytes, format_duration

_THERMAL = {"software thermal", "hardware thermal", "hardware slowdown"}
_POWER_BRAKE = {"power brake"}
_LOOKS_MIN = 10  # of a GPU, before a share of them means anything
_STEPS_MIN = 10
_FIRST_STEPS = 100  # their median is the pace of a cool card
_STALL_SECONDS = 60.0  # no run is called stalled before
_STALL_STEPS = 10
_STALL_LOGS = 3
_STALL_PHASE_SECONDS = 300.0  # no evaluation or save is called stalled before
_DISK_MARGIN = 512 * MIB


def _dead(case: Case) -> Diagnosis | None:
    state, around = case.state, case.around
    if state.ended or state.started is None or around.is_alive is not False:
        return None
    doing = "" if state.phase == "starting" else f" while {state.phase}"
    silent = format_duration(around.silent_seconds or 0.0)
    evidence = f"The process is gone{doing}; its last word was {silent} ago."
    return Diagnosis("dead", "error", evidence, "continue with", f"ethtune resume {around.folder}")


def _paused(case: Case) -> Diagnosis | None:
    if not case.around.is_stopped or case.is_over:
        return None
    command = f"kill -CONT {case.around.pid}"
    return Diagnosis("paused", "info", "The process is stopped.", "continue with", command)


def _stalled(case: Case) -> Diagnosis | None:
    state, around = case.state, case.around
    limit, silent = stall_seconds(state), around.silent_seconds
    if case.is_over or around.is_stopped or limit is None or silent is None or silent <= limit:
        return None
    if state.phase == "training":
        pace = format_duration(state.step_seconds or 0.0)
        evidence = f"No step for {format_duration(silent)}, where one took {pace}."
    else:
        evidence = f"Still {state.phase} after {format_duration(silent)}, far longer than before."
    if around.pid is None:
        return Diagnosis("stalled", "error", evidence, "look at its terminal and its machine")
    command = f"py-spy dump --pid {around.pid}"
    return Diagnosis("stalled", "error", evidence, "look inside with", command)


def stall_seconds(state: RunState) -> float | None:
    """Silence after which the run is stalled; None where nothing says how long is normal."""
    if state.phase in ("evaluating", "saving"):
        done = state.evaluations if state.phase == "evaluating" else state.checkpoints
        longest = max((each.seconds for each in done), default=None)
        return longest and max(_STALL_PHASE_SECONDS, _STALL_STEPS * longest)
    if state.phase != "training" or state.step_seconds is None:
        return None
    between_logs = statistics.median(s.seconds for s in state.recent)
    return max(_STALL_SECONDS, _STALL_STEPS * state.step_seconds, _STALL_LOGS * between_logs)


def _data_starved(case: Case) -> Diagnosis | None:
    state = case.state
    if case.is_over or state.phase != "training" or len(state.recent) < _STEPS_MIN:
        return None
    # the median: workers that start anew at an epoch's beginning are no hunger
    waits = [s.data_wait_seconds / s.seconds for s in state.recent if s.seconds > 0]
    wait = statistics.median(waits) if waits else 0.0
    if wait < 0.05:
        return None
    busy = [card.utilization_percent for look in _looks(case) for card in look]
    known = [percent for percent in busy if percent is not None]
    utilization = statistics.mean(known) if len(known) >= _LOOKS_MIN else None
    is_idle = utilization is not None and utilization < case.limit(80, goes=85)
    if wait < case.limit(0.15, goes=0.10) and not (is_idle and wait >= case.limit(0.08, goes=0.05)):
        return None
    seen = "" if utilization is None else f", the GPU is busy {utilization:.0f} % of it"
    return Diagnosis(
        "data_starved", "warning", f"{wait:.0%} of the time goes into waiting for rows{seen}",
        "raise data.dataloader_num_workers, or move the dataset to a faster disk",
    )  # fmt: skip


def _throttled(case: Case) -> Diagnosis | None:
    paces = [s.seconds / max(s.num_steps, 1) for s in case.state.steps[:_FIRST_STEPS]]
    now = case.state.step_seconds
    if not paces or now is None:
        return None
    slower = now / max(statistics.median(paces), 1e-9) - 1
    if slower < case.limit(0.10, goes=0.05):
        return None
    share = _share_of_looks(case, _THERMAL)
    if share is None or share < case.limit(0.2, goes=0.1):
        return None
    degrees = [card.temperature_celsius or 0 for card in _looks(case)[-1]]
    hot = f" at {max(degrees)} °C" if any(degrees) else ""
    return Diagnosis(
        "throttled", "warning",
        f"the GPU slows down for its heat{hot}: a step takes {slower:.0%} longer than at first",
        "better airflow, or a lower power limit (nvidia-smi -pl)",
    )  # fmt: skip


def _power_brake(case: Case) -> Diagnosis | None:
    share = _share_of_looks(case, _POWER_BRAKE)
    if share is None or share < case.limit(0.2, goes=0.1):
        return None
    return Diagnosis(
        "power_brake", "warning", f"the GPU was braked from outside at {share:.0%} of the looks",
        "the power supply or its cables do not give what the card asks for",
    )  # fmt: skip


def _gpu_lost(case: Case) -> Diagnosis | None:
    """A card of the run that told its figures before, and now not even its name."""
    state, looks = case.state, case.around.looks
    if case.is_over or not looks or not any(card.is_silent for card in looks[-1]):
        return None
    left = len(cards_of_run(state, looks[-1]))
    seen = max(len(cards) for cards in [*_looks(case), []])
    if left >= seen and not (case.stood and left < state.num_processes):
        return None
    return Diagnosis(
        "gpu_lost", "error", "a GPU of the run does not answer any more",
        "see the kernel's log: power supply, riser or heat. The run goes on from a checkpoint "
        "after a reboot",
    )  # fmt: skip


def _memory_nearly_full(case: Case) -> Diagnosis | None:
    if case.is_over:
        return None
    cards = cards_of_run(case.state, case.around.looks[-1]) if case.around.looks else []
    if cards:
        total, used = cards[0].memory_total_bytes, cards[0].memory_used_bytes
        free = None if total is None or used is None else total - used
        where = "of the GPU's memory"
    else:
        total, free = case.around.ram_total_bytes, case.around.ram_available_bytes
        where = "of the machine's memory"
    if not total or free is None or free / total > case.limit(0.03, goes=0.05):
        return None
    return Diagnosis(
        "memory_nearly_full", "warning",
        f"{format_bytes(free)} {where} is free, of {format_bytes(total)}",
        "close what else uses it; else a smaller data.max_seq_length or batch",
    )  # fmt: skip


def _disk_nearly_full(case: Case) -> Diagnosis | None:
    free, saved = case.around.disk_free_bytes, case.state.checkpoints
    needed = 2 * max((each.size_bytes for each in saved), default=0) + _DISK_MARGIN
    if case.is_over or free is None or free > case.limit(needed, goes=1.5 * needed):
        return None
    last = f"; a checkpoint takes {format_bytes(saved[-1].size_bytes)}" if saved else ""
    return Diagnosis(
        "disk_nearly_full", "warning", f"{format_bytes(free)} is free on the run's disk{last}",
        "make room, or keep fewer with logging.save_total_limit",
    )  # fmt: skip


MACHINE_RULES: dict[Kind, Rule] = {
    "dead": _dead,
    "paused": _paused,
    "stalled": _stalled,
    "data_starved": _data_starved,
    "throttled": _throttled,
    "power_brake": _power_brake,
    "gpu_lost": _gpu_lost,
    "memory_nearly_full": _memory_nearly_full,
    "disk_nearly_full": _disk_nearly_full,
}


def _looks(case: Case) -> list[list[GpuReading]]:
    """The run's own cards at each of the latest looks that saw them, oldest first."""
    looks = (cards_of_run(case.state, look) for look in case.around.looks)
    return [cards for cards in looks if cards]


def _share_of_looks(case: Case, reasons: set[str]) -> float | None:
    """Part of the looks at which one of ``reasons`` throttled a card of the run."""
    told = [
        [card.throttle_reasons for card in look if card.throttle_reasons is not None]
        for look in _looks(case)
    ]
    told = [look for look in told if look]
    if case.is_over or case.state.phase != "training" or len(told) < _LOOKS_MIN:
        return None
    return sum(not reasons.isdisjoint(chain(*look)) for look in told) / len(told)
