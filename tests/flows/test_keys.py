"""Every key of the config does something that its user can see; one without a proof fails here."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from ethtune.core.compose import all_keys

ROOT = Path(__file__).resolve().parents[2]
PROOFS = {
    "tests/flows/test_train.py": {
        "test_the_manifest_and_the_config_say_what_was_run": (
            "model.base_model",
            "data.dataset",
        ),
        "test_the_run_folder_holds_what_it_promises": ("training.output_dir",),
        "test_the_log_tells_the_whole_run_in_order": (
            "training.max_steps",
            "data.max_train_samples",
            "data.max_eval_samples",
        ),
        "test_rows_longer_than_the_limit_are_left_out_whole_and_said": ("data.max_seq_length",),
        "test_the_best_weights_are_taken_when_asked": ("logging.load_best_model_at_end",),
    },
    "tests/unit/model/test_basekeys.py": {
        "test_revision_and_cache_dir_say_which_download": (
            "model.revision",
            "model.cache_dir",
        ),
        "test_attention_is_the_same_however_it_is_computed": ("model.attn_implementation",),
        "test_code_of_a_model_runs_only_where_it_is_trusted": ("model.trust_remote_code",),
    },
    "tests/unit/model/test_adapters.py": {
        "test_r_is_the_rank_of_the_update": ("lora.r",),
        "test_alpha_over_r_or_over_its_root_scales_the_update": (
            "lora.alpha",
            "lora.use_rslora",
        ),
        "test_dropout_hits_the_adapters_inputs_in_training_alone": ("lora.dropout",),
        "test_target_modules_are_the_layers_that_get_one": ("lora.target_modules",),
        "test_bias_says_which_biases_train": ("lora.bias",),
        "test_dora_adds_the_magnitude_of_each_output": ("lora.use_dora",),
    },
    "tests/flows/test_trainingkeys.py": {
        "test_the_task_stands_in_the_adapters_own_config": ("lora.task_type",),
        "test_with_loraplus_b_learns_faster": ("lora.loraplus_lr_ratio",),
        "test_epochs_batches_and_steps_are_as_planned": (
            "training.num_train_epochs",
            "training.per_device_train_batch_size",
            "training.gradient_accumulation_steps",
        ),
        "test_batches_are_of_the_size_that_is_said": (
            "training.per_device_eval_batch_size",
            "data.dataloader_num_workers",
        ),
        "test_the_rates_of_a_run_are_the_schedules": ("training.learning_rate",),
        "test_weight_decay_is_that_of_the_matrices": ("training.weight_decay",),
        "test_gradients_are_clipped_to_the_norm": ("training.max_grad_norm",),
        "test_noise_on_the_embeddings_comes_and_goes_with_training": (
            "training.neftune_noise_alpha",
        ),
        "test_the_seed_orders_the_rows_and_makes_the_adapter": ("training.seed",),
        "test_packing_lays_several_rows_into_a_sequence": ("data.packing",),
        "test_checkpointing_computes_every_layer_twice": ("optimization.gradient_checkpointing",),
        "test_strategies_by_the_epoch_and_none": (
            "logging.save_strategy",
            "logging.eval_strategy",
        ),
        "test_logging_saving_and_validating_keep_their_steps": (
            "logging.logging_steps",
            "logging.save_steps",
            "logging.eval_steps",
            "logging.save_total_limit",
        ),
    },
    "tests/unit/model/test_load.py": {
        "test_quantization_follows_the_config": (
            "quantization.load_in_4bit",
            "quantization.bnb_4bit_compute_dtype",
            "quantization.bnb_4bit_quant_type",
            "quantization.bnb_4bit_use_double_quant",
        ),
    },
    "tests/flows/test_distributed.py": {
        "test_two_processes_are_one_with_twice_the_micro_batches": ("training.num_processes",),
    },
    "tests/flows/test_deepspeed.py": {
        "test_zero_is_the_run_of_one_process": ("training.deepspeed",),
    },
    "tests/unit/model/test_sharding.py": {
        "test_each_process_holds_half_of_the_layers": ("training.fsdp",),
    },
    "tests/unit/model/test_schedules.py": {
        "test_the_rate_rises_over_the_warm_up": (
            "training.warmup_ratio",
            "training.warmup_steps",
        ),
        "test_lr_scheduler_type_and_its_kwargs_are_the_curve": (
            "training.lr_scheduler_type",
            "training.lr_scheduler_kwargs",
        ),
    },
    "tests/flows/test_diverging.py": {
        "test_rollback_skips_the_rows_and_halves_the_rate_once": ("training.on_divergence",),
    },
    "tests/flows/test_refusals.py": {
        "test_more_long_rows_than_allowed": ("data.max_over_length_share",),
        "test_no_memory_for_the_run": ("optimization.check_memory",),
    },
    "tests/unit/model/test_optimizers.py": {
        "test_optim_is_the_optimizer": ("optimization.optim",),
    },
    "tests/unit/model/test_device.py": {
        "test_precision": (
            "optimization.fp16",
            "optimization.bf16",
        ),
    },
    "tests/unit/model/test_fusedkernels.py": {
        "test_use_liger_kernel_takes_all_but_the_loss": ("optimization.use_liger_kernel",),
    },
    "tests/flows/test_choosing.py": {
        "test_the_best_by_answers": (
            "logging.metric_for_best_model",
            "logging.num_generated_samples",
        ),
        "test_it_ends_when_nothing_is_gained": ("logging.early_stopping_patience",),
    },
    "tests/unit/model/test_bestmodel.py": {
        "test_validations_without_gain_are_counted_from_the_history": (
            "logging.early_stopping_threshold",
        ),
    },
    "tests/flows/test_trackers.py": {
        "test_all_at_once_from_the_command_line": ("logging.report_to",),
    },
}
"""File, test in it, and the keys whose effect it shows."""


def test_every_key_has_a_proof():
    proven = Counter(key for tests in PROOFS.values() for keys in tests.values() for key in keys)
    assert set(all_keys()) - set(proven) == set(), "keys whose effect no test shows"
    assert set(proven) - set(all_keys()) == set(), "proofs of keys that are gone"
    assert set(proven.values()) == {1}


def test_every_proof_exists():
    for file, tests in PROOFS.items():
        text = (ROOT / file).read_text(encoding="utf-8")
        for name in tests:
            assert re.search(rf"(?m)^def {name}\(", text), f"{file}: {name}"
