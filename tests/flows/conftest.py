"""Real runs of the tiny model: NF4 twice quantised, dropout on, packed rows, validation."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from run_reading import of_kind

from ethtune.core.compose import compose
from ethtune.core.events import SILENT
from ethtune.services.session import TrainingReport

SETTINGS = {
    "training.max_steps": 8,
    "training.gradient_accumulation_steps": 2,
    "training.learning_rate": 1e-2,
    "data.max_seq_length": 1536,
    "logging.logging_steps": 1,
    "logging.save_steps": 2,
    "logging.eval_steps": 2,
    "logging.save_total_limit": 4,
    "logging.load_best_model_at_end": False,
    "data.max_train_samples": 24,
    "data.max_eval_samples": 4,
}
PATIENCE_SECONDS = 120
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "ethtune")
# what --gpus 2 does once it has counted the cards
GPUS = (
    "-c",
    "import sys; from ethtune.core.errors import EthtuneError\n"
    "from ethtune.model.launching import launch\n"
    "try: sys.exit(launch(sys.argv[1:], 2))\n"
    "except EthtuneError as error:\n"
    "    print(error.message, file=sys.stderr)\n"
    "    sys.exit(error.exit_code)",
)
ALONE = ("-c", "from ethtune.cli.app import main; main()")


@pytest.fixture
def settings() -> dict[str, object]:
    """What the runs are told beyond their flags."""
    return dict(SETTINGS)


@pytest.fixture(scope="session")
def train_words(tiny_model, dataset) -> Callable[..., list[str]]:
    """``train_words(run, key=value, …)``: the command line of a run of 8 steps."""

    def words(run, settings=(), **flags):
        chosen = SETTINGS | dict(settings)
        given = {"dataset": dataset, "base-model": tiny_model, "output": run} | flags
        return [
            "train",
            *(str(word) for flag, value in given.items() for word in (f"--{flag}", value)),
            *(word for key, value in chosen.items() for word in ("--set", f"{key}={value}")),
        ]

    return words


@pytest.fixture(scope="session")
def train_here(tiny_model, dataset) -> Callable[..., TrainingReport]:
    """``train_here(run, settings, events)``: a run in this process, told by its events."""
    from ethtune.services.training import train

    def run_it(run, settings=(), events=SILENT):
        named = {"data.dataset": dataset, "model.base_model": tiny_model}
        named = {key: str(value) for key, value in named.items()}
        chosen = SETTINGS | named | {"training.output_dir": str(run)} | dict(settings)
        overrides = {key: (value, "--set") for key, value in chosen.items()}
        return train(compose(overrides=overrides), command="test", events=events)

    return run_it


@pytest.fixture(scope="session")
def resume_here() -> Callable[..., TrainingReport]:
    """``resume_here(run, settings, events)``: the same run continued in this process."""
    from ethtune.services.training import ResumeRequest, resume

    def run_it(run, settings=(), events=SILENT, **request):
        overrides = {key: (value, "--set") for key, value in dict(settings).items()}
        return resume(ResumeRequest(run, overrides, **request), command="test", events=events)

    return run_it


@pytest.fixture(scope="session")
def straight_run(ethtune, train_words, tmp_path_factory) -> Path:
    """8 steps without a stop. Look, do not touch."""
    run = tmp_path_factory.mktemp("straight") / "run"
    result = ethtune(*train_words(run))
    assert result.exit_code == 0, result.output
    return run


class Trainer:
    """``ethtune`` in a process of its own, with its event log."""

    def __init__(self, run: Path, words: list[str], starter: Sequence[str] = ALONE) -> None:
        self._run = run
        self._process = subprocess.Popen(
            [sys.executable, *starter, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        self.pid = self._process.pid
        self.stdout = self.stderr = ""

    def wait_for(self, kind: str, step: int) -> None:
        """Until the log tells of ``kind`` at ``step``."""
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            if any(event.step >= step for event in of_kind(self._run, kind)):
                return
            time.sleep(0.02)
        self.send(signal.SIGKILL)
        raise AssertionError(f"no {kind} {step}: {self.end()} {self.stderr}")

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def send(self, number: int) -> None:
        if self._process.poll() is None:
            self._process.send_signal(number)

    def end(self) -> int:
        """Its exit code, once it has ended."""
        self.stdout, self.stderr = self._process.communicate(timeout=PATIENCE_SECONDS)
        return self._process.returncode


@pytest.fixture(scope="session")
def start_training(train_words) -> Callable[..., Trainer]:
    """``start_training(run, settings)``: a trainer that is under way."""

    def start(run, settings=()):
        return Trainer(run, train_words(run, settings))

    return start


@pytest.fixture(scope="module")
def start_pair(train_words) -> Iterator[Callable[..., Trainer]]:
    """``start_pair(run, settings, *words, by=GPUS)``: two processes, ended with the test."""
    started: list[Trainer] = []

    def start(run: Path, settings=(), *words: str, by: Sequence[str] = GPUS) -> Trainer:
        started.append(Trainer(run, [*(words or train_words(run, settings))], by))
        return started[-1]

    yield start
    for trainer in started:
        if trainer.is_running:  # its test has failed
            trainer.send(signal.SIGKILL)
            trainer.end()


@pytest.fixture(scope="session")
def start_resuming() -> Callable[..., Trainer]:
    """``start_resuming(run)``: the same run under way again."""

    def start(run):
        return Trainer(run, ["resume", str(run)])

    return start
