"""Everything the doctor judges by, gathered once: the checks themselves only read it."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ethtune.core.config import Config
from ethtune.core.reading import GpuReading
from ethtune.core.redaction import redact
from ethtune.core.runfolder import RunFolder
from ethtune.core.runlock import is_alive, read_holder
from ethtune.device import nvml
from ethtune.device.cards import CardDetails, DriverFacts, card_details, driver
from ethtune.device.host import HostFacts, host_facts
from ethtune.device.hubcache import hub_cache, hub_home, token_file
from ethtune.device.packages import PackageFacts, package_facts
from ethtune.device.places import PlaceFacts, place_facts
from ethtune.device.probes import TIME_LIMITS_SECONDS, Probed, ProbeName, run_probes
from ethtune.device.system import SystemFacts, system_facts

_DRIVER_TRACES = ("/dev/nvidia0", "/dev/dxg", "/proc/driver/nvidia/version")
# read in full; none of them can hold a secret
_VARIABLES = (
    "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "BNB_CUDA_VERSION",
    "NCCL_P2P_DISABLE", "ACCELERATE_MIXED_PRECISION", "ACCELERATE_USE_FSDP",
    "ACCELERATE_USE_DEEPSPEED",
)  # fmt: skip
_SECRET_FILES_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Facts:
    """One look at a machine. Probes are None where they were not run.

    ``checkpoints`` of a given run are (name, what is wrong with it); ``exposed`` says where
    secrets lie open; ``holder`` who trains in the output folder.
    """

    python: tuple[int, int, int]
    host: HostFacts
    system: SystemFacts = field(default_factory=SystemFacts)
    packages: PackageFacts = field(default_factory=PackageFacts)
    gpus: tuple[GpuReading, ...] = ()
    cards: tuple[CardDetails, ...] = ()
    nvml_problem: str | None = None
    driver: DriverFacts = field(default_factory=DriverFacts)
    has_driver_traces: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    stack: Probed | None = None
    hub: Probed | None = None
    rows: Probed | None = None
    cache: PlaceFacts = field(default_factory=lambda: PlaceFacts("~/.cache"))
    output: PlaceFacts = field(default_factory=lambda: PlaceFacts("runs"))
    holder: str | None = None
    launch_config: str | None = None
    exposed: tuple[str, ...] = ()
    checkpoints: tuple[tuple[str, str | None], ...] | None = None

    @property
    def gpu(self) -> GpuReading | None:
        """The card that training would take: CUDA's first visible one."""
        if not self.gpus:
            return None
        wanted = self.environment.get("CUDA_VISIBLE_DEVICES", "").split(",")[0].strip()
        torch = self.stack.stages.get("torch", {}) if self.stack else {}
        for name in (str(torch.get("uuid", "")), wanted):
            for gpu in self.gpus:
                if name and (name == str(gpu.index) or name in (gpu.uuid or "")):
                    return gpu
        return self.gpus[0]

    @property
    def card(self) -> CardDetails:
        """Details of that card."""
        index = self.gpu.index if self.gpu else -1
        return self.cards[index] if 0 <= index < len(self.cards) else CardDetails()

    @property
    def free_bytes(self) -> int | None:
        """Free memory of that card, or of its part where it is cut into several."""
        total, used = self.memory
        return None if total is None or used is None else total - used

    @property
    def memory(self) -> tuple[int | None, int | None]:
        """Total and used bytes of what training would get."""
        if self.card.mig:
            part = self.card.mig[0]
            return part.memory_total_bytes, part.memory_used_bytes
        gpu = self.gpu
        return (gpu.memory_total_bytes, gpu.memory_used_bytes) if gpu else (None, None)


def gather_facts(
    config: Config,
    *,
    is_quick: bool = False,
    limits: Mapping[ProbeName, float] = TIME_LIMITS_SECONDS,
) -> Facts:
    """Look at this machine. Unless ``is_quick`` the libraries are tried, which takes seconds."""
    probed = {} if is_quick else run_probes(config, limits)
    output = Path(config.training.output_dir or "runs")
    host = host_facts()
    accelerate = hub_home() / "accelerate" / "default_config.yaml"
    return Facts(
        python=sys.version_info[:3],
        host=host,
        system=system_facts(is_wsl=host.is_wsl),
        packages=package_facts(),
        gpus=nvml.readings(),
        cards=card_details(),
        nvml_problem=nvml.nvml_problem(),
        driver=driver(),
        has_driver_traces=any(os.path.exists(path) for path in _DRIVER_TRACES),
        environment={name: os.environ[name] for name in _VARIABLES if name in os.environ},
        stack=probed.get("stack"),
        hub=probed.get("hub"),
        rows=probed.get("rows"),
        cache=place_facts(hub_cache(config.model.cache_dir)),
        output=place_facts(output),
        holder=_holder(RunFolder(output)),
        launch_config=str(accelerate) if accelerate.is_file() else None,
        exposed=tuple(_exposed(output)),
    )


def _holder(run: RunFolder) -> str | None:
    holder = read_holder(run.lock)
    return f"process {holder.pid}" if holder and is_alive(holder) else None


def _exposed(output: Path) -> Iterator[str]:
    """Tokens that other users of this machine, or readers of a published run, could take."""
    for path in (token_file(), Path(".env")):
        if _is_readable_by_all(path) and (path.name == "token" or _holds_token(path)):
            yield f"{path}: a token that every user here can read"
    for path in sorted(output.glob("*.yaml")) + sorted(output.glob("**/training_args.bin")):
        if _holds_token(path):
            yield f"{path}: a token in a file of the run"


def _is_readable_by_all(path: Path) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    return os.name == "posix" and status.st_size > 0 and bool(status.st_mode & stat.S_IROTH)


def _holds_token(path: Path) -> bool:
    try:
        with path.open("rb") as handle:
            text = handle.read(_SECRET_FILES_BYTES).decode("latin-1")
    except OSError:
        return False
    return redact(text) != text
