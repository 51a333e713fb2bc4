"""A base model in, a short hash out that tells it from another: enough to refuse, cheap for 14 GB.

A snapshot of a hub is named by its commit. Of a local folder, sizes and evenly spaced samples of
the weights are hashed: weights that were trained further differ nearly everywhere.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from ethtune.model.basemodels import BaseModel

_SAMPLES = 64
_SAMPLE_BYTES = 16 * 1024
_KNOWN_FILES = ("config.json", "tokenizer_config.json")


def fingerprint(base: BaseModel, *, cache_dir: str | None) -> str | None:
    """None where nothing tells: a hub model that is not in the cache yet."""
    if base.is_local:
        return _folder_hash(Path(base.source))
    from huggingface_hub import try_to_load_from_cache

    for name in _KNOWN_FILES:
        found = try_to_load_from_cache(
            base.source, name, cache_dir=cache_dir, revision=base.revision
        )
        if isinstance(found, str):
            return Path(found).parent.name  # snapshots/<commit>
    return None


def _folder_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for item in sorted([folder / "config.json", *folder.glob("*.safetensors")]):
        size = item.stat().st_size
        digest.update(f"{item.name} {size}\n".encode())
        with item.open("rb") as handle:
            for index in range(_SAMPLES):
                handle.seek(index * max(size - _SAMPLE_BYTES, 0) // (_SAMPLES - 1))
                digest.update(handle.read(_SAMPLE_BYTES))
    return digest.hexdigest()
