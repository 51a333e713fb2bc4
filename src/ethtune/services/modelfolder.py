"""Where a base model already lies on this machine: a model's name in, its folder out, no torch."""

from __future__ import annotations

from pathlib import Path

from ethtune.core.cachefolder import converted_model
from ethtune.core.config import ModelSection
from ethtune.device.hubcache import cached_snapshot
from ethtune.device.shapes import find_model


def local_folder(model: ModelSection) -> Path | None:
    """A folder with weights and tokenizer that needs no download; None without one."""
    folder = Path(model.base_model).expanduser()
    if folder.is_dir():
        return folder
    converted = converted_model(model.base_model)
    if (converted / "config.json").is_file():
        return converted
    known = find_model(model.base_model)
    hub_id = known.hub_id if known else model.base_model
    return cached_snapshot(hub_id, model.cache_dir, model.revision)
