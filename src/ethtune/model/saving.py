"""A trainer at a step in, a committed checkpoint out; lack of disk or memory costs it, not the run.

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
from ethtune.core.ranks import rank
from ethtune.core.runfolder import RunFolder
from ethtune.core.units import format_bytes
from ethtune.model.adapterfiles import adapter_tensors, write_adapter
from ethtune.model.checkpoints import STAGING, commit, newest_bytes, rotate, run_id_of
from ethtune.model.device import twice
from ethtune.model.publishing import ResultLabel, publish
from ethtune.model.reserve import Reserve
from ethtune.model.trainingstate import FILE, captured
from ethtune.model.trees import not_finite, reason_of, save_tree

_FAILURES = (OSError, SafetensorError, MachineError)  # safetensors' is no OSError
_BYTES_PER_PARAMETER = 12  # float32 weight and two Adam moments


class Saver:
    """The checkpoints of one run, as one process makes them; those of other ranks make none."""

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
        if not rank().is_main:
            return
        with tempfile.TemporaryDirectory(dir=self._run.path, prefix=".tokenizer-") as folder:
            tokenizer.save_pretrained(folder)
            self._tokenizer = {item.name: item.read_bytes() for item in Path(folder).iterdir()}
        trainable, _ = model.get_nb_trainable_parameters()
        expected = trainable * _BYTES_PER_PARAMETER + sum(map(len, self._tokenizer.values()))
        self._size = max(expected, newest_bytes(self._run))
        self._hold()

    def close(self) -> None:
        """Give the held space back."""
        if rank().is_main:
            self._reserve.release()

    def save(self, trainer: Any, *, spare: Collection[int]) -> None:
        """Commit the step that was just made, then remove what is old; ``spare`` are steps to keep.

        Raises DivergedError instead of committing a number that is none.
        """
        self._emit(PhaseStarted("saving"))
        try:
            weights, tree = _collected(trainer)
        except MachineError as error:
            self._lose(trainer, error)
        else:
            if not rank().is_main:
                return
            self._keep_step(trainer, weights, tree, spare=spare)
        self._emit(PhaseStarted("training"))

    def _keep_step(
        self, trainer: Any, weights: dict[str, torch.Tensor], tree: Any, *, spare: Collection[int]
    ) -> None:
        started, step = time.perf_counter(), trainer.state.global_step
        staging, name = self._run.path / STAGING, f"checkpoint-{step}"
        self._reserve.release()
        try:
            twice(lambda: self._write(trainer, weights, tree, staging))
            size = commit(staging, self._run.path / name, run_id=self._run_id)
        except _FAILURES as error:
            self._lose(trainer, error)
        else:
            self.last_step, self._size = step, size
            self._emit(CheckpointSaved(step, name, size, time.perf_counter() - started))
            self._rotate({*spare, step})
        finally:
            shutil.rmtree(staging, ignore_errors=True)
            self._hold()

    def _lose(self, trainer: Any, error: Exception) -> None:
        """This step alone."""
        step = trainer.state.global_step
        reason = reason_of(error)
        is_last = trainer.control.should_training_stop or step >= trainer.state.max_steps
        then = "" if is_last else "; training goes on and tries again at the next save"
        self._emit(Message("error", f"checkpoint {step} could not be saved: {reason}{then}"))

    def publish(
        self, trainer: Any, weights: dict[str, torch.Tensor], card: Callable[[str], str]
    ) -> None:
        """The finished adapter with its tokenizer and card, into the run folder itself.

        Raises MachineError where disk or memory refuses.
        """
        self._reserve.release()
        label = ResultLabel(self._run_id, trainer.state.global_step, trainer.state.max_steps)
        twice(lambda: publish(self._run, trainer.model, weights, self._tokenizer, label, card))

    def _write(
        self, trainer: Any, weights: dict[str, torch.Tensor], tree: Any, folder: Path
    ) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
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


def _collected(trainer: Any) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Weights and state, every number one. What several processes collect they collect once."""

    def collect() -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        weights, tree = adapter_tensors(trainer.model), captured(trainer)
        numbers = {"adapter": weights, "optimizer": tree["optimizer"]}
        _require_finite(trainer.state.global_step, numbers)
        return weights, tree

    return twice(collect) if rank().is_alone else collect()


def _require_finite(step: int, tree: Any) -> None:
    for name in not_finite(tree):
        raise DivergedError(
            f"step {step}: {name} holds numbers that are none; this step is not saved",
            last_step=step,
            good_step=step - 1,
        )
