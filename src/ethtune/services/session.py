"""One process that holds a run: its lock, its logs, and its way to end."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ethtune.core.config import Config
from ethtune.core.errors import EthtuneError, Interrupted
from ethtune.core.eventlog import EventReader, EventWriter, LoggedEvent
from ethtune.core.events import Emit, Ending, Event, Message, PhaseStarted, RunEnded, RunStarted
from ethtune.core.logline import LineLog
from ethtune.core.ranks import rank
from ethtune.core.redaction import redact
from ethtune.core.runfolder import RunFolder, read_json
from ethtune.core.runlock import RunLock
from ethtune.core.runstate import RunState, fold, fold_all
from ethtune.core.signals import StopSignals
from ethtune.services.calibration import remember_run
from ethtune.services.estimation import EstimateReport
from ethtune.services.following import task_of
from ethtune.services.modelcard import model_card
from ethtune.services.preflight import Prepared
from ethtune.services.trainingdata import packed_amount

if TYPE_CHECKING:
    from ethtune.model.training import TrainedAdapter


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """Where the adapter is, the state that the run ended in, and what was foreseen."""

    run: Path
    state: RunState
    best_step: int | None
    forecast: EstimateReport | None

    def as_dict(self) -> dict[str, Any]:
        """Plain figures of the finished run."""
        last = self.state.evaluations[-1] if self.state.evaluations else None
        ended = self.state.ended
        return {
            "run": str(self.run),
            "steps": self.state.step,
            "best_step": self.best_step,
            "train_loss": self.state.steps[-1].loss if self.state.steps else None,
            "eval_loss": last.eval_loss if last else None,
            "eval_token_accuracy": last.eval_token_accuracy if last else None,
            "seconds": ended.seconds if ended else None,
            "step_seconds": self.state.step_seconds,
            "predicted_step_seconds": self.forecast.step_seconds if self.forecast else None,
            "predicted_bytes": self.forecast.process_bytes if self.forecast else None,
            "peak_process_bytes": ended.peak_process_bytes if ended else None,
            "peak_reserved_bytes": ended.peak_reserved_bytes if ended else None,
            "memory_adjustments": [asdict(each) for each in self.state.adjustments_in_force],
        }


class Session:
    """One process that holds the run, from construction to the end of its ``with``."""

    def __init__(
        self, folder: RunFolder, config: Config, *, command: str, events: Emit, signals: StopSignals
    ) -> None:
        self._folder = folder
        self._config = config
        self._command = command
        self._signals = signals
        self._lock = RunLock(folder.lock)
        self._sinks: tuple[Emit, ...] = (events,)
        self._state = fold_all(EventReader(folder.events).poll())
        self.trained = False

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *error: object) -> None:
        self._lock.release()

    def run(
        self,
        prepared: Prepared,
        *,
        resume_from: Path | None,
        first_step: int,
        said: Sequence[Message],
    ) -> TrainingReport:
        """Train to the end; whatever happens is the log's last line.

        ``said`` was shown before there was a log: the log gets it now.
        """
        started = time.perf_counter()
        with self._logs():
            self._begin(prepared, first_step, said)
            ending = RunEnded("failed", first_step, 0.0, "an unexpected error", 70)
            try:
                result = self._train(prepared, resume_from)
                ending = RunEnded("finished", result.steps, 0.0)
            except EthtuneError as error:
                ending = _ending(error, self._state.step)
                raise
            finally:
                self._end(ending, time.perf_counter() - started)
        on_gpu = prepared.job.device.kind == "cuda"
        remember_run(self._config, packed_amount(prepared.rows), self._state, on_gpu=on_gpu)
        return TrainingReport(self._folder.path, self._state, result.best_step, prepared.forecast)

    def _train(self, prepared: Prepared, resume_from: Path | None) -> TrainedAdapter:
        from ethtune.model.context import RunContext
        from ethtune.model.processes import announce, together
        from ethtune.model.training import train_adapter

        card = partial(self._card, prepared)
        context = RunContext(self._folder, self._config, self.emit, self._signals, card)
        try:
            with together(self._folder.path):
                if not rank().is_alone:
                    announce(task_of(self._folder, prepared, resume_from))
                return train_adapter(context, prepared.job, resume_from=resume_from)
        except KeyboardInterrupt:
            if self.trained or resume_from is not None:
                text, hint = "stopped at once, as asked", f"ethtune resume {self._folder.path}"
            else:
                text, hint = "stopped before the first step: there is nothing to save", None
            raise self._signals.stopped(text, hint=hint) from None

    def emit(self, event: Event) -> None:
        """To the log, the readable log, the screen, and our own state."""
        event = _without_secrets(event)
        if isinstance(event, PhaseStarted) and event.phase == "training":
            self.trained = True
        self._state = fold(self._state, LoggedEvent(0, time.time(), event))
        for sink in self._sinks:
            sink(event)

    def _card(self, prepared: Prepared, adapter_sha256: str) -> str:
        return model_card(
            read_json(self._folder.manifest),
            self._config,
            self._state,
            base_model=prepared.job.base.public_name,
            adapter_sha256=adapter_sha256,
        )

    @contextlib.contextmanager
    def _logs(self) -> Iterator[None]:
        shown = self._sinks
        writer = EventWriter(self._folder.events)
        # unbuffered: what a full disk refuses is lost, not kept until closing fails as well
        with self._folder.log.open("ab", buffering=0) as readable:

            def write(line: str) -> None:
                readable.write(line.encode(errors="backslashreplace"))

            self._sinks = (*shown, writer.emit, LineLog(write, is_stamped=True))
            try:
                yield
            finally:
                self._sinks = shown
                writer.close()

    def _begin(self, prepared: Prepared, first_step: int, said: Sequence[Message]) -> None:
        self.emit(
            RunStarted(
                command=self._command,
                pid=os.getpid(),
                base_model=prepared.job.base.name,
                device=_device_name(prepared, self._config.training.num_processes),
                first_step=first_step,
            )
        )
        for message in said:
            for sink in self._sinks[1:]:
                sink(_without_secrets(message))
        if self._lock.previous is not None:
            pid = self._lock.previous.pid
            text = f"process {pid} ended without a word; its lock is taken over"
            self.emit(Message("info", text))

    def _end(self, ending: RunEnded, seconds: float) -> None:
        from ethtune.model.device import memory_use, peak_process_bytes

        self.emit(
            replace(
                ending,
                seconds=seconds,
                peak_process_bytes=peak_process_bytes(),
                peak_reserved_bytes=memory_use().peak_reserved_bytes,
            )
        )


def _device_name(prepared: Prepared, num_processes: int) -> str:
    name = prepared.job.device.name
    return name if num_processes == 1 else f"{num_processes} x {name}"


def _without_secrets(event: Event) -> Event:
    """Messages quote libraries and services, which quote addresses and keys."""
    if isinstance(event, (Message, RunEnded)):
        return replace(event, text=redact(event.text))
    return event


def _ending(error: EthtuneError, step: int) -> RunEnded:
    kind: Ending = "interrupted" if isinstance(error, Interrupted) else "failed"
    return RunEnded(kind, step, 0.0, error.message, error.exit_code)
