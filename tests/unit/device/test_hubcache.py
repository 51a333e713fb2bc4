"""What counts as downloaded, and the login whose value nobody sees."""

import json

import pytest

from ethtune.device.hubcache import cached_snapshot, has_token, offline_flags


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
