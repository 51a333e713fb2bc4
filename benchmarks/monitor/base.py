"""What record.py trains on: two small base models and a dataset, made from seeds and nothing else.

    python benchmarks/monitor/base.py FOLDER

``FOLDER/data`` is what ``prepare`` makes of 600 made-up transactions. ``FOLDER/read`` is a Llama of
two layers, tokens bytes, that was trained on Python's own help texts: it can spell, and knows
nothing of transactions. ``FOLDER/knows`` has seen the whole dataset as well.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from ethtune.dataset.reading import read_split
from ethtune.dataset.tokens import TooLong, tokenize
from ethtune.model.tokenizer import PromptTokenizer
from ethtune.services.preparation import prepare
from ethtune.services.prepareoptions import PrepareOptions
from ethtune.services.sampling import make_sample_data

TRANSACTIONS, SEED = 600, 0
LENGTH, ROWS, RATE = 768, 4, 3e-3
STEPS = {"read": 400, "knows": 250}
CHAT = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def make_base(folder: Path) -> None:
    """Both models and the dataset."""
    make_sample_data(folder / "raw", transactions=TRANSACTIONS, seed=SEED)
    prepare([folder / "raw"], folder / "data", options=PrepareOptions())
    torch.manual_seed(SEED)
    tokenizer = byte_tokenizer()
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=4096,
            bos_token_id=1, eos_token_id=2, pad_token_id=2, tie_word_embeddings=True,
        )
    )  # fmt: skip
    sources = {"read": texts(tokenizer), "knows": rows(folder / "data", tokenizer)}
    for name, source in sources.items():
        loss = teach(model, source, STEPS[name])
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
        print(f"{name}: loss {loss:.3f} after {STEPS[name]} steps")


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """256 bytes and three signs."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *alphabet]
    inner = Tokenizer(models.BPE(vocab={word: id for id, word in enumerate(words)}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="<|endoftext|>", bos_token="<|im_start|>",
        eos_token="<|im_end|>", pad_token="<|im_end|>", chat_template=CHAT,
    )  # fmt: skip


def texts(tokenizer: Any) -> Iterator[list[list[int]]]:
    """Batches of pieces of Python's help texts."""
    chance = random.Random(SEED)
    read = "\n\n".join(topics[name] for name in sorted(topics))
    while True:
        places = [chance.randrange(len(read) - 2 * LENGTH) for _ in range(ROWS)]
        pieces = [read[place : place + 2 * LENGTH] for place in places]
        yield [tokenizer(piece)["input_ids"][:LENGTH] for piece in pieces]


def rows(dataset: Path, tokenizer: Any) -> Iterator[list[list[int]]]:
    """Batches of all rows of the dataset, validation included."""
    chance, prompts = random.Random(SEED), PromptTokenizer(tokenizer)
    examples = [row for split in ("train", "validation") for row in read_split(dataset, split)]
    known = [
        list(row.input_ids)
        for row in tokenize(examples, prompts, LENGTH)
        if not isinstance(row, TooLong)
    ]
    while True:
        yield chance.sample(known, ROWS)


def teach(model: LlamaForCausalLM, batches: Iterator[list[list[int]]], steps: int) -> float:
    """Every token from those before it; the last loss."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    model.train()
    loss = torch.tensor(0.0)
    for _, batch in zip(range(steps), batches, strict=False):
        longest = max(map(len, batch))
        ids = torch.tensor([row + [2] * (longest - len(row)) for row in batch])
        there = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in batch])
        labels = ids.masked_fill(there == 0, -100)
        loss = model(input_ids=ids, attention_mask=there, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    make_base(parser.parse_args().folder)
