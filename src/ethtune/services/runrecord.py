"""What a run writes down about itself, and what that allows when it is resumed."""

from __future__ import annotations

import contextlib
import hashlib
import platform
import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

from ethtune import __version__
from ethtune.core.atomic import write_text
from ethtune.core.compose import ComposedConfig, compose
from ethtune.core.config import Config
from ethtune.core.errors import RunError
from ethtune.core.intent import SCHEMA_NAME
from ethtune.core.runfolder import RunFolder, read_json, write_json
from ethtune.services.continuation import Difference, config_differences
from ethtune.services.preflight import Prepared

_PACKAGES = (
    "torch", "transformers", "peft", "bitsandbytes", "trl", "datasets", "accelerate", "safetensors",
    "liger-kernel", "flash-attn",
)  # fmt: skip


def write_config(folder: RunFolder, composed: ComposedConfig) -> None:
    """The resolved config, and where each value came from."""
    write_text(folder.config, composed.to_yaml())
    write_json(folder.origins, dict(composed.origins))


def manifest_of(prepared: Prepared, config: Config, dataset: Path, command: str) -> dict[str, Any]:
    """What makes this run this run: versions, machine, hashes of what it learns from."""
    rows = prepared.rows
    return {
        "v": 2,
        "id": secrets.token_hex(8),  # checkpoints name it, so that another run's are told apart
        "created": _now(),
        "command": command,
        **facts_of(prepared, dataset),
        "origin": prepared.job.base.origin,
        "intent_schema": SCHEMA_NAME,
        "seed": config.training.seed,
        "config": config.model_dump(mode="json"),
        "dataset": {
            "path": str(dataset.resolve()),
            "train_rows": sum(map(len, rows.train)),
            "validation_rows": sum(map(len, rows.validation)),
            "too_long": len(rows.too_long),
        },
    }


def config_facts(config: Config, dataset: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Of the manifest: what a resumed run may say anew."""
    there = {**manifest.get("dataset", {}), "path": str(dataset.resolve())}
    return {"config": config.model_dump(mode="json"), "dataset": there}


def versions() -> dict[str, str]:
    """Of Python, ethtune and the packages that decide what a step computes."""
    found = {"python": platform.python_version(), "ethtune": __version__}
    for name in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def facts_of(prepared: Prepared, dataset: Path) -> dict[str, Any]:
    """What a resumed run must find as it was, and the machine, which it need not."""
    job = prepared.job
    return {
        "versions": versions(),
        "device": job.device.name,
        "precision": job.device.precision,
        "base_model": {
            "name": job.base.name,
            "revision": job.base.revision,
            "fingerprint": prepared.fingerprint,
        },
        "template": hashlib.sha256((job.tokenizer.chat_template or "").encode()).hexdigest(),
        "prompt_versions": list(prepared.rows.prompt_versions),
        "rows": rows_of(dataset),
    }


def rows_of(dataset: Path) -> dict[str, dict[str, Any]]:
    """Lines and SHA-256 of the split files that a run depends on."""
    found = {}
    for name in ("train.jsonl", "validation.jsonl"):
        path = dataset / name
        if path.is_file():
            content = path.read_bytes()
            sha256 = hashlib.sha256(content).hexdigest()
            found[name] = {"lines": content.count(b"\n"), "sha256": sha256}
    return found


def resumed_config(
    folder: RunFolder, manifest: Mapping[str, Any], overrides: Mapping[str, tuple[Any, str]]
) -> tuple[ComposedConfig, list[Difference]]:
    """The run's config as it now is, with ``overrides``, and what of it is not free to change.

    What it was stands in ``manifest``: config.yaml may have been edited since.
    """
    there = compose(config_file=folder.config)
    before = _recorded(manifest) or there.config
    overrides = {**overrides, **_dealt_anew(before, overrides)}
    after = compose(config_file=folder.config, overrides=overrides)
    origins = dict(there.origins)
    if folder.origins.is_file():
        origins |= {key: str(value) for key, value in read_json(folder.origins).items()}
    origins |= {key: origin for key, (_, origin) in overrides.items()}
    found = list(config_differences(before, after.config))
    return ComposedConfig(config=after.config, origins=origins), found


def _dealt_anew(
    before: Config, overrides: Mapping[str, tuple[Any, str]]
) -> dict[str, tuple[Any, str]]:
    """Micro batches of each process, so that a step of another number of them holds the same rows.

    Raises RunError where they do not come out even.
    """
    accumulation, processes = "training.gradient_accumulation_steps", "training.num_processes"
    if processes not in overrides or accumulation in overrides:
        return {}
    now, section = int(overrides[processes][0]), before.training
    micro_batches = section.gradient_accumulation_steps * section.num_processes
    if micro_batches % now:
        raise RunError(
            f"a step of the run has {micro_batches} micro batches, which {now} processes cannot "
            "share out evenly",
            hint=f"go on with {section.num_processes}, or --set {accumulation}=N --allow-change "
            f"{accumulation} --allow-change {processes}",
        )
    return {accumulation: (micro_batches // now, "rows of a step, over the processes")}


def record_changes(
    folder: RunFolder, facts: Mapping[str, Any], changes: Iterable[Difference], *, step: int
) -> None:
    """``facts`` are the run's own from now on; the manifest keeps what was changed and where."""
    added = [
        {"time": _now(), "step": step, "key": d.key, "was": str(d.was), "now": str(d.now)}
        for d in changes
    ]
    manifest = read_json(folder.manifest)
    changed = {"changes": [*manifest.get("changes", ()), *added]} if added else {}
    write_json(folder.manifest, {**manifest, **facts, **changed})


def _recorded(manifest: Mapping[str, Any]) -> Config | None:
    if "config" not in manifest:
        return None
    try:
        return Config.model_validate(manifest["config"])
    except ValueError as error:
        raise RunError(
            f"the config in manifest.json is none that this ethtune knows: {error}",
            hint="resume with the version of ethtune that manifest.json names",
        ) from error


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
