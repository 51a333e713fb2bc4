"""Names of cards as people and drivers write them."""

import csv
from importlib import resources

import pytest

from ethtune.core.errors import ConfigError
from ethtune.core.units import GIB
from ethtune.device.gpus import find_gpu, gpu_catalog


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("RTX 3060", "GeForce RTX 3060 12 GB"),
        ("NVIDIA GeForce RTX 3060", "GeForce RTX 3060 12 GB"),
        ("rtx4090", "GeForce RTX 4090"),
        ("T4", "Tesla T4"),
        ("Tesla T4 16GB", "Tesla T4"),
        ("NVIDIA A100-SXM4-80GB", "A100 SXM4 80 GB"),
        ("NVIDIA H100 80GB HBM3", "H100 SXM5 80 GB"),
        ("NVIDIA H100 PCIe", "H100 PCIe"),
        ("NVIDIA H200", "H200 SXM 141 GB"),
        ("4070 Turbo", None),
        ("RTX 4060 Ti 16GB", "GeForce RTX 4060 Ti 16 GB"),
        ("L4", "L4"),
        ("A10G", "A10G"),
    ],
)
def test_names(name, found):
    if found is None:
        with pytest.raises(ConfigError, match="known as"):
            find_gpu(name)
    else:
        assert find_gpu(name).name == found


def test_memory_tells_variants_apart():
    with pytest.raises(ConfigError, match="several sizes"):
        find_gpu("RTX 4060 Ti")
    assert find_gpu("RTX 4060 Ti", vram_bytes=8188 * 1024**2).name == "GeForce RTX 4060 Ti 8 GB"


def test_an_unknown_card_is_told_the_nearest():
    with pytest.raises(ConfigError) as caught:
        find_gpu("RTX 3065")
    assert "RTX 3060" in caught.value.hint


def test_facts_are_plausible():
    for gpu in gpu_catalog():
        assert 4 * GIB < gpu.vram_bytes < 200 * GIB, gpu
        assert 2e11 < gpu.bandwidth_bytes_per_second < 1e13, gpu
        assert 2e13 <= gpu.tensor_flops < 3e15, gpu
    assert not find_gpu("T4").has_bfloat16
    assert find_gpu("RTX 3060").has_bfloat16


def test_every_card_has_a_source():
    text = (resources.files("ethtune.assets") / "gpus.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    assert len(rows) >= 60
    assert all(row["source"].strip() for row in rows)
