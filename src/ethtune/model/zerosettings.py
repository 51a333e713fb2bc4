"""A DeepSpeed file and a run's config in, what DeepSpeed is told out, or what in the file is wrong.

Of the file its ZeRO is taken. What the run's own config decides may stand there as "auto", or as
the same value: a file that other trainers use fits, and one that says otherwise is not passed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ethtune.core.config import Config

_AUTO = "auto"
_BUCKET = 2**24
_STAGES = (2, 3)
_UNUSED = {  # the config decides it, or it is DeepSpeed's talk
    "optimizer", "scheduler", "bf16", "fp16", "zero_allow_untested_optimizer",
    "zero_force_ds_cpu_optimizer", "activation_checkpointing", "steps_per_print",
    "wall_clock_breakdown", "memory_breakdown", "flops_profiler", "comms_logger", "dump_state",
}  # fmt: skip
_TAKEN = {"zero_optimization", "communication_data_type"}
_TAKEN_OF_ZERO = {
    "stage", "offload_optimizer", "offload_param", "overlap_comm", "contiguous_gradients",
    "reduce_scatter", "reduce_bucket_size", "allgather_partitions", "allgather_bucket_size",
    "round_robin_gradients", "sub_group_size", "stage3_prefetch_bucket_size",
    "stage3_param_persistence_threshold", "stage3_max_live_parameters", "stage3_max_reuse_distance",
    "stage3_gather_16bit_weights_on_model_save", "stage3_gather_fp16_weights_on_model_save",
    "memory_efficient_linear",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Disagreement:
    """``key`` of the file says ``value``; ``wanted`` is what would fit, and why."""

    key: str
    value: Any
    wanted: str


def disagreements(
    file: Mapping[str, Any], config: Config, precision: str
) -> Iterator[Disagreement]:
    """What of the file cannot be done, or is otherwise in the run's config."""
    yield from _decided_otherwise(file, config, precision)
    zero = file.get("zero_optimization")
    if not isinstance(zero, Mapping):
        yield Disagreement("zero_optimization", zero, '{"stage": 2} or {"stage": 3}')
        return
    if zero.get("stage") not in _STAGES:
        yield Disagreement("zero_optimization.stage", zero.get("stage"), "2 or 3")
    for key in ("offload_optimizer", "offload_param"):
        if (device := _at(zero, f"{key}.device")) not in (None, "none", "cpu"):
            yield Disagreement(f"zero_optimization.{key}.device", device, "cpu or none")
    known = _TAKEN | _UNUSED | {key.partition(".")[0] for key in _decided(config)}
    unknown = [(key, file[key]) for key in sorted(file.keys() - known)]
    unknown += [(f"zero_optimization.{k}", zero[k]) for k in sorted(zero.keys() - _TAKEN_OF_ZERO)]
    for key, value in unknown:
        yield Disagreement(key, value, "ethtune does not know it: leave it out")


def _decided_otherwise(
    file: Mapping[str, Any], config: Config, precision: str
) -> Iterator[Disagreement]:
    for key, (name, ours) in _decided(config).items():
        theirs = _at(file, key)
        if theirs not in (None, _AUTO) and theirs != ours:
            yield Disagreement(key, theirs, f'{name} is {ours}; "auto" takes it')
    for key in ("bf16", "fp16"):
        if _at(file, f"{key}.enabled") is True and precision != key:
            yield Disagreement(f"{key}.enabled", True, f'the run computes in {precision}; "auto"')


def zero_settings(config: Config) -> dict[str, Any] | None:
    """What DeepSpeed is told of a run, None where it has no part in it."""
    file = config.training.deepspeed
    return settled(file, config) if file else None


def settled(file: Mapping[str, Any], config: Config) -> dict[str, Any]:
    """For ``deepspeed.initialize``; ``file`` has no disagreements."""
    training = config.training
    zero = {key: value for key, value in file["zero_optimization"].items() if value != _AUTO}
    # room for gradients, in float32 and twice: an adapter has few
    zero["reduce_bucket_size"] = min(zero.get("reduce_bucket_size", _BUCKET), _BUCKET)
    if zero["stage"] == 3:
        # those that stay whole are fetched into one buffer of one type, and here there are two
        zero["stage3_param_persistence_threshold"] = 0
    kept = {key: file[key] for key in _TAKEN & file.keys()}
    return kept | {
        "zero_optimization": zero,
        "train_micro_batch_size_per_gpu": training.per_device_train_batch_size,
        "gradient_accumulation_steps": training.gradient_accumulation_steps,
        "train_batch_size": config.effective_batch_size,
        "gradient_clipping": training.max_grad_norm,
        # autocast over float32 adapters, as everywhere: these would cast the adapters as well
        "bf16": {"enabled": False},
        "fp16": {"enabled": False},
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,  # its own Adam is compiled first and rounds otherwise
    }


def _decided(config: Config) -> dict[str, tuple[str, Any]]:
    """Keys of a file that the config decides: by what name, and how."""
    training = config.training
    rows = ("training.per_device_train_batch_size", training.per_device_train_batch_size)
    rate = ("training.learning_rate", training.learning_rate)
    return {
        "train_micro_batch_size_per_gpu": rows,
        "gradient_accumulation_steps": (
            "training.gradient_accumulation_steps",
            training.gradient_accumulation_steps,
        ),
        "train_batch_size": ("the effective batch size", config.effective_batch_size),
        "gradient_clipping": ("training.max_grad_norm", training.max_grad_norm),
        "optimizer.params.lr": rate,
        "optimizer.params.weight_decay": ("training.weight_decay", training.weight_decay),
        "optimizer.params.betas": ("Adam's betas", [0.9, 0.999]),
        "optimizer.params.eps": ("Adam's epsilon", 1e-8),
        "scheduler.params.warmup_max_lr": rate,
        "scheduler.params.warmup_min_lr": ("the rate before warm-up", 0),
        "scheduler.params.warmup_num_steps": ("training.warmup_steps", training.warmup_steps),
        "scheduler.params.total_num_steps": ("training.max_steps", training.max_steps),
    }


def _at(tree: Mapping[str, Any], path: str) -> Any:
    found: Any = tree
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found
