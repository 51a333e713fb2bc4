"""Free memory of the very card, who holds the rest, and no refusal where anything is in doubt."""

from __future__ import annotations

import os

import pytest

from ethtune.core.compose import compose
from ethtune.core.errors import MachineError
from ethtune.core.reading import GpuReading
from ethtune.core.units import GIB
from ethtune.device.cards import CardDetails, GpuProcess, MigInstance
from ethtune.device.target import vram_target
from ethtune.services import memoryroom
from ethtune.services.estimation import estimate

CONFIG = compose(profile="guide-12gb").config
REPORT = estimate(CONFIG, target=vram_target(12))
LOW = REPORT.process_bytes[0]
OTHERS = (
    GpuProcess(7, int(0.4 * GIB), "Xorg"),
    GpuProcess(1234, int(5.8 * GIB), "python"),
    GpuProcess(os.getpid(), GIB, "python"),
)


@pytest.fixture
def refusal(monkeypatch):
    """``refusal(free)``: the error of a run on the second of two cards, None where it may go on."""

    def run(free_bytes, *, card="bbbb", config=CONFIG, **details):
        total = 12 * GIB
        cards = [
            GpuReading(0, "RTX 3060", "GPU-aaaa", total, 0),
            GpuReading(1, "RTX 3060", "GPU-bbbb", total, total - int(free_bytes)),
        ]
        mine = CardDetails(**{"processes": OTHERS} | details)
        monkeypatch.setattr(memoryroom, "readings", lambda: cards)
        monkeypatch.setattr(memoryroom, "card_details", lambda: (CardDetails(), mine))
        try:
            memoryroom.require_memory(config, REPORT, card)
        except MachineError as error:
            return error
        return None

    return run


def test_a_run_that_clearly_does_not_fit_is_refused_with_who_is_there_and_what_helps(refusal):
    error = refusal(0.5 * LOW)
    first, held, *savings = error.message.splitlines()
    assert first.startswith("the run does not fit: it needs ")
    assert held == "    held by python (1234, 5.8 GiB), Xorg (7, 409.6 MiB)"
    assert savings
    assert all(line.startswith("    --set ") and " saves " in line for line in savings)
    assert "optimization.check_memory=false" in error.hint


@pytest.mark.parametrize("share", [0.95, 1.0, 1.5])
def test_what_is_close_or_fits_may_try(refusal, share):
    assert refusal(share * LOW) is None


def test_processes_that_the_driver_does_not_tell_are_not_made_up(refusal):
    assert "held by" not in refusal(0.5 * LOW, processes=None).message


def test_in_doubt_about_the_card_nothing_is_refused(refusal):
    assert refusal(0.1 * LOW, card="cccc") is None
    assert refusal(0.1 * LOW, mig=(MigInstance("MIG-1", 5 * GIB, 0),)) is None


def test_the_user_has_the_last_word_and_an_unknown_shape_none(refusal):
    section = CONFIG.optimization.model_copy(update={"check_memory": False})
    assert refusal(0.1 * LOW, config=CONFIG.model_copy(update={"optimization": section})) is None
    memoryroom.require_memory(CONFIG, None, None)
