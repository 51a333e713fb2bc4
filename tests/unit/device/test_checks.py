"""Each failure a doctor must see, from facts of a machine that has it."""

import dataclasses

import pytest

from ethtune.core.compose import compose
from ethtune.core.reading import GpuReading
from ethtune.core.units import GIB
from ethtune.device.cards import CardDetails, DriverFacts, GpuProcess, MigInstance
from ethtune.device.facts import Facts
from ethtune.device.host import HostFacts
from ethtune.device.packages import PackageFacts
from ethtune.device.places import PlaceFacts
from ethtune.device.probes import Probed
from ethtune.device.system import SystemFacts
from ethtune.services.diagnosis import CHECKS, judge

HOST = HostFacts(32 * GIB, 24 * GIB, 0, None, "a CPU", 8, ("avx2",), "Linux", False, False)
TWO_CORES = dataclasses.replace(HOST, cpu_cores=2)
WSL = dataclasses.replace(HOST, is_wsl=True)
BOX = dataclasses.replace(HOST, is_container=True)
GPU = GpuReading(0, "NVIDIA GeForce RTX 3060", "GPU-1", 12 * GIB, GIB // 2, 0, 45,
                 power_limit_watts=170.0, compute_capability=(8, 6),
                 throttle_reasons=("idle",))  # fmt: skip
RTX_4090 = dataclasses.replace(GPU, index=1, name="NVIDIA GeForce RTX 4090", uuid="GPU-2")
CARD = CardDetails(
    compute_mode="default", pcie=(1, 16), pcie_max=(4, 16), default_power_watts=170.0,
    slowdown_celsius=93, processes=(),
)  # fmt: skip
STAGES = {
    "torch": {"state": "done", "version": "2.13.0+cu130", "cuda": "13.0", "is_available": True,
              "arch_list": ["sm_80", "sm_86", "sm_90"]},
    "bitsandbytes": {"state": "done", "version": "0.50.2", "library": "CudaBNBNativeLibrary",
                     "is_native": True},
    "cuda.alloc": {"state": "done"},
    "matmul": {"state": "done", "device": "cuda", "errors": [0.004, 0.005]},
    "optimizers": {"state": "done", "device": "cuda", "optimizers": ["AdamW8bit"]},
    "step": {"state": "done", "device": "cuda", "dtype": "bfloat16", "losses": [1.4, 1.2]},
}  # fmt: skip
TOKENIZER = {"state": "done", "has_chat_template": True, "end_token": "</s>"}
ROWS = {"state": "done", "num_rows": 200, "num_too_long": 0, "num_labels": 9000, "longest": 700}
TESTED = {"peft": "0.21.2", "torch": "2.13.0"}
HEALTHY = Facts(
    python=(3, 12, 1), host=HOST, gpus=(GPU,), cards=(CARD,),
    driver=DriverFacts("580.86", (13, 0)), has_driver_traces=True,
    packages=PackageFacts(tested=TESTED, installed=TESTED), stack=Probed(STAGES),
    system=SystemFacts(kernel=(6, 1), shared_memory_bytes=2 * GIB, open_files_limit=4096, xids=()),
    cache=PlaceFacts("cache", 100 * GIB, "ext4", 1),
    output=PlaceFacts("runs", 100 * GIB, "ext4", 1),
)  # fmt: skip
CONFIG = compose(profile="guide-12gb").config


def report(**changes):
    return judge(dataclasses.replace(HEALTHY, **changes), CONFIG)


def status(found, check):
    (finding,) = [item for item in found.findings if item.id == check]
    return finding.status, f"{finding.evidence} | {finding.fix} | {finding.commands}"


def stages(**changes):
    return {"stack": Probed({n: {**facts, **changes.get(n, {})} for n, facts in STAGES.items()})}


def died(stage, problem="ended by SIGSEGV", **before):
    return {"stack": Probed({**before, stage: {"state": "begun"}}, problem)}


def also(name, **stage):
    return {"stack": Probed({**STAGES, name: stage})}


def card(**changes):
    return {"cards": (dataclasses.replace(CARD, **changes),)}


def system(**changes):
    return {"system": dataclasses.replace(HEALTHY.system, **changes)}


def packages(**changes):
    return {"packages": dataclasses.replace(HEALTHY.packages, **changes)}


def hub(endpoint=None, access=None):
    found = {"endpoint": endpoint or {"state": "done", "endpoint": "https://hub"}}
    if access:
        found["access"] = {"state": "done", "access": access}
    return {"hub": Probed(found)}


def env(**variables):
    return {"environment": variables}


def gpu(**changes):
    return {"gpus": (dataclasses.replace(GPU, **changes),)}


def test_a_healthy_machine_can_train():
    found = report()
    assert found.can_train, found
    open_ids = {item.id for item in found.open_findings}
    assert open_ids == {"model.available"}, open_ids
    assert "RTX 3060" in found.verdict


FAILED = {"state": "failed", "error": "Boom"}
CASES = [
    ("torch.cuda_build", "fail", stages(torch={"cuda": None}), "whl/cu130"),
    ("torch.cuda_build", "fail", stages(torch={"is_available": False}), "not start"),
    ("torch.cuda_build", "skipped", stages(torch={"hip": "7.2"}), "ROCm"),
    ("torch.driver_match", "fail", {"driver": DriverFacts("535.1", (12, 2))}, "whl/cu126"),
    ("torch.driver_match", "fail", {"driver": DriverFacts("470.1", (11, 4))}, "nothing newer"),
    ("torch.driver_match", "ok", {"driver": DriverFacts("590.1", (13, 1))}, "13.1"),
    ("torch.arch", "fail", gpu(compute_capability=(12, 0)), "whl/cu130"),
    ("torch.arch", "fail", gpu(compute_capability=(6, 1)), "whl/cu126"),
    ("bnb.native", "fail", stages(bitsandbytes={"is_native": False}), "upgrade"),
    ("bnb.native", "fail", {**stages(bitsandbytes={"is_native": False}),
                            **env(BNB_CUDA_VERSION="999")}, "unset BNB_CUDA_VERSION"),
    ("bnb.matmul", "fail", stages(matmul=FAILED), "install --force-reinstall bitsandbytes"),
    ("bnb.optimizers", "fail", stages(optimizers=FAILED), "Boom"),
    ("gpu.smoke", "fail", stages(step=FAILED), "Boom"),
    ("gpu.smoke", "skipped", died("torch"), "torch"),
    ("cuda.alloc", "fail", stages(**{"cuda.alloc": {"state": "failed", "error": "Error 802: x"}}),
     "fabricmanager"),
    ("cuda.alloc", "fail", stages(**{"cuda.alloc": FAILED}), "nvidia_uvm"),
    ("torch.cuda_build", "fail", died("torch"), "SIGSEGV"),
    ("torch.cuda_build", "fail", died("torch", "the process ended in the middle, without an error"),
     "force-reinstall torch"),
    ("torch.arch", "skipped", died("torch"), "see torch.cuda_build"),
    ("stack.imports", "skipped", died("torch"), "see torch.cuda_build"),
    ("stack.imports", "skipped", stages(bitsandbytes=FAILED, peft=FAILED), "see bnb.native"),
    ("stack.imports", "fail", also("peft", **FAILED), "force-reinstall peft"),
    ("bnb.matmul", "skipped", stages(torch=FAILED, matmul=FAILED), "see torch.cuda_build"),
    ("stack.imports", "fail", died("flash_attn"), "uninstall -y flash-attn"),
    ("stack.imports", "fail", {"stack": Probed({}, "could not be started")}, "at the start"),
    ("stack.imports", "warn", also("torchvision", state="failed", error="no nms"),
     "uninstall -y torchvision"),
    ("stack.versions", "fail", packages(installed={"torch": "2.13.0"}), "install peft==0.21.2"),
    ("stack.versions", "warn", packages(installed={**TESTED, "peft": "0.30.0"}), "0.30.0"),
    ("stack.versions", "fail", packages(conflicts=("trl needs peft>=1, installed is 0.2",)), "trl"),
    ("stack.pairs", "warn", packages(bad_pairs=(("torchvision", "torchvision 0.1 …"),)),
     "uninstall -y torchvision"),
    ("stack.pairs", "warn", packages(bad_pairs=(("torch", "torch 2.5 …"),)), "--upgrade torch"),
    ("python", "fail", {"python": (3, 9, 1)}, "3.10"),
    ("python", "fail", packages(is_64_bit=False), "32 bit"),
    ("python", "warn", packages(python_on_path="/usr/bin/python", is_isolated=False), "/usr/bin"),
    ("accelerate.config", "warn", env(ACCELERATE_USE_FSDP="1"), "unset ACCELERATE_USE_FSDP"),
    ("build.tools", "warn", system(has_python_headers=False), "python3.12-dev"),
    ("nvml.init", "fail", {"gpus": (), "nvml_problem": "of different versions"}, "reboot"),
    ("nvml.init", "fail", {"gpus": (), "nvml_problem": "x", "host": BOX}, "docker run --gpus"),
    ("nvml.init", "fail", card(fault="it fell off the bus"), "GPU 0: it fell off the bus"),
    ("gpu.compute_mode", "fail", card(compute_mode="prohibited"), "nvidia-smi -i 0 -c 0"),
    ("gpu.compute_mode", "fail", card(compute_mode="exclusive process",
                                      processes=(GpuProcess(7, None),)), "-c 0"),
    ("gpu.mig", "warn", card(mig=(MigInstance("MIG-1", 20 * GIB, GIB),)), "DEVICES=MIG-1"),
    ("gpu.mig", "ok", {**card(mig=(MigInstance("MIG-1", 20 * GIB, GIB),)),
                       **env(CUDA_VISIBLE_DEVICES="MIG-1")}, "cut into 1"),
    ("gpu.mig", "fail", card(mig=()), "-cgi"),
    ("unified_memory", "warn", gpu(memory_total_bytes=None), "shared with the system"),
    ("gpu.thermal_now", "warn", gpu(temperature_celsius=91), "91"),
    ("gpu.thermal_now", "warn", gpu(throttle_reasons=("hardware thermal",)), "thermal"),
    ("gpu.thermal_now", "ok", gpu(throttle_reasons=("power cap",)), "45"),
    ("gpu.power", "warn", gpu(power_limit_watts=100.0), "-pl 170"),
    ("gpu.power", "skipped", gpu(power_limit_watts=None), "not tell"),
    ("gpu.pcie", "warn", card(pcie=(1, 1)), "1 of 16"),
    ("gpu.pcie", "ok", card(pcie=(1, 8)), "8 of 16"),
    ("gpu.ecc", "warn", card(uncorrected_errors=3), "3 uncorrected"),
    ("gpu.xid", "warn", system(xids=(13, 79)), "79 (fell off the bus)"),
    ("env.visible_devices", "fail", env(CUDA_VISIBLE_DEVICES="7"), "GPU-1"),
    ("env.visible_devices", "fail", env(CUDA_VISIBLE_DEVICES=""), "hides"),
    ("env.visible_devices", "ok", env(CUDA_VISIBLE_DEVICES="GPU-1"), "GPU-1"),
    ("env.visible_devices", "warn", env(CUDA_VISIBLE_DEVICES="0,7"), "ignores 7"),
    ("multi_gpu", "warn", {"gpus": (GPU, dataclasses.replace(GPU, index=1))}, "one"),
    ("multi_gpu", "warn", {"gpus": (GPU, RTX_4090)}, "PCI_BUS_ID"),
    ("nccl.p2p", "skipped", {"gpus": (GPU, RTX_4090)}, "one process"),
    ("precision", "ok", gpu(compute_capability=(7, 5)), "float16"),
    ("vram.fit", "fail", gpu(memory_used_bytes=9 * GIB), "free 3.0 GiB"),
    ("vram.fit", "warn", gpu(memory_used_bytes=6 * GIB), "tight"),
    ("vram.fit", "skipped", gpu(memory_total_bytes=None), "does not tell"),
    ("vram.fit", "fail", card(mig=(MigInstance("MIG-1", 5 * GIB, GIB),)), "first part, free 4.0"),
    ("vram.others", "warn", card(processes=(GpuProcess(4711, GIB, "X"),)), "X (4711, 1.0 GiB)"),
    ("vram.others", "warn", gpu(memory_used_bytes=6 * GIB), "dead run"),
    ("vram.others", "skipped", card(processes=None), "not told"),
    ("ram.load", "fail", {"host": dataclasses.replace(HOST, ram_available_bytes=GIB)}, "swapon"),
    ("ram.load", "fail", {"host": dataclasses.replace(WSL, ram_available_bytes=GIB)}, ".wslconfig"),
    ("ram.load", "fail", {"host": dataclasses.replace(
        BOX, ram_available_bytes=GIB, cgroup_limit_bytes=2 * GIB)}, "docker run --memory"),
    ("disk.space", "fail", {"cache": PlaceFacts("cache", GIB)}, "HF_HOME"),
    ("disk.space", "fail", {"output": PlaceFacts("runs", GIB // 8)}, "save_total_limit"),
    ("disk.semantics", "warn", {"output": PlaceFacts("runs", 99 * GIB, "nfs4")}, "nfs4"),
    ("disk.semantics", "warn", {"output": PlaceFacts("runs", 99 * GIB, "tmpfs")}, "reboot"),
    ("disk.semantics", "warn", {"output": PlaceFacts("runs", GIB, "x", lacks=("locks",))}, "torn"),
    ("perm", "fail", {"output": PlaceFacts("runs", problem="runs: Permission denied")}, "--output"),
    ("two_runs", "fail", {"holder": "process 4711"}, "ethtune monitor"),
    ("ckpt.integrity", "fail", {"checkpoints": (("checkpoint-5", "no label"),)}, "no label"),
    ("ckpt.integrity", "warn", {"checkpoints": (("checkpoint-5", "torn"), ("checkpoint-2", None))},
     "checkpoint-2 will do"),
    ("shared_memory", "ok", system(shared_memory_bytes=64 * 1024**2), "no loader workers"),
    ("ulimits", "warn", system(open_files_limit=256), "ulimit -n 4096"),
    ("kernel", "warn", system(kernel=(4, 15)), "hang"),
    ("container", "warn", {"host": BOX, **system(lacks_device_links=True)}, "nvidia-ctk"),
    ("wsl", "warn", {"host": WSL, **system(has_driver_in_wsl=True)}, "purge"),
    ("wsl", "warn", {"host": WSL, **system(working_folder="/mnt/c/x")}, "move"),
    ("wsl", "warn", {"host": WSL, **also("pinned", state="done", is_limit=True, bytes=GIB // 2)},
     "optim=adamw_8bit"),
    ("time", "warn", system(clock_behind_seconds=9e6), "set-ntp"),
    ("time", "warn", hub({"state": "done", "clock_ahead_seconds": -4000.0}), "-4000 s"),
    ("sleep", "warn", system(is_on_battery=True), "plug it in"),
    ("terminal", "warn", system(encoding="cp1252"), "cp1252"),
    ("secrets", "warn", {"exposed": ("/a b/token: open",)}, "chmod 600 '/a b/token'"),
    ("hub.access", "fail", hub(access="gated"), "accept its licence"),
    ("hub.access", "fail", hub(access="not found"), "check the name"),
    ("hub.access", "ok", hub(access="granted"), "gives us"),
    ("hub.network", "fail", hub({"state": "failed", "error": "ConnectError: x"}), "HTTPS_PROXY"),
    ("hub.network", "fail", hub({"state": "failed", "error": "SSL: CERTIFICATE_VERIFY_FAILED"}),
     "SSL_CERT_FILE"),
    ("tokenizer", "fail", {"rows": Probed({"tokenizer": FAILED})}, "Boom"),
    ("tokenizer", "ok", {"rows": Probed({"tokenizer": TOKENIZER})}, "</s>"),
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


@pytest.fixture(autouse=True)
def _empty_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)


@pytest.mark.parametrize(
    ("rows", "expected", "words"),
    [
        (ROWS, "ok", "9,000 labels"),
        ({**ROWS, "num_too_long": 90}, "warn", "90 do not fit"),
        ({**ROWS, "num_too_long": 200, "num_labels": 0}, "fail", "max_seq_length=700"),
        ({**ROWS, "num_rows": 0}, "fail", "no rows"),
        ({"state": "failed", "error": "train.jsonl:3: not JSON"}, "fail", "validate-data"),
    ],
)
def test_rows_that_teach_nothing(tmp_path, rows, expected, words):
    config = compose(
        profile="guide-12gb", overrides={"data.dataset": (str(tmp_path), "test")}
    ).config
    probed = Probed({"tokenizer": TOKENIZER, "rows": rows})
    seen, text = status(judge(dataclasses.replace(HEALTHY, rows=probed), config), "data.labels")
    assert (seen, words in text) == (expected, True), text


@pytest.mark.parametrize(
    ("key", "value", "changes", "check", "expected", "words"),
    [
        ("optimization.bf16", True, gpu(compute_capability=(7, 5)), "precision", "fail", "=auto"),
        ("quantization.bnb_4bit_compute_dtype", "bfloat16", gpu(compute_capability=(7, 5)),
         "precision", "warn", "emulate"),
        ("model.attn_implementation", "flash_attention_2", gpu(compute_capability=(7, 5)),
         "attention", "fail", "sdpa"),
        ("model.attn_implementation", "flash_attention_2", {}, "attention", "fail",
         "not installed"),
        ("model.attn_implementation", "flash_attention_2",
         {**packages(installed={"flash-attn": "2"}), **also("flash_attn", **FAILED)},
         "attention", "fail", "Boom"),
        ("model.base_model", "nonsense", {}, "model.available", "fail", "owner/name"),
        ("lora.target_modules", "q_prj", {}, "model.layers", "fail", "q_prj"),
        ("training.num_processes", 2, {"gpus": (GPU, RTX_4090)}, "nccl.p2p", "warn",
         "NCCL_P2P_DISABLE=1"),
        ("training.num_processes", 2, {"gpus": (GPU, RTX_4090)}, "multi_gpu", "ok", "on 2 of 2"),
        ("training.num_processes", 2, {}, "multi_gpu", "fail", "--gpus 1"),
        ("training.num_processes", 2, {"gpus": ()}, "multi_gpu", "fail", "--gpus 1"),
        ("training.num_processes", 2, {"gpus": (GPU, RTX_4090), **env(CUDA_VISIBLE_DEVICES="1")},
         "multi_gpu", "fail", "unset CUDA_VISIBLE_DEVICES"),
        ("training.num_processes", 2,
         {"gpus": (GPU, dataclasses.replace(GPU, index=1, memory_used_bytes=11 * GIB))},
         "vram.fit", "fail", "the fullest card"),
        ("data.dataloader_num_workers", 4, system(shared_memory_bytes=64 * 1024**2),
         "shared_memory", "warn", "--shm-size=2g"),
    ],
)  # fmt: skip
def test_what_the_config_asks_for(key, value, changes, check, expected, words):
    config = compose(profile="guide-12gb", overrides={key: (value, "test")}).config
    seen, text = status(judge(dataclasses.replace(HEALTHY, **changes), config), check)
    assert (seen, words in text) == (expected, True), text


def test_every_check_is_shown_to_find_something():
    tried = {case[0] for case in CASES} | {
        "data.labels", "attention", "model.available", "model.layers", "env.ld_library_path",
        "cpu.speed", "offline", "cache.verify",
    }  # fmt: skip
    assert {check.id for check in CHECKS} == tried


def test_ranks_are_an_order():
    assert [check.rank for check in CHECKS] == list(range(1, len(CHECKS) + 1))


def test_cut_off_weights_are_seen(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"\x40\0\0\0\0\0\0\0{")
    config = compose(overrides={"model.base_model": (str(tmp_path), "test")}).config
    seen, text = status(judge(HEALTHY, config), "cache.verify")
    assert (seen, "model.safetensors" in text) == ("fail", True)


def test_offline_without_the_model(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    seen, text = status(report(), "offline")
    assert (seen, "unset HF_HUB_OFFLINE" in text) == ("warn", True)


def test_libraries_that_shadow_torchs_own(tmp_path):
    (tmp_path / "libcudart.so.12").touch()
    found = report(environment={"LD_LIBRARY_PATH": str(tmp_path)})
    assert status(found, "env.ld_library_path")[0] == "warn"


def test_a_check_that_breaks_is_crashed_and_stops_no_other():
    found = report(**stages(step={"losses": []}))
    assert status(found, "gpu.smoke")[0] == "crashed"
    assert status(found, "nvml.init")[0] == "ok"
    assert not found.can_train


def test_without_a_gpu_the_cpu_is_offered_with_a_speed():
    found = judge(
        dataclasses.replace(HEALTHY, gpus=(), has_driver_traces=False, stack=None),
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
    found = judge(HEALTHY, compose(profile="guide-24gb").config)
    seen, text = status(found, "hub.access")
    assert seen == "fail"
    assert "https://huggingface.co/meta-llama/Llama-2-13b-chat-hf" in text
