"""What a power cut leaves: every committed byte was asked onto the disk before its name was."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from run_reading import of_kind, sha256

from ethtune.core.runfolder import RunFolder
from ethtune.model.checkpoints import find_checkpoints, verify

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="strace and ext4")

MAY_BE_LOST = {"events.jsonl", "training_logs.txt", "lock"}
"""Logs end where they end; the lock of a process that is gone means nothing."""


class Disk:
    """What a file system owes after each call, by the letter of POSIX: only fsync pays."""

    def __init__(self, run: Path) -> None:
        self.run = str(run)
        self.unsynced: set[str] = set()  # files whose content may be lost
        self.unnamed: set[str] = set()  # folders whose list of names may be lost
        self.commits: list[str] = []  # names that were given out of the staging folder

    def take(self, call: str, arguments: str) -> None:
        """One call; which it is decides what is owed."""
        if call.startswith("rename"):
            paths = re.findall(r'"((?:[^"\\]|\\.)*)"', arguments)
            self._rename(*(os.path.join(self.run, path) for path in paths))
        elif call.startswith("mkdir"):
            self.unnamed.add(os.path.dirname(re.search(r'"(.*)"', arguments)[1]))
        elif call == "openat":
            path, flags = re.search(r'"(.*)", (O_\S+)', arguments).groups()
            if re.search("O_WRONLY|O_RDWR", flags):
                self.unsynced.add(path)
                self.unnamed |= {os.path.dirname(path)} if "O_CREAT" in flags else set()
        elif described := re.match(r"\d+<(.*?)>", arguments):
            if "sync" in call:
                self.unsynced.discard(described[1])
                self.unnamed.discard(described[1])
            else:
                self.unsynced.add(described[1])

    def owed_below(self, folder: str) -> set[str]:
        owed = self.unsynced | self.unnamed
        return {path for path in owed if path == folder or path.startswith(f"{folder}/")}

    def _rename(self, old: str, new: str) -> None:
        staging = f"{self.run}/.staging"
        if old == staging or (old.startswith(staging) and not new.startswith(staging)):
            assert not self.owed_below(old), f"{new} is named before its content is safe"
            assert os.path.dirname(self.run) not in self.unnamed, "the run itself may be lost"
            self.commits.append(new.removeprefix(f"{self.run}/"))
        if ".removing-" in new:
            assert self.run not in self.unnamed, "an old one goes before the new is safe"
        self.unsynced = {self._moved(path, old, new) for path in self.unsynced}
        self.unnamed = {self._moved(path, old, new) for path in self.unnamed}
        self.unnamed |= {os.path.dirname(old), os.path.dirname(new)}

    @staticmethod
    def _moved(path: str, old: str, new: str) -> str:
        is_there = path == old or path.startswith(f"{old}/")
        return new + path.removeprefix(old) if is_there else path


CALL = re.compile(r"^(?:\d+ +)?(\w+)\((.*)\) += \d+")
UNFINISHED = re.compile(r"^(\d+) +(\w+)\((.*) <unfinished \.\.\.>$")
RESUMED = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>(.*)$")


def calls(trace: Path) -> Iterator[tuple[str, str]]:
    """Name and arguments of every call that succeeded, in the order in which they ended."""
    begun: dict[tuple[str, str], str] = {}
    for line in trace.read_text(errors="replace").splitlines():
        if match := UNFINISHED.match(line):
            begun[match[1], match[2]] = match[3]
            continue
        whole = line
        if match := RESUMED.match(line):
            whole = f"{match[2]}({begun.pop((match[1], match[2]), '')}{match[3]}"
        if match := CALL.match(whole):
            yield match[1], match[2]


def traced(words: list[str], trace: Path) -> None:
    """Run the command and write down what it asks of the kernel."""
    asked = "openat,mkdir,mkdirat,write,pwrite64,writev,fsync,fdatasync,rename,renameat,renameat2"
    ended = subprocess.run(
        [
            *("strace", "--seccomp-bpf", "-f", "-y", "-s", "4096", "-o", trace),
            *("-e", f"trace={asked}", "-e", "signal=none", sys.executable, "-c"),
            "from ethtune.cli.app import main; main()",
            *words,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if "ptrace" in ended.stderr.lower():
        pytest.skip("no process may be traced here")
    assert ended.returncode == 0, ended.stderr


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_everything_is_synced_before_it_gets_its_name(words, tmp_path):
    """Asked of the kernel, not of our own code: what the process said to it, call by call."""
    run, trace = tmp_path / "run", tmp_path / "trace"
    traced(words(run, {"logging.save_total_limit": 2}), trace)
    disk = Disk(run)
    for call, arguments in calls(trace):
        disk.take(call, arguments)
    assert disk.commits[:3] == ["checkpoint-2", "checkpoint-4", "checkpoint-6"]
    assert {"README.md", "adapter_model.safetensors"} < set(disk.commits)
    assert disk.commits[-1] == "COMPLETE.json"
    owed = {Path(path).name for path in disk.owed_below(str(run)) if Path(path).exists()}
    assert owed <= MAY_BE_LOST


SHUT_DOWN, WITHOUT_FLUSHING = 0x8004587D, 2  # FS_IOC_SHUTDOWN of linux/fs.h


class PowerCut:
    """An ext4 of its own in a file, which can be cut off with all that was not yet written."""

    def __init__(self, image: Path, place: Path) -> None:
        self.image, self.place = image, place
        place.mkdir()
        with image.open("wb") as handle:
            handle.truncate(800_000_000)
        subprocess.run(["mkfs.ext4", "-q", image], check=True)
        self.mount()

    def mount(self) -> None:
        subprocess.run(["mount", "-o", "loop", self.image, self.place], check=True)

    def cut(self) -> None:
        descriptor = os.open(self.place, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, SHUT_DOWN, WITHOUT_FLUSHING.to_bytes(4, "little"))
        finally:
            os.close(descriptor)

    def unmount(self, *how: str) -> None:
        subprocess.run(["umount", *how, self.place], check=True)


@pytest.fixture
def disk(tmp_path):
    """A disk whose power can be cut."""
    if os.geteuid() or shutil.which("mkfs.ext4") is None:
        pytest.skip("only root can mount a file system, and mkfs.ext4 makes it")
    try:
        disk = PowerCut(tmp_path / "image", tmp_path / "disk")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no loop device here: {error}")
    yield disk
    with contextlib.suppress(subprocess.CalledProcessError):
        disk.unmount("--lazy")  # this process may still map files of it


MOMENTS = {
    "at a save": ("checkpoint_saved", 2, 0.0),
    "in a step": ("step", 3, 0.01),
    "in a save": ("step", 4, 0.0),
    "at the end": ("checkpoint_saved", 6, 0.0),
}
IN_A_SAVE = "in a save"  # the others are seconds that show less


@pytest.mark.parametrize(
    "moment",
    [pytest.param(name, marks=() if name == IN_A_SAVE else pytest.mark.chaos) for name in MOMENTS],
)
def test_after_a_power_cut_what_was_committed_is_there(
    disk, words, start, straight, resume_here, moment
):
    kind, step, more_seconds = MOMENTS[moment]
    run = disk.place / "run"
    trainer = start(words(run))
    assert trainer.wait_for(run, kind, step)
    time.sleep(more_seconds * random.random())
    disk.cut()
    trainer.send(signal.SIGKILL)
    trainer.end()
    told = set(_saved_lines(trainer.stderr))
    disk.unmount()
    disk.mount()
    found = {item.step: item.problem for item in find_checkpoints(RunFolder(run))}
    assert {step: found.get(step, "not there") for step in told} == dict.fromkeys(told)
    assert not any(found.values())
    if verify(run) is None:
        assert sha256(run) == sha256(straight)
    else:
        resume_here(run)
    assert sha256(run) == sha256(straight)
    assert of_kind(run, "run_ended")


def _saved_lines(text: str) -> Iterator[int]:
    for match in re.finditer(r"Checkpoint: checkpoint-(\d+)", text):
        yield int(match[1])
