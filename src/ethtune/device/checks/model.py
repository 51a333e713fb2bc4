"""Whether the base model can be had: known, downloaded, or allowed to be."""

from __future__ import annotations

from pathlib import Path

from ethtune.core.cachefolder import converted_model
from ethtune.core.config import Config
from ethtune.core.errors import ConfigError
from ethtune.device.checks.verdict import Check, Verdict, fail, ok, skipped, warn
from ethtune.device.facts import Facts
from ethtune.device.hubcache import cached_snapshot, has_token, is_complete_model, offline_flags
from ethtune.device.shapes import EMBEDDED_ALIAS, find_model, shape_of
from ethtune.device.workload import target_modules


def judge_layers(_facts: Facts, config: Config) -> Verdict:
    """Whether the adapter's target layers exist in the model."""
    try:
        shape = shape_of(config.model.base_model)
    except ConfigError as error:
        return skipped(error.message)
    try:
        names = target_modules(config.lora.target_modules, shape)
    except ConfigError as error:
        return fail(error.message, error.hint)
    return ok(f"{shape.family}: adapters on {', '.join(names)}")


def judge_model(_facts: Facts, config: Config) -> Verdict:
    """On disk, or to be downloaded."""
    name = config.model.base_model
    folder = Path(name).expanduser()
    if folder.is_dir():
        if is_complete_model(folder):
            return ok(f"local folder {name}")
        return fail(f"{name} lacks config.json or a weight file", "download it again")
    hub_id = _hub_id(name)
    if cached_snapshot(hub_id, config.model.cache_dir):
        return ok(f"{hub_id} is downloaded")
    is_embedded = name == EMBEDDED_ALIAS
    if is_embedded and (converted_model(name) / "config.json").is_file():
        return ok(f"{name} is in ethtune's own cache")
    flags = offline_flags()
    if flags and not is_embedded:
        return fail(f"{hub_id} is not downloaded and {flags[0]} is set", f"unset {flags[0]}")
    return warn(f"{hub_id} is not downloaded yet", "the first run fetches it")


def judge_access(_facts: Facts, config: Config) -> Verdict:
    """A gated model needs an accepted licence and a login."""
    model = find_model(config.model.base_model)
    if model is None:
        return skipped("not in the catalog: whether it is gated is not known")
    if not model.gated:
        return ok(f"{model.hub_id} is open ({model.licence})")
    if cached_snapshot(model.hub_id, config.model.cache_dir):
        return ok(f"{model.hub_id} is gated, and downloaded already")
    steps = f"accept its licence at https://huggingface.co/{model.hub_id}, then: hf auth login"
    if not has_token():
        return fail(f"{model.hub_id} is gated ({model.licence}) and there is no login", steps)
    return warn(f"{model.hub_id} is gated ({model.licence}); a login is there", steps)


def _hub_id(name: str) -> str:
    model = find_model(name)
    return model.hub_id if model else name


CHECKS = (
    Check("model.available", "model", judge_model),
    Check("hub.access", "model", judge_access),
    Check("model.layers", "model", judge_layers),
)
