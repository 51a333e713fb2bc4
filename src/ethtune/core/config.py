"""What a run is told: the fine-tuning guide's sections and keys, each with meaning and unit.

Frozen and closed: an unknown key is an error. Reading files, profiles and flags into these models
is ``compose``'s work.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from ethtune.core.deepspeedfile import read_deepspeed, zero_stage
from ethtune.core.schedules import Option, Schedule, schedule_faults

Auto = Literal["auto"]
Strategy = Literal["no", "steps", "epoch"]


def _strategy(value: Any) -> Any:
    """YAML 1.1 tools write the word no as false; both mean the strategy "no"."""
    return "no" if value is False else value


def _as_list(value: Any) -> Any:
    """``none`` and a single name are common spellings of a list of trackers."""
    if value in (None, "none", "None"):
        return []
    return [value] if isinstance(value, str) else value


class Section(BaseModel):
    """Base of every section: closed, frozen, strict about types yet reading 1 as 1.0."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class ModelSection(Section):
    """Which base model, and from where."""

    base_model: str = Field(
        "smollm2-135m",
        min_length=1,
        description="hub id, local folder, or alias of the built-in catalog (smollm2-135m)",
    )
    revision: str | None = Field(None, description="commit, branch or tag on the hub")
    cache_dir: str | None = Field(None, description="folder of downloads; default: the hub's own")
    attn_implementation: Literal["auto", "sdpa", "eager", "flash_attention_2"] = "auto"
    trust_remote_code: bool = Field(False, description="run code that ships with the model")


class LoraSection(Section):
    """The adapter."""

    r: int = Field(16, ge=1, description="rank of the update matrices")
    alpha: float = Field(32, gt=0, description="scale; the update is multiplied by alpha / r")
    dropout: float = Field(0.05, ge=0, lt=1, description="dropout before the adapter")
    target_modules: str | tuple[str, ...] = Field(
        ("q_proj", "v_proj"), description='names of linear layers, or "all-linear"'
    )
    bias: Literal["none", "all", "lora_only"] = "none"
    task_type: Literal["CAUSAL_LM"] = "CAUSAL_LM"
    use_dora: bool = Field(False, description="decompose into magnitude and direction")
    use_rslora: bool = Field(False, description="scale by alpha / sqrt(r)")
    loraplus_lr_ratio: float | None = Field(
        None, ge=1, description="LoRA+: B's learning rate over A's; None: one rate for both"
    )

    @model_validator(mode="after")
    def _names_something(self) -> LoraSection:
        if not self.target_modules:
            raise ValueError("target_modules is empty: name a layer, or all-linear")
        return self


class QuantizationSection(Section):
    """How the frozen weights are held."""

    load_in_4bit: bool = Field(True, description="False trains LoRA on 16-bit weights")
    bnb_4bit_compute_dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    bnb_4bit_quant_type: Literal["nf4", "fp4"] = "nf4"
    bnb_4bit_use_double_quant: bool = Field(True, description="quantise the quantisation scales")


class TrainingSection(Section):
    """Steps, batches, learning rate."""

    output_dir: str | None = Field(None, description="the run folder; default: runs/<time>")
    num_train_epochs: float = Field(3, gt=0, description="passes over the training rows")
    max_steps: int = Field(-1, ge=-1, description="optimizer steps; -1: as many as the epochs take")
    per_device_train_batch_size: int = Field(1, ge=1, description="rows (packs) in a micro batch")
    per_device_eval_batch_size: int = Field(1, ge=1)
    gradient_accumulation_steps: int = Field(
        16, ge=1, description="micro batches in a step, in each process"
    )
    num_processes: int = Field(1, ge=1, description="that train together, one a GPU; --gpus")
    fsdp: bool = Field(
        False, description="FSDP2: the model in parts over the processes, not whole in each; --fsdp"
    )
    deepspeed: Annotated[dict[str, Any] | None, BeforeValidator(read_deepspeed)] = Field(
        None, description="a DeepSpeed file, or what it says: ZeRO-2 or ZeRO-3; --deepspeed"
    )
    learning_rate: float = Field(2e-4, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    max_grad_norm: float = Field(0.3, ge=0, description="clip the gradient's norm; 0: never")
    warmup_ratio: float = Field(0.03, ge=0, lt=1, description="share of steps that warm up")
    warmup_steps: int = Field(0, ge=0, description="steps that warm up; above 0 beats the ratio")
    lr_scheduler_type: Schedule = "cosine"
    lr_scheduler_kwargs: dict[str, Option] = Field(
        {}, description="the schedule's own options, such as min_lr_rate"
    )
    neftune_noise_alpha: float | None = Field(
        None, gt=0, description="NEFTune: noise on the embeddings in training; None: none"
    )
    seed: int = Field(42, ge=0, lt=2**32)
    on_divergence: Literal["stop", "rollback"] = Field(
        "stop", description="rollback: once, to before it, past its rows, at half the rate"
    )

    @model_validator(mode="after")
    def _schedule_is_one(self) -> TrainingSection:
        faults = schedule_faults(
            self.lr_scheduler_type,
            self.lr_scheduler_kwargs,
            learning_rate=self.learning_rate,
            warmup_steps=self.warmup_steps,
        )
        if text := "; ".join(faults):
            raise ValueError(text)
        return self

    @model_validator(mode="after")
    def _parts_have_places(self) -> TrainingSection:
        engines = [name for name in ("fsdp", "deepspeed") if getattr(self, name)]
        if len(engines) == 2:
            raise ValueError("fsdp and deepspeed both lay the model in parts: choose one")
        if engines and self.num_processes == 1:
            raise ValueError(
                f"{engines[0]} lays parts over processes, and num_processes is 1: --gpus 2, say"
            )
        return self

    @property
    def num_parts(self) -> int:
        """Parts that the layers of the base model lie in: 1 where each process has it whole."""
        return self.num_processes if self.fsdp or zero_stage(self.deepspeed) == 3 else 1

    def steps_per_epoch(self, num_sequences: int) -> int:
        """Optimizer steps of a pass; the last may have fewer micro batches."""
        together = self.per_device_train_batch_size * self.num_processes
        micro_batches = math.ceil(num_sequences / together)
        return math.ceil(micro_batches / self.gradient_accumulation_steps)

    def total_steps(self, num_sequences: int) -> int:
        """Optimizer steps of the run."""
        if self.max_steps > 0:
            return self.max_steps
        return math.ceil(self.num_train_epochs * self.steps_per_epoch(num_sequences))

    def total_warmup_steps(self, total_steps: int) -> int:
        """Steps of a run of ``total_steps`` in which the learning rate rises."""
        return self.warmup_steps or math.ceil(self.warmup_ratio * total_steps)


class DataSection(Section):
    """Rows and how they become token sequences."""

    dataset: str | None = Field(None, description="folder with train.jsonl and validation.jsonl")
    max_seq_length: int = Field(2048, ge=8, description="tokens in a sequence")
    max_over_length_share: float = Field(
        0.01, ge=0, le=1, description="rows of a split that may be longer; they are left out"
    )
    packing: bool = Field(
        True, description="several rows in one sequence, each seeing only itself; else one row"
    )
    max_train_samples: int | None = Field(None, ge=1)
    max_eval_samples: int | None = Field(None, ge=1)
    dataloader_num_workers: int = Field(0, ge=0, description="processes that prepare batches")

    @model_validator(mode="before")
    @classmethod
    def _pass_over_dropped(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {key: item for key, item in values.items() if ("data", key) not in DROPPED_KEYS}


class OptimizationSection(Section):
    """Memory and arithmetic."""

    gradient_checkpointing: bool = Field(True, description="recompute activations backward")
    optim: Literal[
        "paged_adamw_32bit", "paged_adamw_8bit", "adamw_bnb_8bit", "adamw_8bit",
        "adamw_torch", "adamw_torch_fused", "adafactor",
        "lion_32bit", "lion_8bit", "paged_lion_32bit", "paged_lion_8bit",
    ] = "paged_adamw_32bit"  # fmt: skip
    fp16: bool | Auto = Field("auto", description="auto: where the GPU has no bfloat16 units")
    bf16: bool | Auto = Field("auto", description="auto: compute capability 8.0 or a CPU with it")
    use_liger_kernel: bool | Auto = Field(
        "auto", description="fused kernels; auto: on a GPU where liger-kernel is installed"
    )
    check_memory: bool = Field(True, description="refuse a run that is predicted not to fit")

    @model_validator(mode="after")
    def _one_precision(self) -> OptimizationSection:
        if self.fp16 is True and self.bf16 is True:
            raise ValueError("fp16 and bf16 are both true: choose one")
        return self


class LoggingSection(Section):
    """What is written down, and when."""

    logging_steps: int = Field(10, ge=1)
    save_strategy: Strategy = "steps"
    save_steps: int = Field(500, ge=1)
    eval_strategy: Strategy = "steps"
    eval_steps: int = Field(500, ge=1)
    save_total_limit: int = Field(3, ge=2, description="complete checkpoints kept, never below 2")
    load_best_model_at_end: bool = True
    metric_for_best_model: Literal[
        "eval_loss", "eval_token_accuracy", "exact_match", "action_accuracy"
    ] = "eval_loss"
    num_generated_samples: int = Field(
        32, ge=1, description="validation rows that are answered for a metric of answers"
    )
    early_stopping_patience: int | None = Field(
        None, ge=1, description="validations without gain that end the run; None: never"
    )
    early_stopping_threshold: float = Field(0.0, ge=0, description="a gain is more than that")
    report_to: Annotated[
        tuple[Literal["tensorboard", "wandb", "mlflow", "trackio"], ...], BeforeValidator(_as_list)
    ] = ()

    @model_validator(mode="before")
    @classmethod
    def _read_strategies(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        keys = ("save_strategy", "eval_strategy")
        return {key: _strategy(item) if key in keys else item for key, item in values.items()}

    @model_validator(mode="after")
    def _patience_has_validations(self) -> LoggingSection:
        if self.early_stopping_patience is not None and self.eval_strategy == "no":
            raise ValueError("early_stopping_patience counts validations, and eval_strategy is no")
        return self


class Config(Section):
    """All sections; every key has a default, so an empty file is a valid config."""

    model: ModelSection = ModelSection()
    lora: LoraSection = LoraSection()
    quantization: QuantizationSection = QuantizationSection()
    training: TrainingSection = TrainingSection()
    data: DataSection = DataSection()
    optimization: OptimizationSection = OptimizationSection()
    logging: LoggingSection = LoggingSection()

    @property
    def effective_batch_size(self) -> int:
        """Rows (packs) that one optimizer step sees, over all processes."""
        training = self.training
        together = training.per_device_train_batch_size * training.num_processes
        return together * training.gradient_accumulation_steps


# Names of older library versions and of the guide's earlier files, read as today's.
RENAMED_KEYS: dict[tuple[str, str], str] = {
    ("model", "name"): "base_model",
    ("model", "model_name_or_path"): "base_model",
    ("lora", "lora_alpha"): "alpha",
    ("lora", "lora_dropout"): "dropout",
    ("lora", "rank"): "r",
    ("logging", "evaluation_strategy"): "eval_strategy",
    ("data", "max_length"): "max_seq_length",
    ("optimization", "activation_checkpointing"): "gradient_checkpointing",
}

# Keys of earlier files that say nothing here, with the reason. They are passed over with a hint.
DROPPED_KEYS: dict[tuple[str, str], str] = {
    ("data", "dataset_text_field"): "rows are instruction, input and output, of which the output "
    "alone is learned; a column of finished texts would not say what to learn",
}
