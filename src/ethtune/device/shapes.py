"""Base models by name: an alias, a hub id or a folder in, dimensions out, no weights, no torch.

The built-in catalog answers offline; a local folder is read from its config.json, and a model of
the hub from what was downloaded before.
"""

from __future__ import annotations

import difflib
import functools
import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from ethtune.core.errors import ConfigError
from ethtune.device.decoder import ModelShape, config_of_shape, shape_from_config
from ethtune.device.hubcache import cached_config

# The one base model that can be had without the hub.
EMBEDDED_ALIAS = "smollm2-135m"
_WELL_KNOWN = (EMBEDDED_ALIAS, "mistral-7b-instruct", "llama-3.1-8b", "qwen2.5-7b", "qwen3-8b")


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A base model one can name. ``gated``: its licence has to be accepted on the hub first."""

    alias: str
    hub_id: str
    licence: str
    gated: bool
    download_bytes: int
    shape: ModelShape


@functools.cache
def catalog() -> tuple[BaseModel, ...]:
    """The built-in models, in families, small ones first."""
    file = resources.files("ethtune.assets") / "models" / "catalog.json"
    rows = json.loads(file.read_text(encoding="utf-8"))["models"]
    return tuple(
        BaseModel(
            alias=row["alias"],
            hub_id=row["hub_id"],
            licence=row["licence"],
            gated=row["gated"],
            download_bytes=row["download_bytes"],
            shape=ModelShape(**row["shape"]),
        )
        for row in rows
    )


def find_model(name: str) -> BaseModel | None:
    """The catalog's model of that alias or hub id, whatever the case."""
    wanted = name.casefold()
    for model in catalog():
        if wanted in (model.alias.casefold(), model.hub_id.casefold()):
            return model
    return None


def shape_of(base_model: str) -> ModelShape:
    """Shape of a model of the catalog, a local folder or config.json, or one downloaded before.

    Raises ConfigError.
    """
    place = _config_file(base_model)
    if place is not None:
        return shape_from_config(_read_config(place), place=str(place))
    if model := find_model(base_model):
        return model.shape
    raise ConfigError(f'no dimensions known for the model "{base_model}"', hint=_near(base_model))


def config_of(base_model: str) -> dict[str, Any]:
    """Contents of a model's config.json, of the catalog's as far as dimensions go.

    Raises ConfigError.
    """
    place, shape = _config_file(base_model), shape_of(base_model)
    return config_of_shape(shape) if place is None else _read_config(place)


def _config_file(base_model: str) -> Path | None:
    """A folder's, or for what the catalog does not have, one downloaded before."""
    path = Path(base_model).expanduser()
    if path.is_dir() or path.name == "config.json":
        return path / "config.json" if path.is_dir() else path
    return None if find_model(base_model) else cached_config(base_model)


def _read_config(place: Path) -> dict[str, Any]:
    try:
        plain = json.loads(place.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"{place.parent} holds no config.json", hint="name a folder in transformers format"
        ) from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{place} cannot be read: {error}") from None
    if not isinstance(plain, dict):
        raise ConfigError(f"{place}: expected a JSON object")
    return plain


def _near(name: str) -> str:
    names = [spelling for model in catalog() for spelling in (model.alias, model.hub_id)]
    folded = {spelling.casefold(): spelling for spelling in names}
    near = difflib.get_close_matches(name.casefold(), list(folded), n=3, cutoff=0.5)
    if near:
        return "the nearest in the catalog: " + ", ".join(folded[item] for item in near)
    return f"name a folder with a config.json, or one of {', '.join(_WELL_KNOWN)}, ..."
