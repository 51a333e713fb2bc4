"""The memory model against figures measured and published by others, and against itself."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ethtune.core.compose import compose
from ethtune.core.errors import ConfigError
from ethtune.core.units import GIB, MIB
from ethtune.device.memory import (
    adapter_sizes,
    context_bytes,
    estimate_memory,
    state_bytes,
    static_components,
)
from ethtune.device.shapes import shape_of
from ethtune.device.workload import Workload, target_modules, workload_of

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
FMS = {"shifts_logits": True, "held_logits": "loss", "is_reentrant": True, "attention": "flash"}
LIGER = FMS | {"loss": "liger", "is_fused": True, "held_logits": "no", "repeats_keys": True}
T4 = {
    "rank": 32, "double_quant": False, "dropout": False, "held_logits": "step",
    "has_autocast": False, "has_bfloat16": False, "repeats_keys": True,
}  # fmt: skip


def work(**changes) -> Workload:
    base = Workload(ATTENTION, rank=16, micro_batch=4, seq_length=4096, adapter_bytes=4,
                    loss="plain", dropout=True)  # fmt: skip
    return base.replace(**changes)


@pytest.mark.parametrize(
    ("model", "changes", "measured_gb"),
    [
        # fms-hf-tuning on an A100, allocated
        ("mistral-7b-v0.1", FMS | {"is_quantized": False}, 26.705),
        ("mistral-7b-v0.1", FMS, 16.374),
        ("mistral-7b-v0.1", FMS | {"upcast": "norms"}, 20.669),
        ("mistral-7b-v0.1", FMS | {"loss": "fused", "is_fused": True}, 14.115),
        ("mistral-7b-v0.1", LIGER, 13.035),
        ("mistral-7b-v0.1", LIGER | {"micro_batch": 32}, 74.122),
        ("mistral-7b-v0.1", LIGER | {"is_quantized": False}, 23.530),
        ("mixtral-8x7b-instruct", FMS | {"micro_batch": 8}, 48.770),
        ("mixtral-8x7b-instruct", FMS | {"upcast": "norms", "repeats_keys": True}, 42.794),
        # fitcheck on a T4, allocated; the model's output is held while going backward
        ("tinyllama-1.1b", T4 | {"micro_batch": 2, "seq_length": 2048, "upcast": "all"}, 4.0851),
        ("smollm2-360m", T4 | {"micro_batch": 1, "upcast": "all", "attention": "eager"}, 5.9634),
        ("smollm2-1.7b", T4 | {"seq_length": 1024, "is_quantized": False}, 6.8459),
    ],
)
def test_allocated_memory_is_within_two_percent_of_measurements(model, changes, measured_gb):
    predicted = estimate_memory(shape_of(model), work(**changes)).allocated_bytes
    assert predicted == pytest.approx(measured_gb * 1e9, rel=0.012)


@pytest.mark.parametrize(
    ("model", "changes", "measured_mib"),
    [
        ("tinyllama-1.1b", T4 | {"micro_batch": 2, "seq_length": 2048, "upcast": "all"}, 4750),
        ("smollm2-1.7b", T4 | {"seq_length": 1024, "is_quantized": False}, 7094),
        ("smollm2-360m", T4 | {"micro_batch": 1, "upcast": "all", "attention": "eager"}, 8164),
    ],
)
def test_reserved_memory_is_within_five_percent_of_measurements(model, changes, measured_mib):
    predicted = estimate_memory(shape_of(model), work(**changes)).reserved_bytes
    assert predicted == pytest.approx(measured_mib * MIB, rel=0.05)


def test_the_guides_adapter_has_the_known_number_of_parameters():
    shape = shape_of("mistral-7b-v0.1")
    assert sum(adapter_sizes(shape, work(target_modules=("q_proj", "v_proj")))) == 6_815_744


def test_an_adapter_on_experts_sits_on_each():
    shape = shape_of("mixtral-8x7b-instruct")
    assert len(adapter_sizes(shape, work(target_modules=("w1",)))) == 2 * 8 * 32


def test_nothing_is_paged_at_rank_16_because_every_matrix_is_small():
    shape = shape_of("mistral-7b-v0.1")
    assert static_components(shape, work(is_paged=True))[1] == 0
    assert static_components(shape, work(is_paged=True, rank=64))[1] > 100 * MIB


def test_only_large_states_are_quantised():
    assert state_bytes(4095, work(optimizer="adamw_8bit")) == 4095 * 8
    assert state_bytes(65_536, work(optimizer="adamw_8bit")) == 2 * 65_536 + 2 * 4 * 256


def test_the_trainers_loss_beats_the_copy_of_the_head_for_large_vocabularies():
    shape = shape_of("llama-3-8b")
    step = work(micro_batch=1, seq_length=2048, adapter_bytes=2)
    ours = estimate_memory(shape, step.replace(loss="frozen_head")).allocated_bytes
    copied = estimate_memory(shape, step.replace(loss="chunked_fp32_head")).allocated_bytes
    plain = estimate_memory(shape, step).allocated_bytes
    assert ours < min(plain, copied) - GIB
    adapted = step.replace(loss="labelled_chunks")
    few = adapted.replace(labelled_fraction=0.2)
    assert ours < estimate_memory(shape, few).allocated_bytes
    assert (
        estimate_memory(shape, few).allocated_bytes
        < estimate_memory(shape, adapted).allocated_bytes
    )


def test_the_peak_is_named():
    shape = shape_of("qwen2.5-7b")
    assert estimate_memory(shape, work()).peak_point == "loss"
    liger = work(loss="liger")
    assert estimate_memory(shape, liger).peak_point == "layer backward"


def test_gradients_wait_where_micro_batches_are_accumulated():
    shape = shape_of("mistral-7b-v0.1")
    adapters = sum(adapter_sizes(shape, work())) * 4
    once, often = (estimate_memory(shape, work(accumulates=value)) for value in (False, True))
    assert often.components["gradients"] == pytest.approx(adapters, rel=0.01)
    assert often.allocated_bytes - once.allocated_bytes == pytest.approx(adapters, rel=0.01)


def test_checkpoints_kept_by_the_host_leave_the_card():
    shape = shape_of("mistral-7b-v0.1")
    kept, gone = (
        estimate_memory(shape, work(loss="liger", offloads_checkpoints=value)).allocated_bytes
        for value in (False, True)
    )
    one = work().tokens * shape.hidden_size * 2
    assert kept - gone == pytest.approx(shape.num_layers * one, abs=2 * one)


def test_gptq_needs_fewer_scales_than_nf4():
    shape = shape_of("mistral-7b-v0.1")
    scales = [
        static_components(shape, work(storage=storage, double_quant=False))[0][
            "quantisation scales"
        ]
        for storage in ("nf4", "gptq")
    ]
    assert scales[0] == shape.num_linear_parameters // 16
    assert 0.25 * scales[0] < scales[1] < 0.5 * scales[0]


@settings(max_examples=12, deadline=None)
@given(
    batch=st.integers(1, 8), length=st.integers(8, 4096), rank=st.integers(1, 128),
    attention=st.sampled_from(["sdpa", "eager", "flash"]), checkpointing=st.booleans(),
    model=st.sampled_from(["smollm2-135m", "phi-3-mini", "gemma-3-1b"]),
    loss=st.sampled_from(["plain", "fused", "liger", "chunked_fp32_head", "labelled", "frozen_head",
                          "labelled_chunks"]),
)  # fmt: skip
def test_more_of_anything_never_needs_less(
    batch, length, rank, attention, checkpointing, model, loss
):
    shape = shape_of(model)
    small = work(target_modules=target_modules("all-linear", shape), micro_batch=batch,
                 seq_length=length, rank=rank, attention=attention, checkpointing=checkpointing,
                 loss=loss)  # fmt: skip
    need = estimate_memory(shape, small)
    low, high = need.process_bytes
    assert sum(need.components.values()) == need.allocated_bytes
    assert low < high
    assert need.reserved_bytes > 0.99 * need.allocated_bytes
    for larger in (
        small.replace(micro_batch=batch + 1),
        small.replace(seq_length=length + 1),
        small.replace(rank=rank + 1),
        small.replace(is_quantized=False),
        small.replace(accumulates=True),
        small.replace(checkpointing=False),
    ):
        assert estimate_memory(shape, larger).allocated_bytes >= 0.999 * need.allocated_bytes


def test_every_family_has_a_step_that_ends_with_nothing_live():
    for model in ("phi-4-mini", "gemma-2-2b", "qwen3-0.6b", "qwen3-30b-a3b", "qwen2.5-0.5b"):
        shape = shape_of(model)
        tape = estimate_memory(
            shape, work(target_modules=target_modules("all-linear", shape), micro_batch=1,
                        seq_length=512, accumulates=True)
        ).tape  # fmt: skip
        live = {handle for handle, size in tape.events if size}
        live -= {handle for handle, size in tape.events if not size}
        assert not live, model


def test_a_k_bit_preparation_costs_embeddings_and_a_32_bit_stream():
    shape, plain = shape_of("mistral-7b-v0.1"), work()
    upcast = plain.replace(upcast="all")
    embeddings = "embeddings, head and norms"
    before, after = (static_components(shape, item)[0][embeddings] for item in (plain, upcast))
    assert after - before == pytest.approx(0.49 * GIB, rel=0.01)


def test_a_modern_card_holds_more_beside_the_tensors():
    assert context_bytes((7, 5)) == 141 * MIB
    assert context_bytes((8, 0)) > 500 * MIB


def test_adapters_are_float32_on_every_device_as_the_trainer_keeps_them():
    config = compose(profile="guide-12gb").config
    shape = shape_of(config.model.base_model)
    ampere = workload_of(config, shape, has_bfloat16=True, on_gpu=True)
    turing = workload_of(config, shape, has_bfloat16=False, on_gpu=True)
    assert (ampere.adapter_bytes, turing.adapter_bytes) == (4, 4)
    assert (ampere.state_bytes, turing.state_bytes) == (4, 4)
    assert ampere.target_modules == ("q_proj", "v_proj")
    assert ampere.accumulates
    assert ampere.packs_rows


def test_layers_that_the_model_does_not_have_are_named():
    with pytest.raises(ConfigError, match="phi3 has no layer q_proj") as caught:
        target_modules(["q_proj"], shape_of("phi-3-mini"))
    assert "qkv_proj" in caught.value.hint


def test_a_mixtures_experts_stay_in_16_bit_and_carry_no_adapter():
    config = compose(
        profile="24gb", overrides={"lora.target_modules": ("all-linear", "--set")}
    ).config
    shape = shape_of("mixtral-8x7b-instruct")
    step = workload_of(config, shape, has_bfloat16=True, on_gpu=True)
    assert step.target_modules == tuple(shape.attention_linears)
    parts, _ = static_components(shape, step)
    assert parts["16-bit weights"] == 2 * shape.num_expert_parameters > 80 * GIB


@pytest.mark.parametrize(
    "model", ["mistral-7b-v0.1", "smollm2-135m"]
)  # a head of its own, a tied one
def test_layers_in_parts_leave_the_head_and_what_computes_whole(model):
    shape, whole = shape_of(model), static_components(shape_of(model), work())[0]
    parts = static_components(shape, work(num_parts=4))[0]
    assert parts["4-bit weights"] == whole["4-bit weights"] // 4
    layer = whole["4-bit weights"] // shape.num_layers
    assert parts["layers put together"] == 3 * layer
    table = shape.vocab_size * shape.hidden_size * 2
    saved = whole["embeddings, head and norms"] - parts["embeddings, head and norms"]
    assert saved == (0 if shape.tie_embeddings else table * 3 // 4)
    for same in ("adapters", "optimizer states", "quantisation scales"):
        assert parts[same] == whole[same]
