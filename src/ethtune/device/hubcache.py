"""What the Hugging Face cache already holds: environment and model name in, folders out, no net."""

from __future__ import annotations

import json
import os
from pathlib import Path

_TRUE = frozenset({"1", "on", "yes", "true"})
_HEADER_BYTES = 100_000_000  # the format's own limit


def hub_home() -> Path:
    """Folder of cache and token, as huggingface_hub chooses it."""
    base = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(os.environ.get("HF_HOME", f"{base}/huggingface")).expanduser()


def hub_cache(cache_dir: str | None = None) -> Path:
    """Folder of downloaded repositories."""
    given = cache_dir or os.environ.get("HF_HUB_CACHE")
    return Path(given).expanduser() if given else hub_home() / "hub"


def token_file() -> Path:
    """Where a login is kept."""
    path = os.environ.get("HF_TOKEN_PATH")
    return Path(path).expanduser() if path else hub_home() / "token"


def has_token() -> bool:
    """Whether a login exists; its value is never read out."""
    if any(os.environ.get(name) for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")):
        return True
    try:
        return token_file().stat().st_size > 0
    except OSError:
        return False


def offline_flags() -> tuple[str, ...]:
    """Names of the variables that forbid the libraries to use the network."""
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")
    return tuple(name for name in names if os.environ.get(name, "").casefold() in _TRUE)


def cached_snapshot(
    hub_id: str, cache_dir: str | None = None, revision: str | None = None
) -> Path | None:
    """A downloaded revision with all its weights, the newest where none is named; None without."""
    model = hub_cache(cache_dir) / f"models--{hub_id.replace('/', '--')}"
    folder = model / "snapshots"
    if revision is not None:
        found = [folder / _commit(model, revision)]
    elif folder.is_dir():
        found = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    else:
        return None
    return next((snapshot for snapshot in found if is_complete_model(snapshot)), None)


def _commit(model: Path, revision: str) -> str:
    """What a branch or tag stood for when it was downloaded; a commit stands for itself."""
    try:
        return (model / "refs" / revision).read_text(encoding="utf-8").strip()
    except OSError:
        return revision


def cached_config(hub_id: str, cache_dir: str | None = None) -> Path | None:
    """The newest config.json of a model that the cache has, with weights or without."""
    folder = hub_cache(cache_dir) / f"models--{hub_id.replace('/', '--')}" / "snapshots"
    found = sorted(folder.glob("*/config.json"), key=lambda path: path.lstat().st_mtime)
    return found[-1] if found else None


def is_complete_model(folder: Path) -> bool:
    """Whether ``folder`` holds a config and every weight file its index names."""
    if not (folder / "config.json").is_file():
        return False
    return any(_holds_weights(folder, name) for name in ("model.safetensors", "pytorch_model.bin"))


def _holds_weights(folder: Path, single: str) -> bool:
    """In one file, or in all that its index names."""
    index = folder / f"{single}.index.json"
    if not index.is_file():
        return (folder / single).is_file()
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, AttributeError):
        return False
    return bool(names) and all((folder / name).is_file() for name in names)


def damaged_weights(folder: Path) -> tuple[str, ...]:
    """Names of safetensors files that are not as long as their own header says."""
    return tuple(path.name for path in sorted(folder.glob("*.safetensors")) if not _is_whole(path))


def unfinished_downloads(hub_id: str, cache_dir: str | None = None) -> int:
    """Bytes that broken downloads of a model left behind."""
    blobs = hub_cache(cache_dir) / f"models--{hub_id.replace('/', '--')}" / "blobs"
    return sum(path.stat().st_size for path in blobs.glob("*.incomplete"))


def _is_whole(path: Path) -> bool:
    """The format: length of the header in 8 bytes, the header in JSON, then all tensors."""
    try:
        size = path.stat().st_size
        with path.open("rb") as handle:
            length = int.from_bytes(handle.read(8), "little")
            if length > min(size, _HEADER_BYTES):
                return False
            header = json.loads(handle.read(length))
        header.pop("__metadata__", None)
        ends = [int(tensor["data_offsets"][1]) for tensor in header.values()]
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError):
        return False
    return size == 8 + length + max(ends, default=0)
