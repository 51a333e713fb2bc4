"""The system around the run: kernel, container, WSL, limits, power, terminal, several cards."""

from __future__ import annotations

from ethtune.core.config import Config
from ethtune.core.units import format_bytes
from ethtune.device.checks.verdict import NO_GPU, Check, Verdict, fail, ok, skipped, warn
from ethtune.device.facts import Facts

_OLDEST_KERNEL = (5, 5)
_OPEN_FILES = 1024
_PINNED_BYTES = 1 << 30
_NO_PEERS = ("RTX 40",)  # consumer cards without access to each other's memory


def judge_kernel(facts: Facts, _config: Config) -> Verdict:
    """Older Linux kernels are known to hang processes that wait for each other."""
    kernel = facts.system.kernel
    if kernel is None:
        return skipped("not Linux")
    seen = f"Linux {kernel[0]}.{kernel[1]}"
    if kernel < _OLDEST_KERNEL:
        return warn(f"{seen}: before 5.5 loader processes may hang", "update the system")
    return ok(seen)


def judge_container(facts: Facts, _config: Config) -> Verdict:
    """A container can lose its GPU in the middle of a run."""
    if not facts.host.is_container:
        return skipped("not in a container")
    if facts.gpus and facts.system.lacks_device_links:
        return warn(
            "in a container whose /dev/char does not name the GPU: a systemctl daemon-reload on "
            "the host takes it away",
            "on the host, then start the container anew",
            "sudo nvidia-ctk system create-dev-char-symlinks --create-all",
        )
    return ok("in a container")


def judge_wsl(facts: Facts, _config: Config) -> Verdict:
    """Windows' Linux pins little memory and reads Windows' disks slowly."""
    if not facts.host.is_wsl:
        return skipped("not WSL")
    if facts.system.has_driver_in_wsl:
        return warn(
            "an NVIDIA driver is installed inside WSL: it hides Windows' own",
            None, "sudo apt purge 'libnvidia-compute-*' 'nvidia-driver-*'",
        )  # fmt: skip
    if facts.system.working_folder.startswith("/mnt/"):
        return warn("working on a Windows disk under /mnt", "move the project into ~ of WSL")
    pinned = facts.stack.stages.get("pinned", {}) if facts.stack else {}
    if pinned.get("is_limit") and pinned["bytes"] < _PINNED_BYTES:
        return warn(
            f"WSL pins no more than {format_bytes(pinned['bytes'])}: paged optimizers may fail",
            "--set optimization.optim=adamw_8bit",
        )
    return ok("WSL, working on its own disk")


def judge_limits(facts: Facts, _config: Config) -> Verdict:
    """Files that one process may hold open."""
    limit = facts.system.open_files_limit
    if limit is None:
        return skipped("no such limit here")
    if 0 <= limit < _OPEN_FILES:
        return warn(f"only {limit} open files allowed", None, f"ulimit -n {4 * _OPEN_FILES}")
    return ok("enough open files allowed")


def judge_sleep(facts: Facts, _config: Config) -> Verdict:
    """A machine that goes to sleep loses CUDA, and the run."""
    if facts.system.is_on_battery is None:
        return skipped("no battery")
    if facts.system.is_on_battery:
        return warn("on battery: slow, and a suspend ends a run on the GPU", "plug it in")
    return ok("plugged in; see that it does not suspend when the lid closes")


def judge_terminal(facts: Facts, _config: Config) -> Verdict:
    """Where the live view cannot be drawn, plain lines are shown."""
    if "utf" not in facts.system.encoding:
        return warn(
            f"the terminal writes {facts.system.encoding}: some characters will be missing",
            None, "export PYTHONUTF8=1",
        )  # fmt: skip
    return ok("a terminal" if facts.system.is_terminal else "no terminal: plain lines are shown")


def judge_several(facts: Facts, config: Config) -> Verdict:
    """A process trains on one card; --gpus asks for several."""
    chosen, there = facts.environment.get("CUDA_VISIBLE_DEVICES"), len(facts.gpus)
    visible = there if chosen is None else min(len([*filter(None, chosen.split(","))]), there)
    wanted = config.training.num_processes
    if wanted > max(visible, 1):
        seen = f"{wanted} processes are asked for, a card each: {visible} can be seen"
        commands = ("unset CUDA_VISIBLE_DEVICES",) if there >= wanted else ()
        return fail(seen, f"--gpus {max(visible, 1)}", *commands)
    if not facts.gpus:
        return skipped(NO_GPU)
    if wanted > 1:
        return ok(f"{wanted} processes, on {wanted} of {visible} GPUs")
    if visible <= 1:
        return ok("one GPU")
    seen = f"{visible} GPUs are visible, a run uses one unless --gpus asks for more"
    order = facts.environment.get("CUDA_DEVICE_ORDER")
    names = {gpu.name for gpu in facts.gpus}
    if len(names) > 1 and order != "PCI_BUS_ID":
        return warn(
            f"{seen}: CUDA's order is the fastest first, nvidia-smi's that of the bus",
            "count as nvidia-smi does, then choose",
            "export CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES=0",
        )  # fmt: skip
    return warn(seen, "the first is taken; another one:", "export CUDA_VISIBLE_DEVICES=1")


def judge_peers(facts: Facts, config: Config) -> Verdict:
    """Consumer cards that claim to reach each other and hang."""
    if len(facts.gpus) < 2 or config.training.num_processes == 1:
        return skipped("one process has no other to talk to")
    peers = facts.stack.stages.get("peers", {}) if facts.stack else {}
    consumer = any(mark in gpu.name for gpu in facts.gpus for mark in _NO_PEERS)
    if consumer and "NCCL_P2P_DISABLE" not in facts.environment:
        return warn(
            "cards of the RTX 40 series cannot reach each other: several processes may hang",
            None, "export NCCL_P2P_DISABLE=1",
        )  # fmt: skip
    if not peers:
        return skipped("whether the cards reach each other was not tried")
    return ok("the cards reach each other" if peers.get("peer_access") else "no peer access")


CHECKS = (
    Check("wsl", "system", 33, "is WSL set up for training?", judge_wsl),
    Check("container", "system", 35, "can the container keep its GPU?", judge_container),
    Check("kernel", "system", 46, "is the kernel new enough?", judge_kernel),
    Check("ulimits", "system", 51, "may enough files be open?", judge_limits),
    Check("sleep", "system", 54, "will the machine stay awake?", judge_sleep),
    Check("terminal", "system", 55, "can the live view be drawn?", judge_terminal),
    Check("multi_gpu", "multi", 41, "which of several cards is used?", judge_several),
    Check("nccl.p2p", "multi", 43, "can several cards talk?", judge_peers),
)
