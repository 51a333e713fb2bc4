"""Speed: arithmetic counted right, published runs inside the range."""

import pytest

from ethtune.core.compose import compose
from ethtune.device.gpus import find_gpu
from ethtune.device.shapes import shape_of
from ethtune.device.time import (
    estimate_cpu_time,
    estimate_time,
    flops_per_token,
    speed_text,
)
from ethtune.device.workload import Workload, workload_of

MISTRAL = Workload(
    ("q_proj", "k_proj", "v_proj", "o_proj"), rank=16, micro_batch=4, seq_length=4096
)


def test_arithmetic_of_a_token():
    flops = flops_per_token(shape_of("mistral-7b-v0.1"), MISTRAL.replace(seq_length=2048))
    assert flops == pytest.approx(44.9e9, rel=0.02)


def test_only_the_experts_that_a_token_meets_are_multiplied():
    mixture, dense = (
        flops_per_token(shape_of(name), MISTRAL)
        for name in ("mixtral-8x7b-instruct", "mistral-7b-v0.1")
    )
    assert 1.6 * dense < mixture < 2 * dense


def test_behind_a_mask_the_whole_micro_batch_is_attended():
    shape = shape_of("mistral-7b-v0.1")
    packed = flops_per_token(shape, MISTRAL.replace(packs_rows=True))
    flash = flops_per_token(shape, MISTRAL.replace(packs_rows=True, attention="flash"))
    assert packed > 1.3 * flash


def test_what_moves_more_takes_longer():
    shape, gpu = shape_of("mistral-7b-v0.1"), find_gpu("A100 SXM4 80 GB")
    speeds = [
        estimate_time(shape, MISTRAL.replace(**change), gpu).tokens_per_second[0]
        for change in ({"is_fused": True}, {}, {"upcast": "norms"}, {"attention": "eager"})
    ]
    assert speeds == sorted(speeds, reverse=True)
    slow, fast = estimate_time(shape, MISTRAL, gpu).tokens_per_second
    assert fast / slow < 1.35 / 0.65


def test_a_published_run_is_inside_the_range():
    time = estimate_time(shape_of("mistral-7b-v0.1"), MISTRAL, find_gpu("A100 SXM4 80 GB"))
    slow, fast = time.tokens_per_second
    assert slow < 3595 < fast


def test_the_embedded_model_on_two_cores():
    config = compose(profile="cpu").config
    shape = shape_of("smollm2-135m")
    work = workload_of(config, shape, has_bfloat16=True, on_gpu=False)
    slow, fast = estimate_cpu_time(shape, work, cores=2).tokens_per_second
    assert slow < 390 < fast
    assert fast < 2.2 * slow


@pytest.mark.parametrize(
    ("speeds", "text"),
    [((152.3, 688.0), "150 to 690 tokens/s"), ((0.42, 12_345.0), "0.4 to 12,000 tokens/s")],
)
def test_speeds_are_not_more_precise_than_they_are(speeds, text):
    assert speed_text(speeds) == text
