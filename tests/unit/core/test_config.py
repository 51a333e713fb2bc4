"""What the sections promise about themselves."""

import pytest
from pydantic import ValidationError

from ethtune.core.config import RENAMED_KEYS, Config, LoggingSection

SECTIONS = {name: field.annotation for name, field in Config.model_fields.items()}
SELF_EXPLAINING = {
    "model.attn_implementation", "lora.bias", "lora.task_type",
    "quantization.bnb_4bit_compute_dtype", "quantization.bnb_4bit_quant_type",
    "training.per_device_eval_batch_size", "training.learning_rate", "training.weight_decay",
    "training.lr_scheduler_type", "training.seed", "data.max_train_samples",
    "data.max_eval_samples", "optimization.optim", "logging.logging_steps",
    "logging.save_strategy", "logging.save_steps", "logging.eval_strategy", "logging.eval_steps",
    "logging.load_best_model_at_end", "logging.metric_for_best_model", "logging.report_to",
}  # fmt: skip


def test_sections_are_the_guides_in_its_order():
    assert list(SECTIONS) == [
        "model", "lora", "quantization", "training", "data", "optimization", "logging",
    ]  # fmt: skip


def test_fields_say_what_they_are():
    silent = {
        f"{section}.{key}"
        for section, model in SECTIONS.items()
        for key, field in model.model_fields.items()
        if not field.description
    }
    assert silent == SELF_EXPLAINING
    assert all(model.__doc__ for model in SECTIONS.values())


def test_a_config_is_frozen_and_closed():
    with pytest.raises(ValidationError, match="frozen"):
        Config().lora.r = 3
    with pytest.raises(ValidationError, match="Extra inputs"):
        Config.model_validate({"lora": {"rank_of_it": 3}})


def test_every_renamed_key_leads_to_one_that_exists_and_none_hides_another():
    for (section, old), new in RENAMED_KEYS.items():
        assert new in SECTIONS[section].model_fields
        assert old not in SECTIONS[section].model_fields


def test_two_checkpoints_are_the_fewest():
    with pytest.raises(ValidationError):
        LoggingSection(save_total_limit=1)
