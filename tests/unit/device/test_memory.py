"""The memory model against figures measured and published by others, and against itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ethtune.core.compose import compose
from ethtune.core.errors import ConfigError
from ethtune.core.units import GIB, MIB
from ethtune.device.memory import adapter_sizes, estimate_memory, state_bytes, static_components
from ethtune.device.shapes import shape_of
from ethtune.device.workload import Workload, target_modules, workload_of

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")


def work(**changes) -> Workload:
    base = Workload(ATTENTION, rank=16, micro_batch=4, seq_length=4096, adapter_bytes=4,
                    loss="plain", held_logits="loss", dropout=True)  # fmt: skip
    return base.replace(**changes)


@pytest.mark.parametrize(
    ("model", "changes", "measured_gb"),
    [
        # fms-hf-tuning on an A100, allocated
        ("mistral-7b-v0.1", {"is_quantized": False}, 26.705),
        ("mistral-7b-v0.1", {}, 16.374),
        ("mistral-7b-v0.1", {"upcast": "norms"}, 20.669),
        ("mistral-7b-v0.1", {"micro_batch": 8, "upcast": "norms"}, 37.003),
        # fitcheck on a T4, allocated; the model's output is held while going backward
        ("tinyllama-1.1b", {"micro_batch": 2, "seq_length": 2048, "rank": 32, "double_quant": False,
          "upcast": "all", "dropout": False, "held_logits": "step"}, 4.0851),
        ("smollm2-360m", {"micro_batch": 1, "rank": 32, "double_quant": False, "upcast": "all",
          "dropout": False, "held_logits": "step", "attention": "eager"}, 5.9634),
    ],
)  # fmt: skip
def test_allocated_memory_is_within_two_percent_of_measurements(model, changes, measured_gb):
    predicted = estimate_memory(shape_of(model), work(**changes)).allocated_bytes
    assert predicted == pytest.approx(measured_gb * 1e9, rel=0.02)


def test_the_guides_adapter_has_the_known_number_of_parameters():
    shape = shape_of("mistral-7b-v0.1")
    assert sum(adapter_sizes(shape, work(target_modules=("q_proj", "v_proj")))) == 6_815_744


def test_nothing_is_paged_at_rank_16_because_every_matrix_is_small():
    shape = shape_of("mistral-7b-v0.1")
    assert static_components(shape, work(is_paged=True))[1] == 0
    assert static_components(shape, work(is_paged=True, rank=64))[1] > 100 * MIB


def test_only_large_states_are_quantised():
    assert state_bytes(4095, work(optimizer="adamw_8bit")) == 4095 * 8
    assert state_bytes(65_536, work(optimizer="adamw_8bit")) == 2 * 65_536 + 2 * 4 * 256


def test_the_loss_in_chunks_beats_the_copy_of_the_head_for_large_vocabularies():
    shape = shape_of("llama-3-8b")
    step = work(micro_batch=1, seq_length=2048, adapter_bytes=2, held_logits="no")
    ours = estimate_memory(shape, step.replace(loss="labelled_chunks")).allocated_bytes
    copied = estimate_memory(shape, step.replace(loss="chunked_fp32_head")).allocated_bytes
    plain = estimate_memory(shape, step).allocated_bytes
    assert ours < 6.6 * GIB
    assert ours < min(plain, copied) - GIB


def test_the_peak_is_named():
    shape = shape_of("qwen2.5-7b")
    assert estimate_memory(shape, work()).peak_point == "loss"
    chunks = work(loss="labelled_chunks")
    assert estimate_memory(shape, chunks).peak_point == "layer backward"


@given(
    batch=st.integers(1, 8), length=st.integers(8, 4096), rank=st.integers(1, 128),
    attention=st.sampled_from(["sdpa", "eager"]), checkpointing=st.booleans(),
    loss=st.sampled_from(["plain", "chunked_fp32_head", "labelled_chunks"]),
)  # fmt: skip
def test_more_of_anything_never_needs_less(batch, length, rank, attention, checkpointing, loss):
    shape = shape_of("llama-3.2-1b")
    small = work(micro_batch=batch, seq_length=length, rank=rank, attention=attention,
                 checkpointing=checkpointing, loss=loss)  # fmt: skip
    need = estimate_memory(shape, small)
    low, high = need.process_bytes
    assert need.allocated_bytes < low < high
    for larger in (
        small.replace(micro_batch=batch + 1),
        small.replace(seq_length=length + 1),
        small.replace(rank=rank + 1),
        small.replace(is_quantized=False),
        small.replace(dropout=True),
    ):
        assert estimate_memory(shape, larger).allocated_bytes >= need.allocated_bytes


def test_a_k_bit_preparation_costs_embeddings_and_a_32_bit_stream():
    shape, plain = shape_of("mistral-7b-v0.1"), work()
    upcast = plain.replace(upcast="all")
    embeddings = "embeddings, head and norms"
    before, after = (static_components(shape, item)[0][embeddings] for item in (plain, upcast))
    assert after - before == pytest.approx(0.49 * GIB, rel=0.01)


def test_adapters_are_float32_on_every_device_as_the_trainer_keeps_them():
    config = compose(profile="12gb").config
    shape = shape_of(config.model.base_model)
    ampere = workload_of(config, shape, has_bfloat16=True, on_gpu=True)
    turing = workload_of(config, shape, has_bfloat16=False, on_gpu=True)
    assert (ampere.adapter_bytes, turing.adapter_bytes) == (4, 4)
    assert (ampere.state_bytes, turing.state_bytes) == (4, 4)
    assert ampere.target_modules == ("q_proj", "v_proj")


def test_layers_that_the_model_does_not_have_are_named():
    with pytest.raises(ConfigError, match="phi3 has no layer q_proj") as caught:
        target_modules(["q_proj"], shape_of("phi-3-mini"))
    assert "qkv_proj" in caught.value.hint
