"""Published measurements as workloads: rows of a CSV in, cases with their kind of figure out.

A row is usable when it says what was measured, and enough of the configuration to compute it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ethtune.core.errors import ConfigError
from ethtune.core.units import MIB
from ethtune.device.decoder import ModelShape, shape_from_config
from ethtune.device.shapes import find_model, shape_of
from ethtune.device.workload import Workload

Row = dict[str, str]

# Models of the measurements that the catalog does not offer to train on, from their config.json.
_CONFIGS: dict[str, dict[str, Any]] = {
    "ibm/PowerLM-3b": {
        "model_type": "granite", "hidden_size": 2304, "num_hidden_layers": 40,
        "intermediate_size": 9216, "vocab_size": 49152, "num_attention_heads": 36,
        "num_key_value_heads": 36, "tie_word_embeddings": True,
    },
}  # fmt: skip
# Pretrained and instruct versions share their dimensions; so do copies on the hub.
_SAME_SHAPE = {
    "NousResearch/Llama-2-70b-hf": "llama-2-70b",
    "TheBloke/Llama-2-70B-GPTQ": "llama-2-70b",
    "TheBloke/Mistral-7B-v0.1-GPTQ": "mistral-7b-v0.1",
    "TheBloke/Mixtral-8x7B-Instruct-v0.1-GPTQ": "mixtral-8x7b-instruct",
    "TechxGenus/Meta-Llama-3-8B-GPTQ": "llama-3-8b",
    "meta-llama/Meta-Llama-3-70B": "llama-3-70b",
}
_MODULES = {name: f"{name}_proj" for name in ("q", "k", "v", "o", "gate", "up", "down")}
_METHODS = ("qlora nf4", "qlora gptq", "lora")
_FMS, _FITCHECK = "fms-hf-tuning", "fitcheck scripts/measure.py"
_UNKNOWN_LENGTH = re.compile(r"[^\d]")


@dataclass(frozen=True, slots=True)
class Case:
    """A usable row. ``measured`` has what it gives: allocated, reserved, process bytes, speed."""

    label: str
    group: str
    row: Row
    shape: ModelShape
    work: Workload
    gpu: str
    measured: dict[str, float]
    informed: frozenset[str]

    @property
    def origin(self) -> str:
        """Who measured."""
        return "fitcheck" if _FITCHECK in self.row["framework"] else "fms"


def shape_of_row(row: Row) -> ModelShape:
    """Dimensions of the row's model. Raises ConfigError."""
    name = row["model"]
    if name in _CONFIGS:
        return shape_from_config(_CONFIGS[name], place=name)
    bare = re.sub("-(Instruct|Chat|it)$", "", _SAME_SHAPE.get(name, name))
    spelled = [name, bare, bare + "-Instruct", bare + "-it"]
    return shape_of(next((item for item in spelled if find_model(item)), bare))


def why_not(row: Row) -> str | None:
    """Reason why a row cannot judge the model, or None."""
    return _no_figure(row) or _no_configuration(row)


def _no_figure(row: Row) -> str | None:
    kind, framework = row["vram_kind"], row["framework"]
    if not kind:
        return "no memory figure"
    if kind.startswith("unspecified"):
        return f"what was measured is not stated ({framework.split(',')[0].split(' (')[0]})"
    if kind.startswith("capacity"):
        return "the longest context that fits, its margin not stated"
    if kind.startswith("reserved"):
        return "token counts of the batches are not stated, only a limit"
    return None


def _no_configuration(row: Row) -> str | None:
    framework = row["framework"]
    if "santacoder" in row["model"]:
        return "4096 tokens stated for a model of 2048 positions"
    if not (framework.startswith(_FMS) or _FITCHECK in framework):
        return f"what the framework does is not described: {framework[:30]}"
    if not row["method"].startswith(_METHODS) or not row["lora_r"]:
        return f"not an adapter on a frozen model: {row['method']}"
    if _UNKNOWN_LENGTH.search(row["seq_len"]) or not row["seq_len"]:
        return "sequence length not stated"
    try:
        shape_of_row(row)
    except ConfigError:
        return f"dimensions not in the catalog: {row['model']}"
    return None


def case_of(row: Row) -> Case:
    """A usable row as a case."""
    on_t4 = _FITCHECK in row["framework"]
    tool = "fitcheck" if on_t4 else row["framework"].split(", ")[-1]
    name = f"{row['model'].split('/')[1]} {row['method']} {row['micro_batch']}x{row['seq_len']}"
    how = row["attention"].split()[0] if on_t4 else tool
    return Case(
        label=f"{name} {how}",
        group=f"{tool}, {row['method']}" + (f", {how}" if on_t4 else ""),
        row=row,
        shape=shape_of_row(row),
        work=_on_t4(row) if on_t4 else _with_fms(row),
        gpu=row["gpu"],
        measured=_measured(row),
        informed=_informed(row),
    )


def _informed(row: Row) -> frozenset[str]:
    """Kinds of figure for which this row set a constant or a rule of the model; else it is blind.

    Tensors: no constant is fitted, but how fused adapters, the old loss, scaled embeddings and
    experts hold memory was checked against runs with fms, all of which count as informed. So was
    on T4 runs how long Python's names keep tensors; what the allocator makes of it has no constant.
    """
    model, framework = row["model"], row["framework"]
    if _FITCHECK in framework:
        # the context, from the first sweep; launches and 32-bit arithmetic
        process = {"process"} if "2026-09-01" in row["source"] else set()
        return frozenset(process | ({"speed"} if "SmolLM2" in model else set()))
    has_logits = "liger" not in framework
    process = {"process"} if has_logits or row["micro_batch"] == "32" else set()
    speed = {"speed"} if row["source"].endswith("a100_80gb.csv") and "Mistral" in model else set()
    return frozenset({"allocated"} | process | speed)


def _measured(row: Row) -> dict[str, float]:
    found: dict[str, float] = {}
    figure = float(row["peak_vram_gb"]) * 1e9
    found["process" if row["vram_kind"] == "nvidia-smi" else "allocated"] = figure
    for kind in ("reserved", "process"):
        if said := re.search(rf"{kind} (\d+) MiB", row["notes"]):
            found[kind] = int(said[1]) * MIB
    if row["tokens_per_s"] and row["vram_kind"] != "nvidia-smi":  # once for each run
        found["speed"] = float(row["tokens_per_s"])
    return found


def _common(row: Row) -> dict[str, Any]:
    shape = shape_of_row(row)
    names = [_MODULES.get(name, name) for name in row["target_modules"].split(",")]
    return {
        "target_modules": tuple(names) if names != ["all-linear"] else tuple(shape.linears),
        "rank": int(row["lora_r"]),
        "micro_batch": int(row["micro_batch"]),
        "seq_length": int(row["seq_len"]),
        "is_quantized": row["method"].startswith("qlora"),
        "storage": "gptq" if "gptq" in row["method"] else "nf4",
        "double_quant": "dq" in row["method"],
        "checkpointing": not row["gradient_checkpointing"].startswith("false"),
        "repeats_keys": True,
        "adapter_bytes": 4,
        "optimizer": "adamw_8bit" if "8bit" in row["optimizer"] else "adamw_32bit",
    }


def _on_t4(row: Row) -> Workload:
    """No autocast, a k-bit preparation for 4 bit, and the model's output held to the end."""
    prepared = row["method"].startswith("qlora")
    return Workload(
        **_common(row),
        attention="eager" if row["attention"] == "eager" else "sdpa",
        loss="plain",
        has_autocast=False,
        has_bfloat16=False,
        upcast="all" if prepared else "none",
        held_logits="step",
    )


def _with_fms(row: Row) -> Workload:
    """Mixed precision, reentrant checkpoints, dropout, an old transformers."""
    framework = row["framework"]
    whole = "fused" if "foak" in framework else "plain"
    oldest = row["source"].endswith("a100_80gb.csv")
    return Workload(
        **_common(row),
        attention="flash",
        loss="liger" if "liger" in framework else whole,  # type: ignore[arg-type]
        is_fused="foak" in framework,
        is_reentrant=True,
        dropout=True,
        shifts_logits=True,
        held_logits="loss" if oldest else "no",
        # that trainer keeps embeddings in 16 bit after the k-bit preparation
        upcast="norms" if "baseline" in framework else "none",
    )
