"""What the config asks of this model and these rows: layers, tokenizer, labels."""

from __future__ import annotations

from pathlib import Path

from ethtune.core.config import Config
from ethtune.core.errors import ConfigError
from ethtune.device.checks.verdict import NOT_PROBED, Check, Verdict, fail, ok, skipped, warn
from ethtune.device.facts import Facts
from ethtune.device.probes import Stage
from ethtune.device.shapes import shape_of
from ethtune.device.workload import target_modules

_MUCH_LEFT_OUT = 0.2


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


def judge_tokenizer(facts: Facts, _config: Config) -> Verdict:
    """Whether it loads, renders a turn, and has a token to stop at."""
    stage = _stage(facts, "tokenizer")
    if isinstance(stage, Verdict):
        return stage
    template = (
        "its chat template" if stage["has_chat_template"] else "no chat template, a plain one"
    )
    return ok(f"{template}; answers end with {stage['end_token']}")


def judge_labels(facts: Facts, config: Config) -> Verdict:
    """Whether anything of the rows would reach the loss."""
    if config.data.dataset is None:
        return skipped("no dataset was given")
    if not Path(config.data.dataset).exists():
        return fail(f"{config.data.dataset}: no such folder", "ethtune prepare makes one")
    stage = _stage(facts, "rows")
    if isinstance(stage, Verdict):
        return stage
    rows, over = stage["num_rows"], stage["num_too_long"]
    limit = config.data.max_seq_length
    if rows == over:
        why = (
            f"none of the first {rows} rows fits in {limit} tokens" if rows else "there are no rows"
        )
        longest = f"data.max_seq_length={stage['longest']}"
        return fail(why, f"--set {longest}" if rows else "ethtune prepare makes them")
    seen = f"first {rows} rows: {stage['num_labels']:,} labels, longest {stage['longest']} tokens"
    if over > _MUCH_LEFT_OUT * rows:
        return warn(
            f"{seen}; {over} do not fit in {limit} and would be left out",
            f"--set data.max_seq_length={stage['longest']}",
        )
    return ok(seen if not over else f"{seen}; {over} are left out")


def _stage(facts: Facts, name: str) -> Stage | Verdict:
    if facts.stack is None:
        return skipped(NOT_PROBED)
    if facts.rows is None:
        return skipped("the base model is not on this disk yet")
    stage = facts.rows.stages.get(name)
    if stage is None:
        return skipped("not reached: the tokenizer did not load")
    if stage["state"] == "done":
        return stage
    why = stage["error"] if stage["state"] == "failed" else facts.rows.problem
    fix = "download the model again" if name == "tokenizer" else "ethtune validate-data names all"
    return fail(f"{name}: {why}", fix)


CHECKS = (
    Check("data.labels", "data", 14, "do the rows teach anything?", judge_labels),
    Check("tokenizer", "data", 28, "does the tokenizer load?", judge_tokenizer),
    Check("model.layers", "data", 32, "has the model the adapter's layers?", judge_layers),
)
