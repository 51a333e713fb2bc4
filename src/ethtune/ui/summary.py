"""The last word on a run: how it ended, what it cost, how good it is, what to type next."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Group
from rich.text import Text

from ethtune.core.runstate import RunState
from ethtune.core.units import format_bytes, format_duration
from ethtune.ui.terminal import clean

_LABEL_WIDTH = 28

Span = tuple[float, float]
_Predicted = tuple[Span | None, Span | None]  # bytes, seconds of a step


def summary(
    state: RunState,
    run: Path,
    *,
    predicted_bytes: Span | None = None,
    predicted_step_seconds: Span | None = None,
) -> Group:
    """Printed after train and resume, what was measured beside what was predicted."""
    return Group(*_lines(state, run, (predicted_bytes, predicted_step_seconds)))


def _lines(state: RunState, run: Path, predicted: _Predicted) -> Iterator[Text]:
    folder = shlex.quote(str(run))
    if state.ended is None or state.ended.ending == "finished":
        yield Text("Training complete!", style="bold green")
    else:
        plan = f" of {state.plan.total_steps:,}" if state.plan else ""
        yield Text(f"Training {state.ended.ending} at step {state.step:,}{plan}.", style="bold")
    yield Text()
    yield from _facts(state, predicted)
    if state.ended is None or state.ended.ending == "finished":
        yield _line("Model saved to:", str(run))
        yield Text()
        yield _line("Measure it:", f"ethtune evaluate {folder}")
        yield _line("Use it:", f"ethtune predict {folder} --input transactions.jsonl")
    else:
        if state.checkpoints:
            yield _line("Last checkpoint:", f"step {state.checkpoints[-1].step:,}")
        yield Text()
        yield _line("Continue:", f"ethtune resume {folder}")


def _facts(state: RunState, predicted: _Predicted) -> Iterator[Text]:
    if state.ended:
        yield _line("Total time:", format_duration(state.ended.seconds))
    if state.peak_bytes is not None:
        is_gpu = bool(state.recent and state.recent[-1].reserved_bytes)
        note = _expected(predicted[0], format_bytes)
        label = "Peak VRAM:" if is_gpu else "Peak memory:"
        yield _line(label, format_bytes(state.peak_bytes), note)
    for change in state.adjustments_in_force:
        yield _line("Memory ran out:", change.text, f"from step {change.step:,} on")
    if state.step_seconds is not None:
        note = _expected(predicted[1], format_duration)
        yield _line("Time of a step:", format_duration(state.step_seconds), note)
    if state.evaluations:
        last, best = state.evaluations[-1], state.best_evaluation
        is_beaten = best is not None and best.eval_loss < last.eval_loss
        note = f"best {best.eval_loss:.4f} at step {best.step:,}" if best and is_beaten else ""
        yield _line("Final validation loss:", f"{last.eval_loss:.4f}", note)
        yield _line("Final validation accuracy:", f"{last.eval_token_accuracy:.4g}", "of tokens")


def _expected(span: Span | None, spell: Callable[[float], str]) -> str:
    return f"estimated {spell(span[0])} to {spell(span[1])}" if span else ""


def _line(label: str, value: str, note: str = "") -> Text:
    line = Text.assemble((f"  {label}".ljust(_LABEL_WIDTH + 2), "dim"), (clean(value), "bold"))
    return line.append(f"  {note}" if note else "", style="dim")
