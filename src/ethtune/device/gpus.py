"""Facts of graphics cards: a name as people or drivers write it in, memory and speed out.

Memory is what the driver reports as total (ECC and firmware already taken off where known).
Speed is dense 16-bit tensor arithmetic with 32-bit accumulation, the kind training uses: data
sheets of GeForce cards print twice that, and with sparsity four times. The T4 and the A10G stand
with what they sustain within their power limits, about 24 of 65 and 70 of 126 TFLOPS.
"""

from __future__ import annotations

import csv
import difflib
import functools
import re
from dataclasses import dataclass
from importlib import resources

from ethtune.core.errors import ConfigError
from ethtune.core.units import GIB

_NOISE = re.compile(r"\b(nvidia|geforce|tesla|quadro|generation|gpu|graphics)\b|[^a-z0-9]+")
_MEMORY = re.compile(r"\b(\d+)\s*gi?b\b")
_MODULE_FORM = re.compile(r"\b(sxm|hbm|pci)\d?e?\b")
# A desktop, a browser and the driver hold some of a card that shows a screen.
_HELD_BY_OTHERS_BYTES = 300 * 1024**2


@dataclass(frozen=True, slots=True)
class GpuFacts:
    """One card model. ``board_watts`` is the most it may draw by its data sheet."""

    name: str
    vram_bytes: int
    bandwidth_bytes_per_second: float
    tensor_flops: float
    compute_capability: tuple[int, int]
    board_watts: int

    @property
    def has_bfloat16(self) -> bool:
        """Whether tensor cores compute bfloat16; older cards only emulate it."""
        return self.compute_capability >= (8, 0)

    @property
    def usable_bytes(self) -> int:
        """Memory to expect free on a card that is not here to be asked."""
        return self.vram_bytes - _HELD_BY_OTHERS_BYTES


@functools.cache
def gpu_catalog() -> tuple[GpuFacts, ...]:
    """All known cards, by generation."""
    text = (resources.files("ethtune.assets") / "gpus.csv").read_text(encoding="utf-8")
    return tuple(_read_row(row) for row in csv.DictReader(text.splitlines()))


def find_gpu(name: str, *, vram_bytes: int | None = None) -> GpuFacts:
    """The card of that name; ``vram_bytes`` tells variants apart. Raises ConfigError.

    >>> find_gpu("NVIDIA GeForce RTX 3060").name
    'GeForce RTX 3060 12 GB'
    """
    wanted = _key(name)
    found = [gpu for gpu in gpu_catalog() if _key(gpu.name) == wanted]
    if not found:
        bare = _key(_bare(name))
        found = [gpu for gpu in gpu_catalog() if _key(_bare(gpu.name)) == bare]
    form = _module_form(name)
    found = [gpu for gpu in found if form and _module_form(gpu.name) == form] or found
    size = vram_bytes or _spelled_memory(name)
    if size:
        close = [gpu for gpu in found if abs(gpu.vram_bytes - size) < 0.15 * size]
        found = sorted(close, key=lambda gpu: abs(gpu.vram_bytes - size))[:1]
    if len({gpu.vram_bytes for gpu in found}) == 1:
        return found[0]
    raise _unknown(name, found)


def _read_row(row: dict[str, str]) -> GpuFacts:
    major, minor = row["compute_capability"].split(".")
    return GpuFacts(
        name=row["name"],
        vram_bytes=int(float(row["vram_gib"]) * GIB),
        bandwidth_bytes_per_second=float(row["bandwidth_gb_per_second"]) * 1e9,
        tensor_flops=float(row["tensor_tflops"]) * 1e12,
        compute_capability=(int(major), int(minor)),
        board_watts=int(row["board_watts"]),
    )


def _key(name: str) -> str:
    return _NOISE.sub("", name.casefold())


def _bare(name: str) -> str:
    """Without memory size and module form: "A100-SXM4-80GB" is an A100."""
    return _MODULE_FORM.sub(" ", _MEMORY.sub(" ", name.casefold().replace("-", " ")))


def _module_form(name: str) -> str | None:
    """How the card is mounted; drivers call the mezzanine H100 by its memory, HBM3."""
    found = _MODULE_FORM.search(name.casefold().replace("-", " "))
    return found and ("sxm" if found[1] == "hbm" else found[1])


def _spelled_memory(name: str) -> int | None:
    found = _MEMORY.search(name.casefold().replace("-", " "))
    return int(found[1]) * GIB if found else None


def _unknown(name: str, variants: list[GpuFacts]) -> ConfigError:
    if variants:
        listed = ", ".join(gpu.name for gpu in variants)
        return ConfigError(f'"{name}" comes in several sizes', hint=f"one of: {listed}")
    keys = {_key(gpu.name): gpu.name for gpu in gpu_catalog()}
    near = difflib.get_close_matches(_key(name), list(keys), n=3, cutoff=0.5)
    listed = ", ".join(keys[key] for key in near) or "RTX 3060, RTX 4090, T4, A100 80 GB, ..."
    return ConfigError(f'no graphics card known as "{name}"', hint=f"near: {listed}; or --vram GIB")
