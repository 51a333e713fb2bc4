"""Prompts in, greedy completions out, for a base model with or without an adapter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ethtune.core.config import Config
from ethtune.core.errors import MachineError, RunError
from ethtune.core.events import Emit, PhaseStarted
from ethtune.model.basemodels import resolve
from ethtune.model.device import Device, OutOfMemory, attempted, choose_device
from ethtune.model.load import load_base
from ethtune.model.tokenizer import PromptTokenizer, load_tokenizer


@dataclass(frozen=True, slots=True)
class Generation:
    """``finished``: the end token came before the limit of new tokens."""

    text: str
    num_tokens: int
    finished: bool


class Generator:
    """A model ready to answer, greedily: the same prompts in the same batches, the same answers."""

    def __init__(self, model: Any, tokenizer: PromptTokenizer, device: Device) -> None:
        self._model = model
        self.tokenizer = tokenizer
        self.device = device

    def generate(
        self, prompts: Sequence[str], *, max_new_tokens: int, batch_size: int
    ) -> Iterator[tuple[int, Generation]]:
        """Yield (index into ``prompts``, completion), in order of length so that padding is small.

        Raises MachineError when the batch does not fit in memory.
        """
        encoded = [self.tokenizer.encode_prompt(prompt) for prompt in prompts]
        order = sorted(range(len(prompts)), key=lambda index: (-len(encoded[index]), index))
        for start in range(0, len(order), batch_size):
            indices = order[start : start + batch_size]
            batch = [encoded[index] for index in indices]
            completions = attempted(partial(self._complete, batch, max_new_tokens))
            if isinstance(completions, OutOfMemory):
                raise MachineError(
                    f"{self.device.name} ran out of memory on {len(indices)} prompts at once: "
                    f"{completions.reason}",
                    hint="a smaller --batch-size",
                )
            yield from zip(indices, completions, strict=True)

    def _complete(self, prompts: list[list[int]], max_new_tokens: int) -> list[Generation]:
        """One batch, padded on the left so that all completions begin at the same place."""
        width = max(len(ids) for ids in prompts)
        pad = self.tokenizer.end_id
        input_ids = torch.tensor([[pad] * (width - len(ids)) + ids for ids in prompts])  # (B, T)
        mask = torch.tensor([[0] * (width - len(ids)) + [1] * len(ids) for ids in prompts])
        with torch.inference_mode():
            output = self._model.generate(
                input_ids=input_ids.to(self._model.device),
                attention_mask=mask.to(self._model.device),
                max_new_tokens=max_new_tokens,
                do_sample=False,
                temperature=None,
                top_p=None,
                top_k=None,
                eos_token_id=self.tokenizer.end_id,
                pad_token_id=pad,
                use_cache=True,
            )
        return [self._read(row.tolist()) for row in output[:, width:]]

    def _read(self, ids: list[int]) -> Generation:
        finished = self.tokenizer.end_id in ids
        if finished:
            ids = ids[: ids.index(self.tokenizer.end_id)]
        return Generation(self.tokenizer.decode(ids), len(ids), finished)

    def close(self) -> None:
        """Give the memory back before another model is loaded."""
        self._model = None
        if self.device.kind == "cuda":
            torch.cuda.empty_cache()


def open_generator(*, config: Config, adapter: Path | None, emit: Emit) -> Generator:
    """Load the base model of ``config``, quantised as in training, and the adapter folder on it.

    Raises RunError when the adapter does not fit the base model.
    """
    section = config.model
    emit(PhaseStarted("loading"))
    device = choose_device(config)
    base = resolve(
        section.base_model, revision=section.revision, cache_dir=section.cache_dir, emit=emit
    )
    tokenizer = load_tokenizer(
        base, cache_dir=section.cache_dir, trust_remote_code=section.trust_remote_code
    )
    model: Any = load_base(base, config, device)
    if adapter is not None:
        from peft import PeftModel

        try:
            model = PeftModel.from_pretrained(model, str(adapter))
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise RunError(
                f"the adapter in {adapter} does not fit {base.name}: {str(error).splitlines()[0]}",
                hint="was the run trained on another base model?",
            ) from error
        _in_16_bit(model, device)
    model.eval()
    return Generator(model, PromptTokenizer(tokenizer), device)


def _in_16_bit(model: torch.nn.Module, device: Device) -> None:
    """The cast that autocast makes of the float32 adapter at every token, made once."""
    for name, parameter in model.named_parameters():
        if ".lora_" in name:
            parameter.data = parameter.data.to(device.dtype)
