"""What counts as downloaded, and the login whose value nobody sees."""

import json

import pytest

from ethtune.device.hubcache import (
    cached_snapshot,
    damaged_weights,
    has_token,
    offline_flags,
    unfinished_downloads,
)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_CACHE", "HF_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    return tmp_path


def snapshot(home, *files):
    folder = home / "hub" / "models--a--b" / "snapshots" / "abc"
    folder.mkdir(parents=True, exist_ok=True)
    for name in files:
        (folder / name).write_text("{}")
    return folder


def test_a_snapshot_with_config_and_weights_is_complete(home):
    assert cached_snapshot("a/b") is None
    folder = snapshot(home, "config.json", "model.safetensors")
    assert cached_snapshot("a/b") == folder


def test_a_missing_shard_makes_it_incomplete(home):
    folder = snapshot(home, "config.json", "one.safetensors")
    index = {"weight_map": {"x": "one.safetensors", "y": "two.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert cached_snapshot("a/b") is None
    (folder / "two.safetensors").write_text("")
    assert cached_snapshot("a/b") == folder


def test_weights_of_the_older_format_count(home):
    folder = snapshot(home, "config.json", "pytorch_model.bin")
    assert cached_snapshot("a/b") == folder


def test_a_revision_is_here_under_its_commit_or_the_name_it_had(home):
    folder = snapshot(home, "config.json", "model.safetensors")
    refs = home / "hub" / "models--a--b" / "refs"
    refs.mkdir()
    (refs / "v1").write_text("abc")
    (refs / "v2").write_text("def")
    for revision, found in (("abc", folder), ("v1", folder), ("v2", None), ("main", None)):
        assert cached_snapshot("a/b", revision=revision) == found


def test_login_from_file_or_environment(home, monkeypatch):
    assert not has_token()
    (home / "token").write_text("secret")
    assert has_token()
    (home / "token").unlink()
    monkeypatch.setenv("HF_TOKEN", "secret")
    assert has_token()


def test_offline_flags_count_only_when_on(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("TRANSFORMERS_OFFLINE", "0")
    assert offline_flags() == ("HF_HUB_OFFLINE",)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda whole: whole, ()),
        (lambda whole: whole[:-1], ("w.safetensors",)),
        (lambda whole: whole + b"x", ("w.safetensors",)),
        (lambda whole: b"", ("w.safetensors",)),
        (lambda whole: b"\xff" * 64, ("w.safetensors",)),
    ],
)
def test_weights_are_as_long_as_they_say(tmp_path, change, expected):
    import numpy
    from safetensors.numpy import save

    whole = save({"a": numpy.ones(10, "float32")}, metadata={"format": "pt"})
    (tmp_path / "w.safetensors").write_bytes(change(whole))
    assert damaged_weights(tmp_path) == expected


def test_broken_downloads_are_counted(home):
    blobs = home / "hub" / "models--a--b" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / "abc.incomplete").write_bytes(b"12345")
    assert unfinished_downloads("a/b") == 5
