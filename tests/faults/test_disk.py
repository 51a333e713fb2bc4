"""A disk that is full, gone or read-only: it costs a checkpoint or a log, never the run's past."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys

import pytest
from run_reading import events_of, sha256

from ethtune.core.errors import Interrupted, MachineError
from ethtune.core.events import StepLogged
from ethtune.core.runfolder import RunFolder
from ethtune.model.checkpoints import find_checkpoints

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="limits and mounts of POSIX")

SMALL = 60_000  # bytes: less than the optimizer's moments, more than anything else but the log


@pytest.fixture
def limit_files():
    """``limit_files(bytes)``: no file of this process can grow beyond; None lifts it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def limit(size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft if size is None else size, hard))

    yield limit
    limit(None)
    signal.signal(signal.SIGXFSZ, before)


def good_steps(run):
    return [item.step for item in find_checkpoints(RunFolder(run)) if item.problem is None]


def test_a_stop_that_cannot_be_saved_says_where_resuming_begins(
    train_here, straight, resume_here, limit_files, tmp_path
):
    def sink(event):
        if isinstance(event, StepLogged) and event.step == 5:
            limit_files(SMALL)
            os.kill(os.getpid(), signal.SIGTERM)

    run = tmp_path / "run"
    with pytest.raises(Interrupted, match="could not be saved, resuming begins at step 4"):
        train_here(run, events=sink)
    limit_files(None)
    resume_here(run)
    assert sha256(run) == sha256(straight)


def test_logs_on_a_full_disk_lose_lines_and_nothing_else(at_step_4, ends_as_straight, limit_files):
    padding = b'{"padding":"' + b"x" * 2_000_000 + b'"}\n'
    for name in ("events.jsonl", "training_logs.txt"):
        with (at_step_4 / name).open("ab") as handle:
            handle.write(padding)
    before = len(events_of(at_step_4))
    limit_files((at_step_4 / "training_logs.txt").stat().st_size)  # checkpoints are far below
    ends_as_straight(at_step_4)
    assert len(events_of(at_step_4)) == before


FULL = """
set -eu
disk=$1 kept=$2
shift 2
mount -t tmpfs -o size=420m none "$disk"
"$@" &
trainer=$!
until [ -d "$disk/run/checkpoint-4" ]; do kill -0 $trainer; sleep 0.01; done
head -c 1G /dev/zero >"$disk/filler" 2>"$disk/../full" || true
code=0
wait $trainer || code=$?
rm "$disk/filler"
cp -r "$disk/run" "$kept"
exit $code
"""


def test_on_a_disk_without_any_room_nothing_is_begun(at_step_4, resume_here, limit_files, straight):
    before = sorted(at_step_4.rglob("*"))
    limit_files(0)
    with pytest.raises(MachineError, match=r"config\.yaml cannot be written"):
        resume_here(at_step_4)
    limit_files(None)
    assert sorted(at_step_4.rglob("*")) == before
    resume_here(at_step_4)
    assert sha256(at_step_4) == sha256(straight)


def test_a_disk_that_fills_up_under_a_run_does_not_end_it(words, straight, tmp_path):
    """With as many checkpoints as are kept, the space held for the next carries it to its end."""
    unshare = ["unshare", "-Urm"]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted: neither root nor user namespaces")
    disk, kept = tmp_path / "disk", tmp_path / "kept"
    disk.mkdir()
    trainer = [sys.executable, "-c", "from ethtune.cli.app import main; main()"]
    trainer += words(disk / "run", {"logging.save_total_limit": 2})
    ended = subprocess.run(
        [*unshare, "sh", "-c", FULL, "sh", str(disk), str(kept), *trainer],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "No space left" in (tmp_path / "full").read_text()
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    assert sha256(kept) == sha256(straight)
    assert good_steps(kept) == [6, 4]
