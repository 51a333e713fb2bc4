"""Memory that ran out in, the next way to need less of it out; and what to set when there is none.

    a micro batch in 2, 4, 8, … parts, until each document is alone
    then, one by one, the switches that a run can turn on by itself
    then the end of the run, with the settings that would help

A rung is never left again, neither by a later step nor by a resumed run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ethtune.core.config import Config
from ethtune.core.events import Emit, MemoryAction, MemoryAdjusted

SDPA = "model.attn_implementation=sdpa"
CHECKPOINTING = "optimization.gradient_checkpointing=true"
ANSWERED_AT_ONCE = 8  # beside the optimizer's states there is little room
_NAMED = 3


class MemoryLadder:
    """Where a run stands; one for all its trainers, kept in its checkpoints.

    ``emit`` is told of every change.
    """

    def __init__(self, config: Config, emit: Emit) -> None:
        self._config = config
        self._emit = emit
        self.num_parts = 1  # of a micro batch
        self.validation_parts = 1  # of a validation batch
        self.answered_at_once = ANSWERED_AT_ONCE
        self.switched_on: list[str] = []

    def state(self) -> dict[str, Any]:
        """Plain data for a checkpoint."""
        return {
            "num_parts": self.num_parts,
            "validation_parts": self.validation_parts,
            "answered_at_once": self.answered_at_once,
            "switched_on": list(self.switched_on),
        }

    def restore(self, state: dict[str, Any], model: Any) -> None:
        """What ``state`` gave, and what this process had to add to it meanwhile."""
        self.num_parts = max(self.num_parts, state["num_parts"])
        self.validation_parts = max(self.validation_parts, state["validation_parts"])
        self.answered_at_once = min(self.answered_at_once, state["answered_at_once"])
        for setting in state["switched_on"]:
            if setting not in self.switched_on:
                self._switch(setting, model)

    def split(self, step: int, num_documents: int, reason: str) -> bool:
        """Twice as many parts; False where each document is alone already."""
        if self.num_parts >= num_documents:
            return False
        self.num_parts *= 2
        self._tell(step, "split", reason, amount=self.num_parts)
        return True

    def switch(self, step: int, model: Any, reason: str) -> bool:
        """The next switch that is off; False where none is left."""
        setting = next(self._switches(model), None)
        if setting is None:
            return False
        self._switch(setting, model)
        self._tell(step, "switch", reason, setting=setting)
        return True

    def split_validation(self, step: int, num_documents: int, reason: str) -> bool:
        """As ``split``, for batches of validation."""
        if self.validation_parts >= num_documents:
            return False
        self.validation_parts *= 2
        self._tell(step, "split_validation", reason, amount=self.validation_parts)
        return True

    def answer_fewer(self, step: int, reason: str) -> bool:
        """Half as many prompts at once; False where it is one."""
        if self.answered_at_once == 1:
            return False
        self.answered_at_once //= 2
        self._tell(step, "answer_fewer", reason, amount=self.answered_at_once)
        return True

    def _switches(self, model: Any) -> Iterator[str]:
        """Off, and possible in a run under way; cheapest first, as ``ethtune estimate`` has it."""
        base, wanted = model.get_base_model(), self._config
        # a cap on attention scores is one that sdpa leaves out
        is_capped = getattr(base.config.get_text_config(), "attn_logit_softcapping", None)
        can_sdpa = getattr(base, "_supports_sdpa", False) and not is_capped
        if wanted.model.attn_implementation == "eager" and can_sdpa:
            yield from {SDPA} - {*self.switched_on}
        if not wanted.optimization.gradient_checkpointing:
            yield from {CHECKPOINTING} - {*self.switched_on}

    def _switch(self, setting: str, model: Any) -> None:
        _SWITCHES[setting](model.get_base_model())
        self.switched_on.append(setting)

    def _tell(
        self, step: int, action: MemoryAction, reason: str, *, amount: int = 0, setting: str = ""
    ) -> None:
        self._emit(MemoryAdjusted(step, action, amount, setting, reason))


def hint_of(config: Config, longest: int, *, is_split: bool) -> str:
    """``ways_out`` as a next step."""
    ways = [f"--set {way}" for way in ways_out(config, longest, is_split=is_split)]
    return f"train anew with {', '.join(ways)}; one of them may be enough"


def ways_out(config: Config, longest: int, *, is_split: bool) -> tuple[str, ...]:
    """The three settings, with values, that would help most and are not on yet.

    ``longest``: tokens of the longest row. ``is_split``: micro batches were run row by row already.
    """
    lora, training, optim = config.lora, config.training, config.optimization.optim
    rows = training.per_device_train_batch_size
    steps = rows * training.gradient_accumulation_steps
    accumulated = f"--set training.gradient_accumulation_steps={steps}"
    is_narrow = not isinstance(lora.target_modules, str) and len(lora.target_modules) <= 2
    offered = (
        (rows > 1 and not is_split, f"training.per_device_train_batch_size=1 {accumulated}"),
        (not config.optimization.gradient_checkpointing and not is_split, CHECKPOINTING),
        (not config.quantization.load_in_4bit, "quantization.load_in_4bit=true"),
        (True, f"data.max_seq_length={max(min(longest, config.data.max_seq_length) // 2, 8)}"),
        ("8bit" not in optim and optim != "adafactor", "optimization.optim=paged_adamw_8bit"),
        (lora.r > 1, f"lora.r={lora.r // 2}"),
        (not is_narrow, "lora.target_modules=[q_proj,v_proj]"),
        (True, "model.base_model=a smaller one"),
    )
    return tuple(setting for helps, setting in offered if helps)[:_NAMED]


def _use_sdpa(base: Any) -> None:
    base.set_attn_implementation("sdpa")


def _recompute(base: Any) -> None:
    # transformers 5.23 renamed it
    enable = getattr(base, "activation_checkpointing_enable", None)
    (enable or base.gradient_checkpointing_enable)({"use_reentrant": False})


_SWITCHES: dict[str, Callable[[Any], None]] = {SDPA: _use_sdpa, CHECKPOINTING: _recompute}
