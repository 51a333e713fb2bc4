"""One training in this process: ``python contenders.py NAME TASK-FOLDER SEED OUTPUT.json``.

    ethtune       ``ethtune train`` with the profile cpu
    trl-sft       ``trl sft`` with NF4 and LoRA, all else as TRL has it
    guide         the fine-tuning guide's script: rows padded to the limit, prompts learned too,
                  k-bit preparation; only what today's libraries no longer take is changed
    trl-packing   ``trl sft --packing``, with bfloat16 weights and no checkpointing, as ethtune has

and each of ``variants.VARIANTS``, which is ethtune with one choice undone. The adapter, learning
rate, schedule, optimizer, clipping, rows of a step and limit of a row are the same for all: those
of the profile cpu. TRL is handed finished rows, so that it learns the same tokens.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from task import IGNORED, Task

CONTENDERS = ("ethtune", "trl-sft", "guide", "trl-packing")


def settings(task: Task) -> dict[str, Any]:
    """What all have in common, from the profile cpu."""
    from ethtune.core.compose import compose

    config = compose(profile="cpu").config
    return {
        "r": config.lora.r,
        "alpha": config.lora.alpha,
        "dropout": config.lora.dropout,
        "target_modules": config.lora.target_modules,
        "learning_rate": config.training.learning_rate,
        "lr_scheduler_type": config.training.lr_scheduler_type,
        "warmup_steps": config.training.warmup_ratio,  # a share, below 1
        "max_grad_norm": config.training.max_grad_norm,
        "optim": config.optimization.optim,
        "max_seq_length": task.max_seq_length,
    }


def ethtune_train(task: Task, seed: int, output: Path, max_steps: int, *more: str) -> None:
    """The command as a user types it; ``more`` are further settings."""
    chosen = (
        f"training.seed={seed}",
        "training.num_train_epochs=1",
        f"training.max_steps={max_steps}",
        f"training.gradient_accumulation_steps={task.packs_per_step}",
        f"data.max_seq_length={task.max_seq_length}",
        "logging.save_strategy=no",
        "logging.eval_strategy=no",
        "logging.load_best_model_at_end=false",
        *more,
    )
    by_key = {item.partition("=")[0]: item for item in chosen}
    words = ["train", "--profile", "cpu", "--base-model", task.model, "--dataset", task.folder]
    words += ["--output", str(output.with_suffix(".run"))]
    sys.argv = ["ethtune", *words, *(word for each in by_key.values() for word in ("--set", each))]
    from ethtune.cli.app import main

    try:
        main()
    except SystemExit as ended:
        if ended.code:
            raise


def trl_sft(task: Task, seed: int, output: Path, max_steps: int, *more: str) -> None:
    """The script behind ``trl sft``, in this process."""
    from trl.scripts.sft import main, make_parser

    same = settings(task)
    words: list[Any] = [
        *("--model_name_or_path", task.model, "--dataset_name", task.path / "tokens"),
        *("--output_dir", output.with_suffix(".run"), "--load_in_4bit", "--use_peft"),
        *("--lora_r", same["r"], "--lora_alpha", int(same["alpha"])),
        *("--lora_dropout", same["dropout"], "--lora_target_modules", same["target_modules"]),
        *("--learning_rate", same["learning_rate"], "--optim", same["optim"]),
        *("--lr_scheduler_type", same["lr_scheduler_type"]),
        *("--warmup_steps", same["warmup_steps"], "--max_grad_norm", same["max_grad_norm"]),
        *("--max_length", same["max_seq_length"], "--num_train_epochs", 1),
        *("--max_steps", max_steps, "--seed", seed, "--logging_steps", 1),
        *("--save_strategy", "no", "--disable_tqdm", "true", "--use_cpu", "true"),
    ]
    batch = () if more else ("--per_device_train_batch_size", str(task.rows_per_step))
    main(*make_parser().parse_args_and_config([*map(str, words), *more, *batch]))


def trl_packing(task: Task, seed: int, output: Path, max_steps: int) -> None:
    """Valid without FlashAttention: positions restart at each row and no mask is given."""
    more = ("--packing", "--dtype", "bfloat16", "--gradient_checkpointing", "false")
    batch = ("--per_device_train_batch_size", "1")
    packs = ("--gradient_accumulation_steps", str(task.packs_per_step))
    trl_sft(task, seed, output, max_steps, *more, *batch, *packs)


def guide(task: Task, seed: int, output: Path, max_steps: int) -> None:
    """Its steps in its order."""
    import torch
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
    from transformers import (
        AutoModelForCausalLM,
        AutoTokenizer,
        BitsAndBytesConfig,
        Trainer,
        TrainingArguments,
    )

    same = settings(task)
    torch.manual_seed(seed)
    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=torch.bfloat16,
        bnb_4bit_use_double_quant=True,
    )
    model = AutoModelForCausalLM.from_pretrained(task.model, quantization_config=quantization)
    tokenizer = AutoTokenizer.from_pretrained(task.model, padding_side="left")
    model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=True)
    lora = LoraConfig(
        r=same["r"],
        lora_alpha=same["alpha"],
        lora_dropout=same["dropout"],
        target_modules=same["target_modules"],
        task_type="CAUSAL_LM",
    )
    model = get_peft_model(model, lora)
    model.gradient_checkpointing_enable()
    arguments = TrainingArguments(
        output_dir=str(output.with_suffix(".run")),
        num_train_epochs=1,
        max_steps=max_steps,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=task.rows_per_step,
        gradient_checkpointing=True,
        bf16=True,
        use_cpu=True,
        logging_steps=1,
        save_strategy="no",
        seed=seed,
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        **{key: same[key] for key in _OF_TRAINING},
    )
    end = tokenizer.pad_token_id
    rows = [_padded(ids, same["max_seq_length"], end) for ids in _token_rows(task)]
    Trainer(model=model, args=arguments, train_dataset=rows, processing_class=tokenizer).train()


_OF_TRAINING = ("learning_rate", "lr_scheduler_type", "warmup_steps", "max_grad_norm", "optim")


def _held_out(folder: Path) -> Path:
    return folder / "tokens" / "validation.jsonl"


def _token_rows(task: Task) -> list[list[int]]:
    lines = (task.path / "tokens" / "train.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line)["input_ids"] for line in lines]


def _padded(ids: Sequence[int], length: int, end: int) -> dict[str, list[int]]:
    """padding="max_length" on the left; every id that is the padding's is left out of the loss."""
    missing = length - len(ids)
    padded = [end] * missing + list(ids)
    return {
        "input_ids": padded,
        "attention_mask": [0] * missing + [1] * len(ids),
        "labels": [IGNORED if token == end else token for token in padded],
    }


def main(name: str, folder: Path, seed: int, output: Path, *, max_steps: int) -> None:
    """Train, recorded."""
    task = Task.read(folder)
    made: dict[str, Callable[..., None]] = {
        "trl-sft": trl_sft,
        "guide": guide,
        "trl-packing": trl_packing,
    }
    if name not in made:  # ours quietens the libraries before they are imported
        import ethtune.model  # noqa: F401
    from recorder import watch

    # the guide's learns prompts too: on answers alone there is nothing to compare it by
    is_comparable = max_steps < 0 and name != "guide"
    watch(name, seed, output, held_out=_held_out(folder) if is_comparable else None)
    if name in made:
        made[name](task, seed, output, max_steps)
        return
    from variants import applied

    ethtune_train(task, seed, output, max_steps, *applied(name, output, batch=task.rows_per_step))


if __name__ == "__main__":
    _, name, folder, seed, output, steps = sys.argv
    main(name, Path(folder), int(seed), Path(output), max_steps=int(steps))
