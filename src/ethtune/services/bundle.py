"""A doctor's report and a run's last words in, a zip to attach to a bug report out.

Taken out: tokens of every known form, the values of variables that are named like secrets, the
login, home folders, user, host, mail addresses. Rows and weights are never put in.
"""

from __future__ import annotations

import getpass
import io
import json
import os
import platform
import re
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from ethtune import __version__
from ethtune.core.errors import MachineError, UsageError
from ethtune.core.redaction import redact
from ethtune.core.runfolder import RunFolder
from ethtune.device.hubcache import token_file
from ethtune.services.diagnosis import DoctorReport

_TAIL_BYTES = 1 << 17
_SECRET_NAME = re.compile(r"(?i)token|key|secret|passw|credential|rpc_url|auth|dsn")
_SHORTEST_SECRET = 6
_HOMES = re.compile(r"(?i)(/home/|/users/|[a-z]:\\\\?users\\\\?)(?!\[)[^/\\\s\"':,;]+")
_MAIL = re.compile(r"\b[\w.+-]+@[\w-]+\.[\w.]+\b")
# names of users that are words: taking them out would only make the report unreadable
_COMMON_USERS = frozenset({"root", "user", "users", "ubuntu", "admin", "runner", "home", "python"})
# variables whose names tell a lot; their values are not told
_RELEVANT = re.compile(r"^(CUDA|HF_|TRANSFORMERS|NCCL|PYTORCH|BNB|ACCELERATE|OMP|LD_|ETHTUNE)")


def write_bundle(path: Path, report: DoctorReport, *, config: str, run: Path | None) -> list[str]:
    """Write the zip; the names in it. Raises UsageError or MachineError."""
    refuse_existing(path)
    parts = {"doctor.json": json.dumps(report.as_dict(), indent=2, ensure_ascii=False)}
    parts["versions.txt"] = "\n".join(_versions()) + "\n"
    parts["config.yaml"] = config
    if run is not None:
        parts |= {f"run/{file.name}": _tail(file) for file in _run_files(run)}
    clean = Scrubber()
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, _scrubbed(name, text, clean))
    try:
        path.write_bytes(content.getvalue())
    except OSError as error:
        raise MachineError(f"{path} cannot be written: {error.strerror or error}") from error
    return list(parts)


def refuse_existing(path: Path) -> None:
    """Raises UsageError where something would be overwritten; to be asked before the long look."""
    if path.exists():
        raise UsageError(f"{path} is there already", hint="name another file for --bundle")


class Scrubber:
    """Takes out what names this user, this machine, or opens a door."""

    def __init__(self) -> None:
        self._secrets = sorted(_secret_values(), key=len, reverse=True)
        self._home = str(Path.home())
        names = {"[user]": _user(), "[host]": platform.node()}
        self._names = [
            (re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])"), mark)
            for mark, name in names.items()
            if len(name) > 2 and name.casefold() not in _COMMON_USERS
        ]

    def __call__(self, text: str) -> str:
        """The same text, safe to show."""
        for secret in self._secrets:
            text = text.replace(secret, "[secret]")
        if len(self._home) > 1:
            text = text.replace(self._home, "~")
        text = _HOMES.sub(r"\1[user]", text)
        for pattern, mark in self._names:
            text = pattern.sub(mark, text)
        return redact(_MAIL.sub("[mail]", text))


def _scrubbed(name: str, text: str, clean: Scrubber) -> str:
    """Texts inside JSON one by one: a pattern must not reach over their quotes."""
    if name.endswith(".json"):
        return _scrubbed_json(text, clean, indent=2)
    if name.endswith(".jsonl"):
        return "".join(_scrubbed_json(line, clean) + "\n" for line in text.splitlines())
    return clean(text)


def _scrubbed_json(text: str, clean: Scrubber, indent: int | None = None) -> str:
    try:
        plain = json.loads(text)
    except (ValueError, RecursionError):  # a torn line
        return clean(text)
    return json.dumps(_scrubbed_value(plain, clean), indent=indent, ensure_ascii=False)


def _scrubbed_value(value: Any, clean: Scrubber) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [_scrubbed_value(item, clean) for item in value]
    if isinstance(value, dict):
        return {clean(key): _scrubbed_value(item, clean) for key, item in value.items()}
    return value


def _secret_values() -> Iterator[str]:
    for name, value in os.environ.items():
        if _SECRET_NAME.search(name) and len(value) >= _SHORTEST_SECRET:
            yield value
    try:
        login = token_file().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return
    if len(login) >= _SHORTEST_SECRET:
        yield login


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user without a name
        return ""


def _versions() -> Iterator[str]:
    """The system in a line, then variables by name, then all packages."""
    yield f"ethtune {__version__}, Python {platform.python_version()}, {platform.platform()}"
    names = sorted(name for name in os.environ if _RELEVANT.match(name))
    yield f"set in the environment: {', '.join(names) or 'nothing that matters'}"
    packages = {item.metadata["Name"]: item.version for item in metadata.distributions()}
    yield from sorted(f"{name}=={version}" for name, version in packages.items() if name)


def _run_files(run: Path) -> Iterator[Path]:
    folder = RunFolder(run)
    for file in (folder.manifest, folder.config, folder.events, folder.log):
        if file.is_file():
            yield file


def _tail(file: Path) -> str:
    """The end of a file, from a line's beginning."""
    with file.open("rb") as handle:
        size = handle.seek(0, os.SEEK_END)
        handle.seek(max(0, size - _TAIL_BYTES))
        content = handle.read()
    if size > _TAIL_BYTES:
        content = content.partition(b"\n")[2]
    return content.decode("utf-8", errors="replace")
