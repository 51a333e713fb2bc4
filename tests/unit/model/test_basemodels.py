"""A name in, a folder or a hub id out; what is neither is told apart."""

from __future__ import annotations

import pytest

from ethtune.core.cachefolder import converted_model
from ethtune.core.errors import ConfigError
from ethtune.core.events import SILENT
from ethtune.model.basemodels import resolve


def find(name):
    return resolve(str(name), revision="main", cache_dir=None, emit=SILENT)


def test_a_folder_is_local(tiny_model):
    base = find(tiny_model)
    assert (base.source, base.origin, base.is_local) == (str(tiny_model), "local folder", True)


def test_a_hub_id_stays_one():
    base = find("mistralai/Mistral-7B-v0.1")
    assert (base.source, base.origin, base.revision) == (base.name, "hub", "main")
    assert not base.is_local


def test_the_embedded_default_is_taken_from_the_cache_first(monkeypatch, tmp_path):
    monkeypatch.setenv("ETHTUNE_CACHE", str(tmp_path))
    folder = converted_model("smollm2-135m")
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    assert find("smollm2-135m").source == str(folder)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("./nowhere", "no such folder, and no hub id"),
        ("/nowhere/at/all", "no such folder, and no hub id"),
        ("mistral", "no such folder, and no hub id"),
        ("a/b/c", "no such folder, and no hub id"),
        ("nowhere.gguf", "no file at nowhere.gguf"),
    ],
)
def test_what_is_no_model_is_a_config_error(name, message):
    with pytest.raises(ConfigError, match=message):
        find(name)


def test_a_folder_without_a_model_is_told(tmp_path):
    with pytest.raises(ConfigError, match=r"has no config\.json") as caught:
        find(tmp_path)
    assert "save_pretrained" in caught.value.hint
