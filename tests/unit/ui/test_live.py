"""What train leaves on a stream that is no terminal, and its last word."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from ethtune.core.events import Message, RunEnded
from ethtune.core.runstate import fold_all
from ethtune.core.units import GIB
from ethtune.ui.live import live_view
from ethtune.ui.plain import plain_lines
from ethtune.ui.summary import summary


def test_without_a_terminal_a_plain_line_each(run_events, capsys, tmp_path):
    with live_view(tmp_path) as emit:
        for logged in run_events(until=100):
            emit(logged.event)
    lines = capsys.readouterr().err.splitlines()
    assert "Step 10/437 | Loss: 2.0365 | LR: 2.0e-04 | 791 tok/s | ETA 28m 47s" in lines
    assert "Validation: Loss: 1.3044 | Accuracy: 0.7746" in lines
    assert not any("\x1b" in line for line in lines)


def test_a_stream_without_unicode_gets_question_marks():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    plain_lines(stream)(Message("info", "größe\x1b[0m"))
    assert raw.getvalue() == b"gr??e?[0m\n"


class _Closed(io.StringIO):
    def write(self, text):
        raise BrokenPipeError


def test_a_closed_pipe_does_not_stop_the_training():
    plain_lines(_Closed())(Message("info", "hello"))


@pytest.mark.parametrize(
    ("device", "label"), [("NVIDIA GeForce RTX 3060", "Peak VRAM"), ("cpu", "Peak memory")]
)
def test_summary_in_the_words_of_the_guide(run_events, device, label):
    ended = RunEnded("finished", 437, 13_320.0, peak_process_bytes=3 * GIB)
    state = fold_all(run_events(device=device, until=430, ended=ended))
    console = Console(file=io.StringIO(), width=100, color_system=None)
    predicted = {"predicted_bytes": (2 * GIB, 4 * GIB), "predicted_step_seconds": (20.0, 40.0)}
    console.print(summary(state, Path("runs/a b"), **predicted))
    text = " ".join(console.file.getvalue().split())
    assert text.startswith("Training complete! Total time: 3h 42m")
    assert f"{label}: " in text
    assert "estimated 2.0 GiB to 4.0 GiB" in text
    assert "Time of a step: 4.1s estimated 20s to 40s" in text
    assert "Final validation loss: 0.3830" in text
    assert "Final validation accuracy: 0.8667" in text
    assert "Model saved to: runs/a b" in text
    assert "ethtune evaluate 'runs/a b'" in text
    assert "ethtune predict 'runs/a b' --input" in text


def test_summary_of_an_interrupted_run_offers_resume(run_events):
    state = fold_all(run_events(ended=RunEnded("interrupted", 210, 900.0)))
    console = Console(file=io.StringIO(), width=100, color_system=None)
    console.print(summary(state, Path("runs/a")))
    text = console.file.getvalue()
    assert "Training interrupted at step 210 of 437." in text
    assert "ethtune resume runs/a" in text
    assert "complete" not in text
