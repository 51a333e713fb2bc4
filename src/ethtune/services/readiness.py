"""What the doctor would find about a run's base model and disk, found before torch is imported.

The judges are the doctor's own; here only what they look at is gathered, and a "fail" ends the run.
The hub is asked where the model has to come from there, and a model that lies here is not asked
for. What could not be told in time ends nothing: the download says more.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from ethtune.core.config import Config
from ethtune.core.errors import ConfigError, MachineError
from ethtune.core.events import Emit, Message
from ethtune.device.checks.disk import judge_disk
from ethtune.device.checks.hub import judge_access, judge_model, judge_network
from ethtune.device.checks.verdict import Verdict
from ethtune.device.facts import Facts
from ethtune.device.host import host_facts
from ethtune.device.hubcache import hub_cache, offline_flags
from ethtune.device.places import place_facts
from ethtune.device.probes import hub_id_of, model_folder, probe_hub

_HUB_SECONDS = 20.0  # cold imports from a slow disk, then three answers of a few seconds each
_WRONG_NAMES = ("not found", "no such revision")


def require_ready(config: Config, events: Emit, *, is_hub_model: bool, is_new: bool) -> None:
    """The base model can be had, and its download and the run's checkpoints have room.

    A run that is resumed has its checkpoints already. Raises ConfigError for a model or revision
    that is none, MachineError otherwise.
    """
    is_missing = is_hub_model and model_folder(config) is None
    facts = Facts(
        python=sys.version_info[:3],
        host=host_facts(),
        cache=place_facts(hub_cache(config.model.cache_dir)),
        output=place_facts(Path(config.training.output_dir or "runs")),
    )
    if is_missing:
        facts = _asked(facts, config, events)
        _require_model(facts, config)
    if is_new:
        _require(judge_disk(facts, config), MachineError)


def _asked(facts: Facts, config: Config, events: Emit) -> Facts:
    """With what the hub says of the model; without it where nothing may be asked."""
    if offline_flags():
        return facts
    events(Message("info", f"asking the hub for {hub_id_of(config.model.base_model)}"))
    found = probe_hub(config, _HUB_SECONDS)
    if found.problem is not None:
        events(Message("warning", f"the hub could not be asked: {found.problem}"))
        return facts
    return dataclasses.replace(facts, hub=found)


def _require_model(facts: Facts, config: Config) -> None:
    _require(judge_model(facts, config), MachineError)
    if facts.hub is None:
        return
    _require(judge_network(facts, config), MachineError)
    access = facts.hub.stages.get("access", {}).get("access")
    kind = ConfigError if access in _WRONG_NAMES else MachineError
    _require(judge_access(facts, config), kind)


def _require(verdict: Verdict, kind: type[ConfigError | MachineError]) -> None:
    if verdict.status != "fail":
        return
    steps = [step for step in (verdict.fix, *verdict.commands) if step]
    raise kind(verdict.evidence, hint=": ".join(steps) or None)
