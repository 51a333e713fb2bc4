"""``ethtune train``: QLoRA on a prepared dataset, shown live, left in a run folder."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ethtune.cli.options import (
    Assignments,
    ConfigFile,
    JsonFlag,
    Profile,
    command_line,
    overrides,
)
from ethtune.cli.processes import follows, launched_processes, run_in_processes

OnDivergence = Literal["stop", "rollback"]


def train(
    config: ConfigFile = None,
    profile: Profile = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", "-d", help="Folder that ethtune prepare wrote.")
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="The run's folder; default runs/<time>.")
    ] = None,
    base_model: Annotated[
        str | None,
        typer.Option("--base-model", "--model", help="Hub id, folder, .gguf, or smollm2-135m."),
    ] = None,
    num_epochs: Annotated[
        float | None, typer.Option("--num-epochs", help="Passes over the training rows.")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", help="Peak of the schedule.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", help="Packed sequences in a micro batch.")
    ] = None,
    gradient_accumulation: Annotated[
        int | None,
        typer.Option(
            "--gradient-accumulation-steps", "--gradient-accumulation", help="Micro batches a step."
        ),
    ] = None,
    gpus: Annotated[
        int | None,
        typer.Option("--gpus", min=1, help="Cards that train together, a process each; default 1."),
    ] = None,
    fsdp: Annotated[
        bool | None,
        typer.Option("--fsdp", help="The base model in parts over the cards, not whole on each."),
    ] = None,
    deepspeed: Annotated[
        str | None, typer.Option("--deepspeed", help="A DeepSpeed file: ZeRO-2 or ZeRO-3.")
    ] = None,
    on_divergence: Annotated[
        OnDivergence | None,
        typer.Option(
            "--on-divergence", help="rollback: once, to before it, past its rows, at half the rate."
        ),
    ] = None,
    resume_from_checkpoint: Annotated[
        Path | None,
        typer.Option(
            "--resume-from-checkpoint", help="Continue that checkpoint's, or folder's, run instead."
        ),
    ] = None,
    assignments: Assignments = None,
    as_json: JsonFlag = False,
) -> None:
    """Train an adapter: defaults < --profile < --config < flags and --set."""
    if follows():
        return
    chosen = overrides(
        assignments,
        {
            "--dataset": ("data.dataset", dataset),
            "--output": ("training.output_dir", output),
            "--base-model": ("model.base_model", base_model),
            "--num-epochs": ("training.num_train_epochs", num_epochs),
            "--learning-rate": ("training.learning_rate", learning_rate),
            "--batch-size": ("training.per_device_train_batch_size", batch_size),
            "--gradient-accumulation-steps": (
                "training.gradient_accumulation_steps",
                gradient_accumulation,
            ),
            "--gpus": ("training.num_processes", gpus),
            "--fsdp": ("training.fsdp", fsdp),
            "--deepspeed": ("training.deepspeed", deepspeed),
            "--on-divergence": ("training.on_divergence", on_divergence),
        },
    )
    chosen |= launched_processes()
    from ethtune.core.compose import compose

    composed = compose(config_file=config, profile=profile, overrides=chosen)
    if resume_from_checkpoint is not None:
        _resume(resume_from_checkpoint, composed, as_json=as_json)
        return
    run_in_processes(composed.config.training.num_processes)
    if composed.config.training.output_dir is None:
        chosen["training.output_dir"] = (f"runs/{datetime.now():%Y%m%d-%H%M%S}", "the time")
        composed = compose(config_file=config, profile=profile, overrides=chosen)
    from ethtune.services import training
    from ethtune.ui.live import live_view
    from ethtune.ui.training import show_training

    run = Path(str(composed.config.training.output_dir))
    with live_view(run) as events:
        report = training.train(composed, command=command_line(), events=events)
    show_training(report, as_json=as_json)


def _resume(checkpoint: Path, composed: Any, *, as_json: bool) -> None:
    """The guide's way to continue: every setting that was given must be the run's own."""
    from ethtune.cli.resume import continue_run

    given = {
        key: (_value(composed.config, key), origin)
        for key, origin in composed.origins.items()
        if origin != "default" and key not in ("training.output_dir", "data.dataset")
    }
    if (checkpoint / "manifest.json").is_file():  # the run's folder: its newest
        continue_run(checkpoint, given, checkpoint=None, as_json=as_json)
    else:
        continue_run(checkpoint.parent, given, checkpoint=checkpoint, as_json=as_json)


def _value(config: Any, dotted: str) -> Any:
    section, _, key = dotted.partition(".")
    return getattr(getattr(config, section), key)
