"""Defaults, a profile, a file and flags become one Config that remembers where each value is from.

    defaults < profile < file < flags and --set

A bad file yields all its faults at once, each with file:line:column, the line, and the nearest
right key. Reading YAML itself is ``yamllayer``'s work.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ethtune.core.config import DROPPED_KEYS, RENAMED_KEYS, Config
from ethtune.core.errors import ConfigError
from ethtune.core.profiles import profile_text
from ethtune.core.redaction import redact
from ethtune.core.yamllayer import Entry, Layer, parse_scalar, read_layer, write_sections

_SECTIONS: dict[str, frozenset[str]] = {
    name: frozenset(field.annotation.model_fields)  # type: ignore[union-attr]
    for name, field in Config.model_fields.items()
}


@dataclass(frozen=True, slots=True)
class ComposedConfig:
    """A valid config, the origin of every value, and hints worth showing (renamed keys)."""

    config: Config
    origins: Mapping[str, str]  # "training.learning_rate" -> "config.yaml:12"
    hints: tuple[str, ...] = ()

    def to_yaml(self) -> str:
        """The resolved config as YAML that composes to itself."""
        return write_sections(self.config.model_dump(mode="json"))


def compose(
    *,
    config_file: Path | None = None,
    profile: str | None = None,
    overrides: Mapping[str, tuple[Any, str]] | None = None,
) -> ComposedConfig:
    """Lay profile, file and overrides over the defaults.

    ``overrides`` maps "section.key" to (value, origin such as "--learning-rate").
    Raises ConfigError listing every fault.
    """
    layers: list[Layer] = []
    if profile is not None:
        layers.append(read_layer(profile_text(profile), name=f"profile {profile}"))
    if config_file is not None:
        layers.append(read_layer(_file_text(config_file), name=str(config_file)))
    if overrides:
        layers.append(_override_layer(overrides))
    return _merge(layers)


def parse_assignment(text: str) -> tuple[str, Any]:
    """``section.key=value`` of ``--set``; the value is read as YAML would. Raises ConfigError."""
    key, separator, value = text.partition("=")
    if not separator or key.count(".") != 1:
        raise ConfigError(
            f"--set {text}: expected section.key=value",
            hint="for example --set training.max_steps=200",
        )
    return key.strip(), parse_scalar(value.strip())


def all_keys() -> Iterable[str]:
    """Every "section.key" in file order."""
    for section, model in Config.model_fields.items():
        for key in model.annotation.model_fields:  # type: ignore[union-attr]
            yield f"{section}.{key}"


def _file_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(
            f"no config file at {path}", hint="ethtune train --profile cpu needs no file"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error


def _override_layer(overrides: Mapping[str, tuple[Any, str]]) -> Layer:
    entries = []
    for dotted, (value, origin) in overrides.items():
        section, _, key = dotted.partition(".")
        entries.append(Entry(section=section, key=key, value=value, place=origin, excerpt=""))
    return Layer(name="flags", entries=tuple(entries), faults=())


def _merge(layers: Sequence[Layer]) -> ComposedConfig:
    faults: list[str] = []
    hints: list[str] = []
    winners: dict[tuple[str, str], Entry] = {}
    for layer in layers:
        faults += layer.faults
        winners |= _settled(layer, faults, hints)
    plain: dict[str, dict[str, Any]] = {}
    for (section, key), entry in winners.items():
        plain.setdefault(section, {})[key] = entry.value
    try:
        config = Config.model_validate(plain)
    except ValidationError as error:
        faults += [_fault(item, winners) for item in error.errors()]
    faults += _secrets(winners)
    if faults:
        raise ConfigError("\n".join(dict.fromkeys(faults)))
    origins = dict.fromkeys(all_keys(), "default")
    origins |= {f"{section}.{key}": entry.place for (section, key), entry in winners.items()}
    return ComposedConfig(config=config, origins=origins, hints=tuple(hints))


def _secrets(winners: Mapping[tuple[str, str], Entry]) -> list[str]:
    """A config is written down in every run folder, and no key of it is for secrets."""
    told = "holds a secret, which would stand in the run's files; a token belongs in HF_TOKEN"
    return [
        _at(entry, f"{section}.{key} {told}")
        for (section, key), entry in winners.items()
        if redact(str(entry.value)) != str(entry.value)
    ]


def _settled(layer: Layer, faults: list[str], hints: list[str]) -> dict[tuple[str, str], Entry]:
    """What one layer says, under today's names."""
    said: dict[tuple[str, str], Entry] = {}
    for entry in layer.entries:
        if reason := DROPPED_KEYS.get((entry.section, entry.key)):
            name = f"{entry.section}.{entry.key}"
            hints.append(f"{entry.place}: {name} is not needed and passed over: {reason}")
            continue
        key = RENAMED_KEYS.get((entry.section, entry.key), entry.key)
        if key != entry.key:
            hints.append(f"{entry.place}: {entry.section}.{entry.key} is read as {key}")
        if key not in _SECTIONS.get(entry.section, ()):
            faults.append(_unknown_key(entry))
            continue
        earlier = said.setdefault((entry.section, key), entry)
        if earlier.key != entry.key:
            same = f"{earlier.key} and {entry.key} are two names of section {entry.section}'s {key}"
            faults.append(_at(entry, f"{same}: keep one"))
    return said


def _unknown_key(entry: Entry) -> str:
    if entry.section not in _SECTIONS:
        near = difflib.get_close_matches(entry.section, _SECTIONS, n=1)
        meant = f"; did you mean {near[0]}?" if near else f"; sections are {', '.join(_SECTIONS)}"
        return _at(entry, f'unknown section "{entry.section}"{meant}')
    homes = [section for section, keys in _SECTIONS.items() if entry.key in keys]
    near = difflib.get_close_matches(entry.key, _SECTIONS[entry.section], n=1, cutoff=0.6)
    if homes:
        meant = f"; it belongs in section {homes[0]}"
    elif near:
        meant = f"; did you mean {near[0]}?"
    else:
        meant = f"; keys are {', '.join(sorted(_SECTIONS[entry.section]))}"
    return _at(entry, f'unknown key "{entry.key}" in section {entry.section}{meant}')


def _fault(item: Any, winners: Mapping[tuple[str, str], Entry]) -> str:
    """One pydantic error as a line that points at the value's own place."""
    location = tuple(str(part) for part in item["loc"][:2])
    message = str(item["msg"]).removeprefix("Value error, ")
    entry = winners.get(location) if len(location) == 2 else None
    if entry is None:  # a rule over several keys: the latest written of that section
        named = [e for (section, _), e in winners.items() if section == location[0]]
        return _at(named[-1], message) if named else f"{'.'.join(location)}: {message}"
    shown = repr(entry.value) if not isinstance(entry.value, str) else f'"{entry.value}"'
    return _at(entry, f"{'.'.join(location)} is {shown}: {message[:1].lower()}{message[1:]}")


def _at(entry: Entry, message: str) -> str:
    line = f"{entry.place}: {message}"
    return f"{line}\n    {entry.excerpt}" if entry.excerpt else line
