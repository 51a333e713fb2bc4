"""The doctor's three looks at foreign code, each in a child process of its own, side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from ethtune.core.cachefolder import converted_model
from ethtune.core.config import Config
from ethtune.device.child import run_probe
from ethtune.device.hubcache import cached_snapshot, is_complete_model, offline_flags
from ethtune.device.shapes import find_model

ProbeName = Literal["stack", "hub", "rows"]
Stage = Mapping[str, Any]

# Cold imports from a slow disk take a minute; two quick requests do not take ten seconds.
TIME_LIMITS_SECONDS: Mapping[ProbeName, float] = {"stack": 90.0, "hub": 10.0, "rows": 60.0}
_SAMPLE_ROWS = 200


@dataclass(frozen=True, slots=True)
class Probed:
    """What a probe said, by stage; ``problem`` is how it ended, None when well."""

    stages: Mapping[str, Stage] = field(default_factory=dict)
    problem: str | None = None

    @property
    def broken_stage(self) -> str | None:
        """The stage that was running when the probe died."""
        begun = [name for name, stage in self.stages.items() if stage.get("state") == "begun"]
        return begun[-1] if begun and self.problem else None


def model_folder(config: Config) -> Path | None:
    """The base model on this disk: named, downloaded or converted; None where it is not here."""
    name = config.model.base_model
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    snapshot = cached_snapshot(hub_id_of(name), config.model.cache_dir, config.model.revision)
    if snapshot is not None:
        return snapshot
    converted = converted_model(name)
    return converted if is_complete_model(converted) else None


def hub_id_of(name: str) -> str:
    """The hub's name of an alias; any other name is one."""
    model = find_model(name)
    return model.hub_id if model else name


def run_probes(
    config: Config, limits: Mapping[ProbeName, float] = TIME_LIMITS_SECONDS
) -> dict[ProbeName, Probed]:
    """All that apply: no hub when the user forbids the network, no rows without the model."""
    calls: dict[ProbeName, Sequence[str]] = {"stack": ()}
    folder = model_folder(config)
    name = config.model.base_model
    if not offline_flags() and not Path(name).expanduser().is_dir():
        calls["hub"] = _hub_request(config)
    if folder is not None:
        calls["rows"] = (json.dumps(_row_request(config, folder)),)
    with ThreadPoolExecutor(len(calls)) as pool:
        running = {
            probe: pool.submit(_run, probe, arguments, limits[probe])
            for probe, arguments in calls.items()
        }
        return {probe: future.result() for probe, future in running.items()}


def probe_hub(config: Config, timeout_seconds: float) -> Probed:
    """The hub alone, asked for the base model."""
    return _run("hub", _hub_request(config), timeout_seconds)


def _hub_request(config: Config) -> Sequence[str]:
    revision = config.model.revision
    return (hub_id_of(config.model.base_model), *([revision] if revision else []))


def _row_request(config: Config, folder: Path) -> dict[str, Any]:
    return {
        "model": str(folder),
        "dataset": config.data.dataset,
        "max_seq_length": config.data.max_seq_length,
        "num_rows": _SAMPLE_ROWS,
        "trust_remote_code": config.model.trust_remote_code,
    }


def _run(probe: ProbeName, arguments: Sequence[str], seconds: float) -> Probed:
    source = (resources.files("ethtune.assets") / "probes" / f"{probe}.py").read_text("utf-8")
    quiet = {} if probe == "hub" else {"HF_HUB_OFFLINE": "1"}
    result = run_probe(source, timeout_seconds=seconds, arguments=arguments, environment=quiet)
    # the line that ends a stage replaces the one that began it
    stages = {line["stage"]: line for line in result.lines if isinstance(line.get("stage"), str)}
    stages.pop("end", None)
    return Probed(stages, result.problem)
