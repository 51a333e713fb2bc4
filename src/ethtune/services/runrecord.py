"""What a run writes down about itself, and what that allows when it is resumed."""

from __future__ import annotations

import contextlib
import hashlib
import platform
from collections.abc import Iterator
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

from ethtune import __version__
from ethtune.core.atomic import write_text
from ethtune.core.compose import ComposedConfig, compose
from ethtune.core.config import Config
from ethtune.core.errors import ConfigError
from ethtune.core.runfolder import RunFolder, read_json, write_json
from ethtune.services.preflight import Prepared
from ethtune.services.rows import file_hashes

FREE_KEYS = ("training.output_dir", "training.max_steps", "training.num_train_epochs", "logging.")
"""What a resumed run may be given anew: keys, or whole sections with a dot at the end."""

_PACKAGES = (
    "torch", "transformers", "peft", "bitsandbytes", "trl", "datasets", "accelerate", "safetensors",
)  # fmt: skip


def write_config(folder: RunFolder, composed: ComposedConfig) -> None:
    """The resolved config, and where each value came from."""
    write_text(folder.config, composed.to_yaml())
    write_json(folder.origins, dict(composed.origins))


def manifest_of(prepared: Prepared, config: Config, dataset: Path, command: str) -> dict[str, Any]:
    """What makes this run this run: versions, machine, hashes of what it learns from."""
    template = prepared.job.tokenizer.chat_template or ""
    return {
        "v": 1,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": command,
        "versions": _versions(),
        "device": prepared.job.device.name,
        "precision": prepared.job.device.precision,
        "base_model": {
            "name": prepared.job.base.name,
            "origin": prepared.job.base.origin,
            "revision": prepared.job.base.revision,
        },
        "template_sha256": hashlib.sha256(template.encode()).hexdigest(),
        "prompt_versions": list(prepared.rows.prompt_versions),
        "seed": config.training.seed,
        "dataset": {
            "path": str(dataset.resolve()),
            "files": file_hashes(dataset),
            "train_rows": sum(map(len, prepared.rows.train)),
            "validation_rows": sum(map(len, prepared.rows.validation)),
            "too_long": len(prepared.rows.too_long),
        },
    }


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "ethtune": __version__}
    for name in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def changed_versions(manifest: dict[str, Any]) -> Iterator[str]:
    """A sentence for each package that is another than when the run began."""
    now = _versions()
    for name, was in manifest.get("versions", {}).items():
        if name in now and now[name] != was:
            yield f"{name} is now {now[name]}, was {was}: the run may not continue bit for bit"


def resumed_config(folder: RunFolder, overrides: dict[str, tuple[Any, str]]) -> ComposedConfig:
    """The run's own config with what a resumed run may change. Raises ConfigError for the rest."""
    before = compose(config_file=folder.config)
    after = compose(config_file=folder.config, overrides=overrides)
    changed = [
        f"{key}: {old} to {new}"
        for key, old, new in _differences(before.config, after.config)
        if not any(key == free or (free[-1] == "." and key.startswith(free)) for free in FREE_KEYS)
    ]
    if changed:
        raise ConfigError(
            f"a resumed run cannot change {'; '.join(changed)}",
            hint="start a new run; resume may change max_steps, num_train_epochs and logging",
        )
    origins = dict(before.origins)
    if folder.origins.is_file():
        origins |= {key: str(value) for key, value in read_json(folder.origins).items()}
    origins |= {key: origin for key, (_, origin) in overrides.items()}
    return ComposedConfig(config=after.config, origins=origins)


def _differences(before: Config, after: Config) -> Iterator[tuple[str, Any, Any]]:
    old, new = before.model_dump(), after.model_dump()
    for section, keys in old.items():
        for key, value in keys.items():
            if new[section][key] != value:
                yield f"{section}.{key}", value, new[section][key]
