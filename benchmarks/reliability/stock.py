"""The plain way, to compare with: ``python stock.py MODEL DATA OUTPUT``.

transformers' Trainer with peft's LoRA and ``resume_from_checkpoint`` as its documentation has it:
the newest checkpoint of the folder, if there is one.
"""

from __future__ import annotations

import json
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from transformers.trainer_utils import get_last_checkpoint

ROWS, TOKENS, STEPS = 8, 512, 4


class Told(TrainerCallback):
    """Where training really begins."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Say it as the judge looks for it."""
        print(f"Resuming at step {state.global_step}", file=sys.stderr)


def rows(model: str, data: Path) -> list[dict[str, list[int]]]:
    """Prompts and answers as plain token sequences."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    with (data / "train.jsonl").open(encoding="utf-8") as lines:
        texts = [json.loads(line) for line in islice(lines, ROWS)]
    encoded = [tokenizer(row["input"] + row["output"])["input_ids"][:TOKENS] for row in texts]
    return [{"input_ids": ids, "labels": ids} for ids in encoded]


def main(model: str, data: Path, output: Path) -> None:
    """Four steps, a checkpoint each."""
    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    lora = LoraConfig(task_type="CAUSAL_LM", r=16, target_modules=["q_proj", "v_proj"])
    arguments = TrainingArguments(
        output_dir=str(output),
        max_steps=STEPS,
        save_steps=1,
        save_total_limit=3,
        per_device_train_batch_size=1,
        learning_rate=1e-2,
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
        seed=0,
    )
    trainer = Trainer(
        model=get_peft_model(base, lora),
        args=arguments,
        train_dataset=rows(model, data),
        callbacks=[Told()],
    )
    last = get_last_checkpoint(str(output)) if output.is_dir() else None
    trainer.train(resume_from_checkpoint=last)
    trainer.save_model(str(output / "result"))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
