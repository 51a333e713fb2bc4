"""Installed packages against each other: versions, unmet requirements, pairs known to break."""

from __future__ import annotations

import csv
import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata, resources
from importlib.util import find_spec

from ethtune import __version__

# what is looked at beside the tested set: these break the imports of the others
_NEIGHBOURS = (
    "huggingface-hub", "numpy", "nvidia-ml-py", "pyarrow", "torchvision", "torchaudio", "torchao",
    "torchcodec", "triton", "flash-attn", "liger-kernel", "wandb", "deepspeed", "pynvml",
)  # fmt: skip
# torchvision's minor version runs ahead of torch's by so much; torchaudio ended with torch 2.11
_TORCHVISION_AHEAD = 15
_LAST_TORCHAUDIO = (2, 11)


@dataclass(frozen=True, slots=True)
class PackageFacts:
    """``conflicts`` are unmet requirements in words; ``bad_pairs`` (package, what goes wrong).

    ``python`` is how a shell names this very Python; ``python_on_path`` is another that answers to
    the name, None when it is this one.
    """

    installed: Mapping[str, str] = field(default_factory=dict)
    tested: Mapping[str, str] = field(default_factory=dict)
    conflicts: tuple[str, ...] = ()
    bad_pairs: tuple[tuple[str, str], ...] = ()
    python: str = "python"
    has_pip: bool = True
    python_on_path: str | None = None
    is_64_bit: bool = True
    is_isolated: bool = True

    def pip_command(self, verb: str, *words: str) -> str:
        """A line for a shell, quoted, that installs into or removes from this Python."""
        if self.has_pip:
            sure = ("-y",) if verb == "uninstall" else ()
            return shlex.join((self.python, "-m", "pip", verb, *sure, *words))
        return shlex.join(("uv", "pip", verb, "--python", self.python, *words))


def package_facts() -> PackageFacts:
    """Look at this environment; nothing is imported."""
    tested = tested_versions()
    installed = _versions({*tested, *_NEIGHBOURS})
    other = shutil.which("python") or shutil.which("python3")
    # environments link to one program: the folder it is called from tells them apart
    is_other = other is not None and os.path.dirname(other) != os.path.dirname(sys.executable)
    return PackageFacts(
        installed=installed,
        tested=tested,
        conflicts=tuple(_conflicts(tested)),
        bad_pairs=tuple(_bad_pairs(installed)),
        python="python" if other and not is_other else sys.executable,
        has_pip=find_spec("pip") is not None or not shutil.which("uv"),
        python_on_path=other if is_other else None,
        is_64_bit=sys.maxsize > 2**32,
        is_isolated=sys.prefix != sys.base_prefix or "CONDA_PREFIX" in os.environ,
    )


@cache
def tested_versions() -> dict[str, str]:
    """Package to version, as this release was tested under this Python."""
    from packaging.requirements import Requirement

    text = (resources.files("ethtune.assets") / "tested_versions.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    pins = [Requirement(line) for line in lines]
    return {
        pin.name: next(iter(pin.specifier)).version
        for pin in pins
        if pin.marker is None or pin.marker.evaluate()
    }


def _versions(names: set[str]) -> dict[str, str]:
    versions = {name: next(iter(metadata.distributions(name=name)), None) for name in sorted(names)}
    return {name: found.version for name, found in versions.items() if found is not None}


def _conflicts(names: Mapping[str, str]) -> Iterator[str]:
    """What the tested packages say they need, and do not find."""
    from packaging.requirements import InvalidRequirement, Requirement

    for name in names:
        found = next(iter(metadata.distributions(name=name)), None)
        for text in (found.requires if found else None) or ():
            try:
                needed = Requirement(text)
            except InvalidRequirement:
                continue
            if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
                continue
            there = next(iter(metadata.distributions(name=needed.name)), None)
            if there is None:
                yield f"{name} needs {needed.name}, which is not installed"
            elif not needed.specifier.contains(there.version, prereleases=True):
                yield f"{name} needs {needed.name}{needed.specifier}, installed is {there.version}"


def _bad_pairs(installed: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    from packaging.specifiers import SpecifierSet

    known = {**installed, "ethtune": __version__}
    file = resources.files("ethtune.assets") / "version_pairs.csv"
    with file.open(encoding="utf-8") as handle:
        for row in csv.DictReader(handle):
            name, other = row["package"], row["other"]
            if name not in known or other not in known:
                continue
            if SpecifierSet(row["versions"]).contains(known[name], prereleases=True) and (
                SpecifierSet(row["other_versions"]).contains(known[other], prereleases=True)
            ):
                seen = f"{name} {known[name]} with {other} {known[other]}"
                yield name, f"{seen}: {row['symptom']}"
    yield from _torch_family(installed)


def _torch_family(installed: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Packages compiled against one minor version of torch each."""
    from packaging.version import Version

    if "torch" not in installed:
        return
    torch = Version(installed["torch"])
    wanted = {"torchvision": (0, torch.minor + _TORCHVISION_AHEAD)}
    if (torch.major, torch.minor) <= _LAST_TORCHAUDIO:
        wanted["torchaudio"] = (torch.major, torch.minor)
    for name, minor in wanted.items():
        if name not in installed:
            continue
        have = Version(installed[name])
        if torch.major == 2 and (have.major, have.minor) != minor:
            need = ".".join(map(str, minor))
            yield name, f"{name} {have} is not built for torch {torch}, {need} is"
