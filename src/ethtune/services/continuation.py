"""What a run was and what it would be now in, the differences and what each would do out.

The policy is data: ``FREE`` changes need no word, ``IMPOSSIBLE`` ones no checkpoint can take, every
other difference is refused unless ``--allow-change`` names its key.
"""

from __future__ import annotations

import difflib
import platform
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ethtune.core.config import Config
from ethtune.core.errors import ConfigError, EthtuneError, RunError, UsageError

_LONGER = "the schedule is laid anew over all steps, from the current one on"
FREE: Mapping[str, str] = {
    "training.max_steps": _LONGER,
    "training.num_train_epochs": _LONGER,
    "training.fsdp": "where the weights lie; the steps are the same",
    "training.output_dir": "the folder's name alone",
    "training.per_device_eval_batch_size": "validation is the same over every label",
    "training.on_divergence": "what happens, should it diverge",
    "model.cache_dir": "where downloads are",
    "data.dataset": "where the rows are; their hashes must be the same",
    "data.dataloader_num_workers": "batches are the same",
    "data.max_over_length_share": "the same rows are left out as before",
    "optimization.check_memory": "what is predicted, not what is computed",
    "logging": "what is written down, and when; which of the validated steps is the best",
}
"""Keys, or whole sections, that ``resume`` takes with ``--set`` alone."""

IMPOSSIBLE: Mapping[str, str] = {
    "lora.r": "the checkpoint's tensors have another shape",
    "lora.target_modules": "the checkpoint has tensors for other layers",
    "lora.bias": "the checkpoint has other tensors",
    "lora.use_dora": "the checkpoint has other tensors",
    "lora.task_type": "it is fixed",
    "lora.loraplus_lr_ratio": "the optimizer's moments are in other groups",
    "optimization.optim": "the optimizer could not read its moments",
}

_OTHER_ROWS = "the place in the data goes by steps: rows of this epoch are left out or come twice"
_OTHER_BASE = "the adapter goes on on other base weights: the loss will jump"
EFFECTS: Mapping[str, str] = {
    "training.learning_rate": "the schedule goes on from this step under the new peak",
    "training.lr_scheduler_type": "the rate follows the new schedule from this step on",
    "training.warmup_ratio": "the rate follows the new schedule from this step on",
    "training.warmup_steps": "the rate follows the new schedule from this step on",
    "training.lr_scheduler_kwargs": "the rate follows the new schedule from this step on",
    "training.neftune_noise_alpha": "applied from this step on",
    "training.weight_decay": "applied from this step on",
    "training.max_grad_norm": "applied from this step on",
    "training.seed": f"rows come in another order; {_OTHER_ROWS}",
    "training.per_device_train_batch_size": f"steps hold other rows; {_OTHER_ROWS}",
    "training.gradient_accumulation_steps": f"steps hold other rows; {_OTHER_ROWS}",
    "training.deepspeed": "sums round otherwise: the run does not go on bit for bit",
    "training.num_processes": f"steps hold other rows; {_OTHER_ROWS}",
    "lora.alpha": "every update is scaled anew: the loss will jump",
    "lora.use_rslora": "every update is scaled anew: the loss will jump",
    "lora.dropout": "applied from this step on",
    "model": _OTHER_BASE,
    "quantization": _OTHER_BASE,
    "optimization": "other arithmetic: the run does not go on bit for bit",
    "data": _OTHER_ROWS,
    "rows": _OTHER_ROWS,
    "base_model": _OTHER_BASE,
    "template": "prompts are written otherwise than the adapter has learned",
    "prompt_versions": "prompts are written otherwise than the adapter has learned",
    "versions": "other arithmetic or another order of rows: not bit for bit the same run",
}

_DEALING = ("training.num_processes", "training.gradient_accumulation_steps")
"""Free together: two processes with half the micro batches each hold the rows of one."""

FACTS = ("rows", "base_model", "template", "prompt_versions")
"""Keys of the manifest that must be the same; ``versions.NAME`` for each of ``EXACT_PACKAGES``."""

EXACT_PACKAGES = (
    "ethtune", "torch", "transformers", "peft", "bitsandbytes", "trl", "accelerate",
    "liger-kernel", "flash-attn",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Difference:
    """One key; ``effect`` is what going on with it would do."""

    key: str
    was: Any
    now: Any

    @property
    def effect(self) -> str:
        """In words."""
        return _of_key(IMPOSSIBLE, self.key) or _of_key(EFFECTS, self.key) or "applied from here on"

    @property
    def is_impossible(self) -> bool:
        """Whether no checkpoint of the run could go on with it."""
        return self.key in IMPOSSIBLE

    def line(self) -> str:
        """For a list of them."""
        return f"  {self.key}: was {self.was}, is {self.now}: {self.effect}"


def config_differences(before: Config, after: Config) -> Iterator[Difference]:
    """Keys that changed and are not free to."""
    old, new = before.model_dump(), after.model_dump()
    is_dealt_anew = before.effective_batch_size == after.effective_batch_size
    for section, keys in old.items():
        for key, value in keys.items():
            name = f"{section}.{key}"
            is_free = _of_key(FREE, name) or (is_dealt_anew and name in _DEALING)
            if new[section][key] != value and not is_free:
                yield Difference(name, value, new[section][key])


def version_differences(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[Difference]:
    """Packages whose version decides what a step computes."""
    for name in EXACT_PACKAGES:
        if name in before and before[name] != now.get(name):
            yield Difference(f"versions.{name}", before[name], now.get(name, "absent"))


def fact_differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Difference]:
    """What the run learns from and on; a fact that an older manifest lacks is not compared."""
    for name in FACTS:
        if name in before and name in now and before[name] != now[name]:
            yield Difference(name, _shown(before[name]), _shown(now[name]))


def require_allowed(
    run: object, found: Collection[Difference], allowed: Collection[str]
) -> tuple[Difference, ...]:
    """Those that were allowed. Raises RunError or ConfigError listing all that were not.

    A key that nothing could be allowed under is a UsageError.
    """
    _require_known(allowed)
    refused = [d for d in found if d.is_impossible or not _is_allowed(d.key, allowed)]
    if not refused:
        return tuple(found)
    possible = [d for d in refused if not d.is_impossible]
    hint = "start a new run"
    if len(possible) == len(refused):
        flags = " ".join(f"--allow-change {d.key}" for d in possible)
        hint = f"ethtune resume {run} {flags}; or undo the change, or start a new run"
    is_config = any("." in d.key and not d.key.startswith("versions.") for d in refused)
    kind: type[EthtuneError] = ConfigError if is_config else RunError
    lines = "\n".join(d.line() for d in refused)
    raise kind(f"{run} would go on as another run than it began:\n{lines}", hint=hint)


def inexactness(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Sentences on what is another machine's: the run may go on, and is no longer bit-exact."""
    for name in ("device", "precision"):
        if before.get(name) != now.get(name):
            yield (
                f"{name} was {before.get(name)}, is {now.get(name)}: the run goes on, but sums "
                "round otherwise: it is no longer bit for bit the run it would have been"
            )
    processes = before.get("config", {}).get("training", {}).get("num_processes", 1)
    if processes != now.get("processes", processes):
        yield (
            f"{processes} {'process' if processes == 1 else 'processes'} trained, now "
            f"{now['processes']}: each step holds the rows that it would have held, but its sums "
            "round otherwise and dropout draws other numbers: it is no longer bit for bit the run "
            "it would have been"
        )
    python = before.get("versions", {}).get("python")
    if python not in (None, platform.python_version()):
        yield f"Python was {python}, is {platform.python_version()}"


def _is_allowed(key: str, allowed: Collection[str]) -> bool:
    return any(key == each or key.startswith(f"{each}.") for each in allowed)


def _require_known(allowed: Collection[str]) -> None:
    from ethtune.core.compose import all_keys

    known = [*all_keys(), *FACTS, *(f"versions.{name}" for name in EXACT_PACKAGES)]
    sections = {name.partition(".")[0] for name in known}
    for key in allowed:
        if key not in known and key not in sections:
            near = difflib.get_close_matches(key, known, n=1)
            meant = f"did you mean {near[0]}?" if near else "see ethtune resume --help"
            raise UsageError(f"--allow-change {key}: no such key", hint=meant)


def _of_key(table: Mapping[str, str], key: str) -> str | None:
    return table.get(key) or table.get(key.partition(".")[0])


def _shown(value: Any) -> str:
    """Facts as a person reads them: hashes by their beginning."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_shown(item)}" for name, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    text = str(value)
    is_hash = len(text) == 64 and all(sign in "0123456789abcdef" for sign in text)
    return text[:12] if is_hash else text
