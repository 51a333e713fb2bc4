"""Complete or not there; and what is kept of them."""

from __future__ import annotations

import json
import os
import stat

import pytest

from ethtune.core.runfolder import RunFolder
from ethtune.model import checkpoints
from ethtune.model.checkpoints import (
    COMPLETE,
    commit,
    find_checkpoints,
    newest_bytes,
    rotate,
    set_aside,
    verify,
)

FILES = {"adapter_model.safetensors": b"weights" * 40, "optimizer.pt": b"\x00\x01moments"}


@pytest.fixture
def run(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    return folder


def save(run, step, files=FILES):
    staging = run.path / checkpoints.STAGING
    staging.mkdir()
    for name, content in files.items():
        (staging / name).write_bytes(content)
        (staging / name).chmod(0o600)
    final = run.path / f"checkpoint-{step}"
    return final, commit(staging, final)


def steps(run):
    return [step for step, _ in run.checkpoints()]


def test_a_committed_checkpoint_is_whole_and_says_so(run):
    final, size = save(run, 7)
    assert verify(final) is None
    assert size == sum(map(len, FILES.values()))
    assert sorted(os.listdir(final)) == sorted([*FILES, COMPLETE])
    assert os.listdir(run.path) == ["checkpoint-7"]
    assert {stat.S_IMODE((final / name).stat().st_mode) for name in FILES} == {0o644}


def test_a_complete_step_is_not_written_again(run):
    """There is no moment at which neither the old nor the new one stands."""
    final, _ = save(run, 7, {"optimizer.pt": b"first"})
    save(run, 7)
    assert verify(final) is None
    assert (final / "optimizer.pt").read_bytes() == b"first"
    assert os.listdir(run.path) == ["checkpoint-7"]


def test_a_damaged_one_makes_way_and_is_kept(run):
    final, _ = save(run, 7)
    flip_a_bit(final)
    save(run, 7)
    assert verify(final) is None
    assert sorted(os.listdir(run.path)) == ["checkpoint-7", "checkpoint-7.damaged"]
    assert steps(run) == [7]
    assert set_aside(final, "damaged").name == "checkpoint-7.damaged-2"


def test_another_runs_and_misnamed_ones_are_told_apart(run):
    run.manifest.write_text('{"id": "ours"}')
    for step, run_id in ((2, "ours"), (4, "ours"), (6, "ours"), (900, "theirs")):
        staging = run.path / checkpoints.STAGING
        staging.mkdir()
        (staging / "optimizer.pt").write_bytes(b"x")
        commit(staging, run.path / f"checkpoint-{step}", run_id=run_id)
    os.rename(run.path / "checkpoint-6", run.path / "checkpoint-7")
    assert [(item.step, item.problem) for item in find_checkpoints(run)] == [
        (900, "it belongs to another run"),
        (7, "it holds step 6"),
        (4, None),
        (2, None),
    ]
    rotate(run, keep=2, spare=())
    assert steps(run) == [2, 4, 7, 900]


def test_one_of_another_format_is_named(run):
    final, _ = save(run, 7)
    plain = json.loads((final / COMPLETE).read_text())
    (final / COMPLETE).write_text(json.dumps(plain | {"v": 1}))
    assert "its format is version 1" in verify(final)


def flip_a_bit(folder):
    path = folder / "adapter_model.safetensors"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)


def truncate(folder):
    os.truncate(folder / "adapter_model.safetensors", 11)


def manifest_of(content):
    return lambda folder: (folder / COMPLETE).write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (flip_a_bit, "adapter_model.safetensors has changed since it was written"),
        (truncate, "adapter_model.safetensors has 11 bytes instead of 280"),
        (lambda folder: (folder / "optimizer.pt").unlink(), "optimizer.pt is missing"),
        (lambda folder: (folder / "optimizer.pt").write_bytes(b""), "optimizer.pt has 0 bytes"),
        (lambda folder: (folder / COMPLETE).unlink(), "the save was interrupted"),
        (manifest_of(b"{"), "cannot be read"),
        (manifest_of(b"[]"), "cannot be read"),
        (manifest_of(b'{"files": {"optimizer.pt": 3}}'), "cannot be read"),
        (manifest_of(b"\xff"), "cannot be read"),
    ],
)  # fmt: skip
def test_damage_is_found_and_named(run, damage, problem):
    good, _ = save(run, 4)
    bad, _ = save(run, 8)
    damage(bad)
    assert problem in verify(bad)
    found = find_checkpoints(run)
    assert [(item.step, item.path, item.problem is None) for item in found] == [
        (8, bad, False),
        (4, good, True),
    ]


def test_a_disk_that_refuses_leaves_no_checkpoint(run, monkeypatch):
    def refuse(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints.os, "fsync", refuse)
    with pytest.raises(OSError, match="No space left"):
        save(run, 4)
    assert steps(run) == []


def test_a_stale_staging_folder_is_no_checkpoint(run):
    (run.path / checkpoints.STAGING).mkdir()
    (run.path / checkpoints.STAGING / "checkpoint-3").mkdir()
    (run.path / ".removing-checkpoint-1").mkdir()
    (run.path / "checkpoint-best").mkdir()
    (run.path / "checkpoint-5").write_text("a file")
    assert find_checkpoints(run) == []


def test_rotation_goes_by_step_not_by_time(run):
    for step in (30, 9, 100, 20):
        save(run, step)
    os.utime(run.path / "checkpoint-9", (2e9, 2e9))
    rotate(run, keep=2, spare=())
    assert steps(run) == [30, 100]
    assert sorted(os.listdir(run.path)) == ["checkpoint-100", "checkpoint-30"]


def test_rotation_spares_the_best(run):
    for step in (1, 2, 3, 4):
        save(run, step)
    rotate(run, keep=2, spare={1})
    assert steps(run) == [1, 3, 4]


def test_incomplete_folders_are_neither_counted_nor_removed(run):
    for step in (1, 2, 3, 4):
        save(run, step)
    for step in (1, 4):
        (run.path / f"checkpoint-{step}" / COMPLETE).unlink()
    rotate(run, keep=2, spare=())
    assert steps(run) == [1, 2, 3, 4]
    rotate(run, keep=1, spare=())
    assert steps(run) == [1, 3, 4]


def test_a_crash_during_removal_leaves_no_half_checkpoint(run, monkeypatch):
    for step in (1, 2, 3):
        save(run, step)
    monkeypatch.setattr(checkpoints.shutil, "rmtree", lambda *_, **__: None)
    rotate(run, keep=2, spare=())
    assert steps(run) == [2, 3]


def test_the_manifest_lists_every_file_with_its_hash(run):
    final, _ = save(run, 1)
    plain = json.loads((final / COMPLETE).read_text())
    assert (plain["v"], plain["step"]) == (2, 1)
    assert {name: entry["bytes"] for name, entry in plain["files"].items()} == {
        name: len(content) for name, content in FILES.items()
    }
    assert all(len(entry["sha256"]) == 64 for entry in plain["files"].values())


def test_the_newest_complete_one_tells_how_much_the_next_takes(run):
    assert newest_bytes(run) == 0
    _, size = save(run, 2)
    save(run, 4, FILES | {"more": b"x" * 1000})
    assert newest_bytes(run) == size + 1000
    (run.path / "checkpoint-4" / COMPLETE).unlink()
    assert newest_bytes(run) == size
