"""profiles: the built-in configs side by side, one explained, one as a file of one's own."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ethtune.core.atomic import write_text
from ethtune.core.compose import ComposedConfig, all_keys, compose
from ethtune.core.config import Config
from ethtune.core.errors import UsageError
from ethtune.core.profiles import (
    is_guides,
    profile_names,
    profile_purpose,
    profile_reasons,
    profile_text,
    vram_gib,
)
from ethtune.device.gpus import find_gpu
from ethtune.device.target import Target, cpu_target, gpu_target
from ethtune.services.estimation import Answer, estimate

# A card that many have, by GiB: speeds of profiles are predicted for it.
TYPICAL_GPUS = {
    8: "RTX 4060", 12: "RTX 3060", 16: "RTX 4060 Ti 16 GB", 24: "RTX 3090", 48: "RTX A6000",
    80: "A100 SXM4 80 GB",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ProfileSummary:
    """What a profile trains, and what that is predicted to need on ``card``."""

    name: str
    base_model: str
    rank: int
    target_modules: str | tuple[str, ...]
    max_seq_length: int
    micro_batch_size: int
    accumulation_steps: int
    card: str
    process_bytes: tuple[int, int]
    answer: Answer
    tokens_per_second: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class ProfileList:
    """Every profile, in the order of their names."""

    profiles: tuple[ProfileSummary, ...]

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True)
class Setting:
    """A value that the profile sets, the default, and the profile's own words on it."""

    key: str
    value: Any
    default: Any
    reason: str | None


@dataclass(frozen=True, slots=True)
class Neighbour:
    """The next smaller or larger profile: the value here and there of every key that differs."""

    name: str
    changes: Mapping[str, tuple[Any, Any]]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a profile is as it is."""

    name: str
    purpose: str
    settings: tuple[Setting, ...]
    smaller: Neighbour | None
    larger: Neighbour | None

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        return dataclasses.asdict(self)


def list_profiles() -> ProfileList:
    """Each on the typical card of its size; the CPU profile on this machine."""
    return ProfileList(tuple(summary(name) for name in profile_names()))


def summary(name: str) -> ProfileSummary:
    """One line of the list. Raises ConfigError for a profile that does not exist."""
    config = compose(profile=name).config
    target = _typical_target(name)
    found = estimate(config, target=target, title=name)
    return ProfileSummary(
        name=name,
        base_model=config.model.base_model,
        rank=config.lora.r,
        target_modules=config.lora.target_modules,
        max_seq_length=config.data.max_seq_length,
        micro_batch_size=config.training.per_device_train_batch_size,
        accumulation_steps=config.training.gradient_accumulation_steps,
        card=target.name,
        process_bytes=found.process_bytes,
        answer=found.answer,
        tokens_per_second=found.tokens_per_second,
    )


def explain(name: str) -> Explanation:
    """What the profile sets and why. Raises ConfigError for one that does not exist."""
    text, composed = profile_text(name), compose(profile=name)
    values, defaults, reasons = _values(composed.config), _values(Config()), profile_reasons(text)
    settings = tuple(
        Setting(key, values[key], defaults[key], reasons.get(key))
        for key in all_keys()
        if composed.origins[key] != "default"
    )
    family = sorted(
        (each for each in profile_names() if is_guides(each) == is_guides(name)), key=vram_gib
    )
    place = family.index(name)
    smaller = family[place - 1] if place else None
    larger = family[place + 1] if place + 1 < len(family) else None
    return Explanation(
        name, profile_purpose(text), settings, *(_neighbour(composed, n) for n in (smaller, larger))
    )


def copy_profile(name: str, path: Path) -> None:
    """Write the profile's YAML to a file that is not there yet.

    Raises ConfigError for an unknown profile, UsageError for a file that exists, MachineError
    where the disk refuses.
    """
    text = profile_text(name)
    if path.exists():
        raise UsageError(f"{path} exists", hint=f"ethtune profiles copy {name} ANOTHER.yaml")
    write_text(path, text)


def _typical_target(name: str) -> Target:
    size = vram_gib(name)
    return gpu_target(find_gpu(TYPICAL_GPUS[size])) if size else cpu_target()


def _neighbour(composed: ComposedConfig, name: str | None) -> Neighbour | None:
    if name is None:
        return None
    here, there = _values(composed.config), _values(compose(profile=name).config)
    changes = {key: (here[key], there[key]) for key in all_keys() if here[key] != there[key]}
    return Neighbour(name, changes)


def _values(config: Config) -> dict[str, Any]:
    return {
        f"{section}.{key}": value
        for section, values in config.model_dump().items()
        for key, value in values.items()
    }
