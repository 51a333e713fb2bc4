"""Whole or not at all, also when something fails in the middle."""

import os
import stat

import pytest

from ethtune.core import atomic
from ethtune.core.atomic import new_folder, write_text
from ethtune.core.errors import MachineError, RunError


def refuse(*_, **__):
    raise OSError(28, "No space left on device")


def test_text_replaces_what_was_there(tmp_path):
    path = tmp_path / "a.json"
    for text in ("old", "nöw\n"):
        write_text(path, text)
    assert path.read_bytes() == "nöw\n".encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize("step", ["fsync", "replace", "chmod"])
def test_a_full_disk_leaves_the_old_text_alone(tmp_path, monkeypatch, step):
    path = tmp_path / "a.json"
    write_text(path, "old")
    monkeypatch.setattr(atomic.os, step, refuse)
    with pytest.raises(MachineError, match=r"a\.json cannot be written: No space left") as caught:
        write_text(path, "new")
    assert "free disk space" in caught.value.hint
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.json"]


def test_ctrl_c_leaves_the_old_text_alone(tmp_path, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(atomic.os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_text(tmp_path / "a.json", "new")
    assert os.listdir(tmp_path) == []


def test_text_needs_its_folder(tmp_path):
    with pytest.raises(MachineError, match="cannot be written"):
        write_text(tmp_path / "none" / "a.json", "text")


def test_a_folder_appears_with_all_its_files(tmp_path):
    final = tmp_path / "deep" / "data"
    with new_folder(final) as staging:
        (staging / "train.jsonl").write_text("{}")
        assert not final.exists()
    assert os.listdir(final) == ["train.jsonl"]
    assert os.listdir(final.parent) == ["data"]
    assert stat.S_IMODE(final.stat().st_mode) == 0o755


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, MemoryError])
def test_a_failure_leaves_no_folder(tmp_path, error):
    def fill():
        with new_folder(tmp_path / "data") as staging:
            (staging / "train.jsonl").write_text("{}")
            raise error

    with pytest.raises(error):
        fill()
    assert os.listdir(tmp_path) == []


def test_a_disk_that_refuses_leaves_no_folder(tmp_path):
    with pytest.raises(MachineError, match="data cannot be written"), new_folder(tmp_path / "data"):
        refuse()
    assert os.listdir(tmp_path) == []


def test_an_empty_folder_may_be_filled_and_no_other(tmp_path):
    with new_folder(tmp_path) as staging:
        (staging / "a").write_text("")
    assert os.listdir(tmp_path) == ["a"]
    for taken in (tmp_path, tmp_path / "a"):
        with pytest.raises(RunError, match="already exists and is not empty"), new_folder(taken):
            pass
    assert os.listdir(tmp_path) == ["a"]


def test_a_file_where_a_folder_should_be_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(MachineError, match="cannot be written"),
        new_folder(tmp_path / "file" / "x"),
    ):
        pass
