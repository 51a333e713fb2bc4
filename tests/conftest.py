"""What every test may ask for."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from typer.testing import CliRunner, Result

import ethtune.model  # what it sets in the environment must be there before torch

os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is imported
# a model of two layers gains nothing from a second thread and waits for it on a busy machine
os.environ.setdefault("OMP_NUM_THREADS", "1")

# how fast examples come depends on the machine, and says nothing about what is tested
TOO_SLOW = [HealthCheck.too_slow]
# a change is judged by the same examples each time; "search", of make search, draws new ones
settings.register_profile(
    "same", deadline=None, suppress_health_check=TOO_SLOW, derandomize=True, database=None
)
settings.register_profile("search", deadline=None, suppress_health_check=TOO_SLOW, max_examples=500)
settings.load_profile("same")

ROOT = Path(__file__).resolve().parents[1]

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou answer in as few words as you can.<|im_end|>\n' }}"
    "{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
Ethtune = Callable[..., Result]


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["ETHTUNE_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real mainnet transactions: ETHTUNE_REAL_DATA, else ../shared/data."""
    folder = Path(os.environ.get("ETHTUNE_REAL_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "mainnet_receipts.jsonl.gz").is_file():
        pytest.skip(f"no real transactions at {folder}; set ETHTUNE_REAL_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def ethtune() -> Ethtune:
    """``ethtune("train", "--output", folder)``: the whole command in this process."""
    command = _command()

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(command, [str(argument) for argument in arguments])

    return run


@functools.cache
def _command():
    from ethtune.cli import commands
    from ethtune.cli.app import app

    commands.register(app)
    return app


@pytest.fixture(scope="session")
def dataset(ethtune: Ethtune, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``ethtune prepare`` makes of 150 made-up transactions."""
    folder = tmp_path_factory.mktemp("dataset")
    for command in (
        ("sample-data", "--output", folder / "raw", "--transactions", 150),
        ("prepare", "--input", folder / "raw", "--output", folder / "data"),
    ):
        result = ethtune(*command)
        assert result.exit_code == 0, result.output
    return folder / "data"


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of two layers with random weights, its tokens bytes, its chat turns SmolLM's."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    folder = tmp_path_factory.mktemp("base") / "tiny"
    tokenizer = byte_tokenizer()
    tokenizer.save_pretrained(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(tokenizer),
                hidden_size=64,
                intermediate_size=128,
                num_hidden_layers=2,
                num_attention_heads=4,
                num_key_value_heads=2,
                max_position_embeddings=4096,
                bos_token_id=1,
                eos_token_id=2,
                pad_token_id=2,
                tie_word_embeddings=True,
            )
        )
    model.save_pretrained(folder)
    return folder


def byte_tokenizer(chat_template: str | None = CHAT_TEMPLATE):
    """256 bytes and three special tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *alphabet]
    inner = Tokenizer(models.BPE(vocab={word: id for id, word in enumerate(words)}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        unk_token="<|endoftext|>",
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        chat_template=chat_template,
    )


@pytest.fixture(scope="session")
def make_tokenizer() -> Callable[..., object]:
    """``make_tokenizer(chat_template)``: the byte tokenizer, with SmolLM's turns when not said."""
    return byte_tokenizer
