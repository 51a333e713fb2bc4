"""A trainer at a step in, a committed checkpoint out; a disk that refuses costs it, never the run.

reserve ─▶ staging: adapter, tokenizer, training state, trainer_state.json ─▶ commit ─▶ rotate
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from ethtune.core.errors import DivergedError, MachineError
from ethtune.core.events import CheckpointSaved, Emit, Message, PhaseStarted
from ethtune.core.runfolder import RunFolder
from ethtune.core.units import format_bytes
from ethtune.model.adapterfiles import adapter_tensors, write_adapter
from ethtune.model.checkpoints import STAGING, commit, newest_bytes, rotate, run_id_of
from ethtune.model.publishing import ResultLabel, publish
from ethtune.model.reserve import Reserve
from ethtune.model.trainingstate import FILE, captured
from ethtune.model.trees import not_finite, save_tree

_FAILURES = (OSError, SafetensorError, MachineError)  # safetensors' is no OSError
_BYTES_PER_PARAMETER = 12  # float32 weight and two Adam moments


class Saver:
    """The checkpoints of one run, as one process makes them."""

    def __init__(self, run: RunFolder, *, keep: int, emit: Emit) -> None:
        self._run = run
        self._run_id = run_id_of(run)
        self._keep = keep
        self._emit = emit
        self._reserve = Reserve(run.path / ".reserve")
        self._tokenizer: dict[str, bytes] = {}
        self._size = 0
        self._is_short = False
        self.last_step: int | None = None  # the newest committed by this process

    def open(self, model: Any, tokenizer: Any) -> None:
        """Hold the space of the first checkpoint. The tokenizer's files are the same in each."""
        with tempfile.TemporaryDirectory(dir=self._run.path, prefix=".tokenizer-") as folder:
            tokenizer.save_pretrained(folder)
            self._tokenizer = {item.name: item.read_bytes() for item in Path(folder).iterdir()}
        trainable, _ = model.get_nb_trainable_parameters()
        expected = trainable * _BYTES_PER_PARAMETER + sum(map(len, self._tokenizer.values()))
        self._size = max(expected, newest_bytes(self._run))
        self._hold()

    def close(self) -> None:
        """Give the held space back."""
        self._reserve.release()

    def save(self, trainer: Any, *, spare: Collection[int]) -> None:
        """Commit the step that was just made, then remove what is old; ``spare`` are steps to keep.

        Raises DivergedError instead of committing a number that is none.
        """
        started, step = time.perf_counter(), trainer.state.global_step
        self._emit(PhaseStarted("saving"))
        weights, tree = adapter_tensors(trainer.model), captured(trainer)
        _require_finite(step, {"adapter": weights, "optimizer": tree["optimizer"]})
        staging, name = self._run.path / STAGING, f"checkpoint-{step}"
        self._reserve.release()
        try:
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir()
            self._write(trainer, weights, tree, staging)
            size = commit(staging, self._run.path / name, run_id=self._run_id)
        except _FAILURES as error:
            reason = getattr(error, "strerror", None) or error
            is_last = trainer.control.should_training_stop or step >= trainer.state.max_steps
            then = "" if is_last else "; training goes on and tries again at the next save"
            self._emit(Message("error", f"checkpoint {step} could not be saved: {reason}{then}"))
        else:
            self.last_step, self._size = step, size
            self._emit(CheckpointSaved(step, name, size, time.perf_counter() - started))
            self._rotate({*spare, step})
        finally:
            shutil.rmtree(staging, ignore_errors=True)
            self._hold()
        self._emit(PhaseStarted("training"))

    def publish(self, trainer: Any, card: Callable[[str], str]) -> None:
        """The finished adapter with its tokenizer and card, into the run folder itself.

        Raises MachineError where the disk refuses.
        """
        self._reserve.release()
        label = ResultLabel(self._run_id, trainer.state.global_step, trainer.state.max_steps)
        publish(self._run, trainer.model, self._tokenizer, label, card)

    def _write(
        self, trainer: Any, weights: dict[str, torch.Tensor], tree: Any, folder: Path
    ) -> None:
        write_adapter(trainer.model, weights, folder)
        for name, content in self._tokenizer.items():
            (folder / name).write_bytes(content)
        save_tree(tree, folder / FILE)
        trainer.state.save_to_json(str(folder / "trainer_state.json"))

    def _rotate(self, spare: Collection[int]) -> None:
        try:
            rotate(self._run, keep=self._keep, spare=spare)
        except OSError as error:
            self._emit(Message("warning", f"old checkpoints could not be removed: {error}"))

    def _hold(self) -> None:
        try:
            self._reserve.hold(self._size)
        except OSError as error:
            if not self._is_short:
                text = f"no {format_bytes(self._size)} can be held for the next checkpoint"
                self._emit(Message("warning", f"{text}: {error.strerror}; free disk space"))
            self._is_short = True
        else:
            self._is_short = False


def _require_finite(step: int, tree: Any) -> None:
    for name in not_finite(tree):
        raise DivergedError(
            f"step {step}: {name} holds numbers that are none; this step is not saved",
            last_step=step,
            good_step=step - 1,
        )
