"""A finished run in, the README.md of its adapter out: what it is, how made, how to load."""

from __future__ import annotations

from typing import Any

from ethtune.core.config import Config
from ethtune.core.runstate import RunState

_CARD = """---
library_name: peft
base_model: {base_model}
tags: [ethereum, qlora, ethtune]
---

# Ethereum transactions to intents

A LoRA adapter for `{base_model}`, trained with ethtune {version}. It answers a transaction, written
as ethtune writes prompts of version {prompts}, with one JSON object of the schema
`ethtune.intent/1`.

| | |
|---|---|
| training rows | {train_rows:,} |
| validation rows | {validation_rows:,} |
| steps | {steps:,} |
| adapter | rank {config.lora.r}, alpha {config.lora.alpha:g}, on {targets} |
| learning rate | {config.training.learning_rate:g}, {config.training.lr_scheduler_type} |
| validation loss | {eval_loss} |
| validation token accuracy | {accuracy} |
| seed | {config.training.seed} |
| SHA-256 of the rows | {hashes} |
| SHA-256 of the adapter | {adapter} |

Made by `{command}`.

```python
from peft import AutoPeftModelForCausalLM
from transformers import AutoTokenizer

model = AutoPeftModelForCausalLM.from_pretrained("this folder")
tokenizer = AutoTokenizer.from_pretrained("this folder")
```

`ethtune evaluate` writes how well it reads unseen transactions into `evaluation/`.
"""


def model_card(
    manifest: dict[str, Any],
    config: Config,
    state: RunState,
    *,
    base_model: str,
    adapter_sha256: str,
) -> str:
    """Markdown with the front matter that model hubs read."""
    last = state.evaluations[-1] if state.evaluations else None
    dataset, targets = manifest["dataset"], config.lora.target_modules
    files = {name: entry["sha256"] for name, entry in manifest["rows"].items()}.items()
    return _CARD.format(
        base_model=base_model,
        version=manifest["versions"]["ethtune"],
        prompts=", ".join(manifest["prompt_versions"]) or "unknown",
        train_rows=dataset["train_rows"],
        validation_rows=dataset["validation_rows"],
        steps=state.step,
        config=config,
        targets=targets if isinstance(targets, str) else ", ".join(targets),
        eval_loss=f"{last.eval_loss:.4f}" if last else "not measured",
        accuracy=f"{last.eval_token_accuracy:.4f}" if last else "not measured",
        hashes="<br>".join(f"{name} {digest}" for name, digest in files),
        adapter=adapter_sha256,
        command=manifest["command"],
    )
