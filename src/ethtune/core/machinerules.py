"""What a run suffers from outside: a process that is gone or silent, heat, hunger, full memory."""

from __future__ import annotations

import statistics

from ethtune.core.diagnosis import Case, Diagnosis, Kind, Rule, card_of_run
from ethtune.core.reading import GpuReading
from ethtune.core.units import MIB, format_bytes, format_duration

_THERMAL = {"software thermal", "hardware thermal", "hardware slowdown"}
_POWER_BRAKE = {"power brake"}
_LOOKS_MIN = 10  # of a GPU, before a share of them means anything
_STEPS_MIN = 10
_FIRST_STEPS = 100  # their median is the pace of a cool card
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
    limit, silent = state.stall_seconds, around.silent_seconds
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


def _data_starved(case: Case) -> Diagnosis | None:
    state = case.state
    if case.is_over or state.phase != "training" or len(state.recent) < _STEPS_MIN:
        return None
    # the median: workers that start anew at an epoch's beginning are no hunger
    waits = [s.data_wait_seconds / s.seconds for s in state.recent if s.seconds > 0]
    wait = statistics.median(waits) if waits else 0.0
    if wait < 0.05:
        return None
    busy = [reading.utilization_percent for reading in _looks(case)]
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
    degrees = [r.temperature_celsius for r in _looks(case) if r.temperature_celsius is not None]
    hot = f" at {degrees[-1]} °C" if degrees else ""
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


def _memory_nearly_full(case: Case) -> Diagnosis | None:
    if case.is_over:
        return None
    card = card_of_run(case.state, case.around.looks[-1]) if case.around.looks else None
    if card is not None:
        total, used = card.memory_total_bytes, card.memory_used_bytes
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
    "memory_nearly_full": _memory_nearly_full,
    "disk_nearly_full": _disk_nearly_full,
}


def _looks(case: Case) -> list[GpuReading]:
    """The latest readings of the run's own card, oldest first."""
    cards = (card_of_run(case.state, look) for look in case.around.looks)
    return [card for card in cards if card is not None]


def _share_of_looks(case: Case, reasons: set[str]) -> float | None:
    """Part of the looks at which one of ``reasons`` throttled the run's card."""
    cards = [card for card in _looks(case) if card.throttle_reasons is not None]
    if case.is_over or case.state.phase != "training" or len(cards) < _LOOKS_MIN:
        return None
    return sum(not reasons.isdisjoint(card.throttle_reasons or ()) for card in cards) / len(cards)
