"""What the faults happen to: runs of six steps of the tiny model, saved after every second one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from run_reading import cut_back, of_kind, sha256

from ethtune.core.compose import compose
from ethtune.core.errors import EthtuneError
from ethtune.core.events import SILENT
from ethtune.services.session import TrainingReport

SETTINGS = {
    "training.max_steps": 6,
    "training.gradient_accumulation_steps": 1,
    "training.learning_rate": 1e-2,
    "data.max_seq_length": 1536,
    "data.max_train_samples": 6,
    "data.packing": False,
    "logging.logging_steps": 1,
    "logging.save_steps": 2,
    "logging.eval_strategy": "no",
    "logging.load_best_model_at_end": False,
    "logging.save_total_limit": 3,
}
PATIENCE_SECONDS = 600  # of a machine that does much else
COMMAND = (sys.executable, "-c", "from ethtune.cli.app import main; main()")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "chaos: takes minutes; only with -m chaos")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "chaos" not in config.option.markexpr:
        for item in items:
            if item.get_closest_marker("chaos"):
                item.add_marker(pytest.mark.skip(reason="takes minutes: pytest -m chaos"))


@pytest.fixture(scope="session")
def train_here(tiny_model, dataset) -> Callable[..., TrainingReport]:
    """``train_here(run, settings, events)``: a run in this process."""
    from ethtune.services.training import train

    def run_it(run, settings=(), events=SILENT):
        named = {"data.dataset": str(dataset), "model.base_model": str(tiny_model)}
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
def straight(train_here, tmp_path_factory) -> Path:
    """The run that nothing happened to. Look, do not touch."""
    run = tmp_path_factory.mktemp("straight") / "run"
    train_here(run)
    return run


@pytest.fixture
def at_step_4(straight, tmp_path) -> Path:
    """The straight run as a kill right after its second checkpoint leaves it."""
    run = tmp_path / "run"
    shutil.copytree(straight, run)
    cut_back(run, 4)
    return run


@pytest.fixture
def ends_as_straight(straight, resume_here) -> Callable[..., None]:
    """``ends_as_straight(run)``: resumed, it comes to the same bytes."""

    def check(run, **request):
        resume_here(run, **request)
        assert sha256(run) == sha256(straight)

    return check


@pytest.fixture
def refusal(resume_here) -> Callable[..., EthtuneError]:
    """``refusal(run, …)``: the error that resuming ends with, before anything was changed."""

    def of(run, settings=(), **request):
        before = _contents(run)
        with pytest.raises(EthtuneError) as caught:
            resume_here(run, settings, **request)
        assert _contents(run) == before
        return caught.value

    return of


def _contents(run: Path) -> dict[str, bytes]:
    return {str(item): item.read_bytes() for item in run.rglob("*") if item.is_file()}


class Command:
    """``ethtune`` in a process of its own, with what it said once it has ended."""

    def __init__(self, words: list[str], **how: object) -> None:
        how["env"] = os.environ | {"PYTHONUNBUFFERED": "1"} | dict(how.get("env") or {})
        self._process = subprocess.Popen(
            [*COMMAND, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            **how,
        )
        self.pid = self._process.pid
        self.stdout = self.stderr = ""

    def wait_for(self, run: Path, kind: str, step: int) -> bool:
        """Until the run's log tells of ``kind`` at ``step``; False when it ended before."""
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            if any(event.step >= step for event in of_kind(run, kind)):
                return True
            if self._process.poll() is not None:
                return False
            time.sleep(0.005)
        raise AssertionError(f"no {kind} {step} in {PATIENCE_SECONDS} s")

    def send(self, number: int) -> None:
        if self._process.poll() is None:
            self._process.send_signal(number)

    def end(self) -> int:
        """Its exit code."""
        self.stdout, self.stderr = self._process.communicate(timeout=PATIENCE_SECONDS)
        return self._process.returncode


@pytest.fixture(scope="session")
def words(tiny_model, dataset) -> Callable[..., list[str]]:
    """``words(run, settings)``: the command line of the straight run."""

    def of(run, settings=()):
        chosen = SETTINGS | dict(settings)
        given = {"dataset": dataset, "base-model": tiny_model, "output": run}
        return [
            "train",
            *(str(word) for flag, value in given.items() for word in (f"--{flag}", value)),
            *(word for key, value in chosen.items() for word in ("--set", f"{key}={value}")),
        ]

    return of


@pytest.fixture
def start() -> Callable[..., Command]:
    """``start(words, …)``: a command under way, which does not outlive its test."""
    begun = []

    def run(words, **how):
        begun.append(Command([str(word) for word in words], **how))
        return begun[-1]

    yield run
    for command in begun:
        command.send(9)
        command.end()
