"""Progress events in, one bar with the time left on stderr out; messages are printed above it."""

from __future__ import annotations

from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.progress import TimeElapsedColumn as Elapsed
from rich.progress import TimeRemainingColumn as Remaining

from ethtune.core import events
from ethtune.ui.terminal import clean, say, stderr

_STYLES = {"warning": "yellow", "error": "red"}


class ProgressBar:
    """A context manager whose ``emit`` is the sink of a service. Without a terminal: no bar.

    ``is_drawn`` False shows messages alone, where data goes to the same terminal.
    """

    def __init__(self, *, is_drawn: bool = True) -> None:
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            Elapsed(),
            TextColumn("left"),
            Remaining(),
            console=stderr,
            transient=True,
            disable=not (is_drawn and stderr.is_terminal),
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> ProgressBar:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def emit(self, event: events.Event) -> None:
        """Show one event."""
        if isinstance(event, events.Progress):
            self._advance(event)
        elif isinstance(event, events.Message):
            say(event.text, style=_STYLES.get(event.level))
        elif isinstance(event, events.PhaseStarted) and event.phase == "loading":
            say("loading the model", style="dim")

    def _advance(self, event: events.Progress) -> None:
        name = clean(event.phase)
        if name not in self._tasks:
            self._tasks[name] = self._bar.add_task(name, total=event.total)
        self._bar.update(self._tasks[name], completed=event.done, total=event.total)
