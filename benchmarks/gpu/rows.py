"""A shape in, a folder that a training reads out: config.json, a tokenizer, rows of made-up text.

Tokens are bytes, so a row is as long as wanted. There are no weights.
"""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SHORTEST, LONGEST = 120, 480  # tokens of a row, as prepared transactions have them
LABELLED = 0.25
_OVERHEAD = 56  # tokens of the plain prompt's own words
_TINY = {"hidden_size": 64, "num_layers": 2, "intermediate_size": 128, "vocab_size": 258}
_TINY_HEADS = {"num_heads": 4, "num_kv_heads": 2, "head_dim": 16}


def write_model(folder: Path, model: str, *, is_tiny: bool) -> None:
    """What there is of a base model beside its weights."""
    from ethtune.device.decoder import config_of_shape
    from ethtune.device.shapes import shape_of

    shape = shape_of(model)
    if is_tiny:
        shape = dataclasses.replace(shape, **_TINY, **_TINY_HEADS)
    plain = config_of_shape(shape) | {
        "max_position_embeddings": 32_768, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1,
    }  # fmt: skip
    _save_tokenizer(folder)
    (folder / "config.json").write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")


def write_rows(folder: Path, *, num_tokens: int, longest: int) -> None:
    """Rows of at least ``num_tokens`` in sum, none longer than ``longest``."""
    chance = random.Random(1)
    lines = list(_rows(chance, num_tokens, min(LONGEST, longest - 8)))
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in (("train", lines), ("validation", lines[:4])):
        text = "".join(json.dumps(row) + "\n" for row in part)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")


def _rows(chance: random.Random, num_tokens: int, longest: int) -> Iterator[dict[str, Any]]:
    made = 0
    while made < num_tokens:
        length = chance.randint(min(SHORTEST, longest // 2), longest)
        answer = max(int(length * LABELLED), 1)
        question = max(length - answer - _OVERHEAD, 1)
        yield {
            "id": f"row-{made}",
            "instruction": "Read this.",
            "input": "".join(chance.choices("0123456789abcdef", k=question)),
            "output": "".join(chance.choices("0123456789abcdef", k=answer)),
        }
        made += length


def _save_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["<s>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    inner = Tokenizer(models.BPE(vocab={word: id for id, word in enumerate(words)}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.decoder = decoders.ByteLevel()
    special = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "</s>"}
    PreTrainedTokenizerFast(tokenizer_object=inner, **special).save_pretrained(folder)
