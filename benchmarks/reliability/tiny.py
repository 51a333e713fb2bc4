"""A folder in, a base model of two layers and a dataset of made-up rows in it out.

What these measurements kill is a real ``ethtune train``, at a size that starts and ends in seconds.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ETHTUNE = (sys.executable, "-c", "from ethtune.cli.app import main; main()")
ROWS = 150
SETTINGS = (
    "training.gradient_accumulation_steps=1",
    "training.learning_rate=1e-2",
    "data.max_seq_length=1536",
    "data.packing=false",
    "logging.logging_steps=1",
    "logging.eval_strategy=no",
    "logging.load_best_model_at_end=false",
)
ENVIRONMENT = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}


def prepare(folder: Path) -> tuple[Path, Path]:
    """The model's and the dataset's folder."""
    model, raw, data = folder / "model", folder / "raw", folder / "data"
    if not data.is_dir():
        ethtune("sample-data", "--output", raw, "--transactions", ROWS)
        ethtune("prepare", "--input", raw, "--output", data)
        save_model(model)
    return model, data


def ethtune(*words: object) -> None:
    """Run a command of ethtune that must succeed."""
    line = [*ETHTUNE, *map(str, words)]
    subprocess.run(line, check=True, env=ENVIRONMENT, stdout=subprocess.DEVNULL)


def train_words(model: Path, data: Path, *settings: str) -> list[str]:
    """``ethtune train`` on them, to which ``--output`` is yet to be added.

    ``settings`` replace those that every run has.
    """
    words = ["train", "--base-model", str(model), "--dataset", str(data)]
    chosen = {each.partition("=")[0]: each for each in (*SETTINGS, *settings)}
    return [*words, *(word for each in chosen.values() for word in ("--set", each))]


def save_model(folder: Path, *, hidden_size: int = 64, num_hidden_layers: int = 2) -> None:
    """Random weights, the same every time; its tokens are bytes."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokens = ["<s>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    inner = Tokenizer(models.BPE(vocab={token: id for id, token in enumerate(tokens)}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<s>", eos_token="</s>", pad_token="</s>"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    shape = {"hidden_size": hidden_size, "intermediate_size": 2 * hidden_size}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    special = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    config = LlamaConfig(
        vocab_size=len(tokens),
        num_hidden_layers=num_hidden_layers,
        tie_word_embeddings=True,
        **shape,
        **heads,
        **special,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
