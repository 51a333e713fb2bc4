"""Each failure a doctor must see, from facts of a machine that has it."""

import dataclasses

import pytest

from ethtune.core.compose import compose
from ethtune.core.reading import GpuReading
from ethtune.core.units import GIB
from ethtune.device.facts import Facts
from ethtune.device.host import HostFacts
from ethtune.device.nvml import DriverFacts, GpuProcess
from ethtune.services.diagnosis import judge

HOST = HostFacts(32 * GIB, 24 * GIB, 0, None, "a CPU", 8, ("avx2",), "Linux", False, False)
TWO_CORES = dataclasses.replace(HOST, cpu_cores=2)
GPU = GpuReading(0, "NVIDIA GeForce RTX 3060", "GPU-1", 12 * GIB, GIB // 2, 0, 45,
                 compute_capability=(8, 6), throttle_reasons=("idle",))  # fmt: skip
STAGES = {
    "torch": {"state": "done", "version": "2.13.0+cu128", "cuda": "12.8", "is_available": True,
              "arch_list": ["sm_80", "sm_86", "sm_90"]},
    "bitsandbytes": {"state": "done", "version": "0.50.2", "library": "CudaBNBNativeLibrary",
                     "is_native": True},
    "cuda.alloc": {"state": "done"},
    "step": {"state": "done", "device": "cuda", "dtype": "bfloat16", "losses": [1.4, 1.2]},
}  # fmt: skip
HEALTHY = Facts(
    python=(3, 12, 1), host=HOST, gpus=(GPU,), driver=DriverFacts("570.86", (12, 8)),
    has_driver_traces=True, gpu_processes={0: ()}, stages=STAGES, cache_free_bytes=100 * GIB,
    output_free_bytes=100 * GIB, shared_memory_bytes=2 * GIB, open_files_limit=4096,
)  # fmt: skip
CONFIG = compose(profile="12gb").config


def report(**changes):
    return judge(dataclasses.replace(HEALTHY, **changes), CONFIG)


def status(found, check):
    (finding,) = [item for item in found.findings if item.id == check]
    return finding.status, f"{finding.evidence} | {finding.fix}"


def stages(**changes):
    return {name: {**facts, **changes.get(name, {})} for name, facts in STAGES.items()}


def gpu(**changes):
    return {"gpus": (dataclasses.replace(GPU, **changes),)}


def test_a_healthy_machine_can_train():
    found = report()
    assert found.can_train, found
    assert {item.status for item in found.findings} <= {"ok", "skipped", "warn"}
    assert "RTX 3060" in found.verdict


CASES = [
    ("torch.cuda_build", "fail", {"stages": stages(torch={"cuda": None})}, "CUDA 12.x"),
    ("torch.cuda_build", "fail", {"stages": stages(torch={"is_available": False})}, "not start"),
    ("torch.driver_match", "fail", {"driver": DriverFacts("470.1", (11, 4))}, "update"),
    ("torch.arch", "fail", gpu(compute_capability=(12, 0)), "newer CUDA"),
    ("torch.arch", "fail", gpu(compute_capability=(6, 1)), "older torch"),
    ("bnb.native", "fail", {"stages": stages(bitsandbytes={"is_native": False})}, "upgrade"),
    ("gpu.smoke", "fail", {"stages": stages(step={"state": "failed", "error": "Boom"})}, "Boom"),
    ("gpu.smoke", "skipped", {"stages": {"torch": {"state": "begun"}},
                              "stack_problem": "ended by SIGSEGV"}, "torch"),
    ("stack.imports", "fail", {"stages": {"torch": {"state": "begun"}},
                               "stack_problem": "ended by SIGSEGV"}, "SIGSEGV"),
    ("stack.imports", "warn", {"stages": {**STAGES, "torchvision":
                               {"state": "failed", "error": "no nms"}}}, "uninstall torchvision"),
    ("stack.versions", "fail", {"tested": {"peft": "0.21.2"}}, "pip install peft"),
    ("stack.versions", "warn", {"tested": {"peft": "0.21.2"}, "installed": {"peft": "0.30.0"}},
     "0.30.0"),
    ("python", "fail", {"python": (3, 9, 1)}, "3.10"),
    ("nvml.init", "fail", {"gpus": (), "nvml_problem": "of different versions"}, "reboot"),
    ("env.visible_devices", "fail", {"environment": {"CUDA_VISIBLE_DEVICES": "7"}}, "GPU-1"),
    ("env.visible_devices", "fail", {"environment": {"CUDA_VISIBLE_DEVICES": ""}}, "hides"),
    ("env.visible_devices", "ok", {"environment": {"CUDA_VISIBLE_DEVICES": "GPU-1"}}, "GPU-1"),
    ("multi_gpu", "warn", {"gpus": (GPU, dataclasses.replace(GPU, index=1))}, "one"),
    ("vram.fit", "fail", gpu(memory_used_bytes=9 * GIB), "free 3.0 GiB"),
    ("vram.fit", "warn", gpu(memory_used_bytes=6 * GIB), "tight"),
    ("vram.fit", "skipped", gpu(memory_total_bytes=None), "does not tell"),
    ("vram.others", "warn", {"gpu_processes": {0: (GpuProcess(4711, GIB),)}}, "4711"),
    ("vram.others", "warn", gpu(memory_used_bytes=6 * GIB), "dead run"),
    ("gpu.thermal_now", "warn", gpu(temperature_celsius=91), "91"),
    ("gpu.thermal_now", "warn", gpu(throttle_reasons=("hardware thermal",)), "thermal"),
    ("gpu.thermal_now", "ok", gpu(throttle_reasons=("power cap",)), "45"),
    ("ram.load", "fail", {"host": dataclasses.replace(HOST, ram_available_bytes=GIB)}, "swap"),
    ("disk.space", "fail", {"cache_free_bytes": GIB}, "HF_HOME"),
    ("shared_memory", "warn", {"shared_memory_bytes": 64 * 1024**2}, "64.0 MiB"),
    ("ulimits", "warn", {"open_files_limit": 256}, "256"),
]  # fmt: skip


@pytest.mark.parametrize(("check", "expected", "changes", "words"), CASES)
def test_one_fault_one_finding(check, expected, changes, words):
    found = report(**changes)
    seen, text = status(found, check)
    assert seen == expected, text
    assert words in text
    if expected == "fail":
        assert not found.can_train
        assert check in found.verdict


def test_libraries_that_shadow_torchs_own(tmp_path):
    (tmp_path / "libcudart.so.12").touch()
    found = report(environment={"LD_LIBRARY_PATH": str(tmp_path)})
    assert status(found, "env.ld_library_path")[0] == "warn"


def test_a_check_that_breaks_is_crashed_and_stops_no_other():
    found = report(stages=stages(step={"losses": []}))
    assert status(found, "gpu.smoke")[0] == "crashed"
    assert status(found, "nvml.init")[0] == "ok"
    assert not found.can_train


def test_without_a_gpu_the_cpu_is_offered_with_a_speed():
    found = judge(
        dataclasses.replace(HEALTHY, gpus=(), has_driver_traces=False, stages=None),
        compose(profile="cpu").config,
    )
    assert found.can_train
    assert "on the CPU" in found.verdict
    assert "tokens/s" in found.verdict
    assert status(found, "vram.fit")[0] == "skipped"


def test_a_large_model_without_a_gpu_is_refused():
    found = judge(
        dataclasses.replace(HEALTHY, gpus=(), has_driver_traces=False, host=TWO_CORES), CONFIG
    )
    assert not found.can_train
    seen, text = status(found, "cpu.speed")
    assert seen == "fail"
    assert "--profile cpu" in text


def test_a_gated_model_without_login_says_where_to_accept(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    found = judge(HEALTHY, compose(profile="24gb").config)
    seen, text = status(found, "hub.access")
    assert seen == "fail"
    assert "https://huggingface.co/meta-llama/Llama-2-13b-chat-hf" in text
