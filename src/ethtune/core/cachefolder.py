"""Where ethtune keeps what it made once and can make again: converted base models."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    """ETHTUNE_CACHE, else a folder below the user's cache."""
    root = os.environ.get("ETHTUNE_CACHE")
    if root:
        return Path(root)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData/Local")) / "ethtune"
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "ethtune"


def converted_model(name: str) -> Path:
    """Folder of a base model that was converted to safetensors under ``name``."""
    return cache_folder() / "models" / name
