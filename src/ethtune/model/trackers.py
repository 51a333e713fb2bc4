"""Trackers that ``logging.report_to`` names: names in, callbacks out that cannot harm a run.

What a user's environment says of a tracker holds. What it leaves open is settled here: files lie in
the run's folder, nothing asks for a login, nothing is printed over the screen.
"""

from __future__ import annotations

import contextlib
import io
import netrc
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from transformers.integrations import integration_utils

from ethtune.core.events import Emit, Message
from ethtune.core.ranks import rank
from ethtune.core.redaction import redact
from ethtune.model.context import RunContext

PROJECT = "ethtune"
_QUIET = {
    "WANDB_CONSOLE": "off",  # it would stand between the live view and the terminal
    "WANDB_SILENT": "true",
    "WANDB_PROJECT": PROJECT,
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_EXPERIMENT_NAME": PROJECT,
    # mlflow-skinny has no database, and mlflow refuses its file store unless it is asked for
    "MLFLOW_ALLOW_FILE_STORE": "true",
}


class Shielded:
    """A tracker whose failure ends the tracking, not the training."""

    def __init__(self, tracker: Any, emit: Emit) -> None:
        self._tracker = tracker
        self._emit = emit
        self._has_failed = False

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._tracker, name)
        if not name.startswith("on_"):
            return method

        def shielded(*given: Any, **named: Any) -> Any:
            if self._has_failed:
                return None
            what = f"{type(self._tracker).__name__} failed and is left out from here on"
            result, error = _attempt(lambda: method(*given, **named), what, self._emit)
            self._has_failed = error is not None
            return result

        return shielded


def trackers(names: Sequence[str], emit: Emit) -> list[Shielded]:
    """One for each name; a package that cannot even be loaded is told of and left out."""
    found = []
    for name in names if rank().is_main else ():
        kind = integration_utils.INTEGRATION_TO_CALLBACK[name]
        tracker, error = _attempt(kind, f"{name} cannot be used", emit)
        if error is None:
            found.append(Shielded(tracker, emit))
    return found


@contextlib.contextmanager
def tracking(context: RunContext) -> Iterator[None]:
    """The environment that the trackers of this run read; what they began is finished after it."""
    names = context.config.logging.report_to
    if not names or not rank().is_main:
        yield
        return
    before = dict(os.environ)
    chosen = _QUIET | _places(context.run.path)
    if "wandb" in names and not _has_wandb_key():
        chosen["WANDB_MODE"] = "offline"
        if "WANDB_MODE" not in before:
            text = "W&B has no key here, so its run stays in logs/wandb; wandb sync sends it later"
            context.emit(Message("info", text))
    os.environ.update({name: value for name, value in chosen.items() if name not in before})
    try:
        if "wandb" in names:  # it goes elsewhere, in silence, where the folder is not there
            folder = Path(os.environ["WANDB_DIR"])
            _attempt(lambda: folder.mkdir(parents=True, exist_ok=True), str(folder), context.emit)
        yield
    finally:
        _finish(names, context.emit, is_well=sys.exc_info()[0] is None)
        for name in chosen.keys() - before.keys():
            os.environ.pop(name, None)


def _places(run: Path) -> dict[str, str]:
    logs = run.resolve() / "logs"
    return {
        "TENSORBOARD_LOGGING_DIR": str(logs),
        "WANDB_DIR": str(logs),
        "MLFLOW_TRACKING_URI": (logs / "mlruns").as_uri(),
    }


def _has_wandb_key() -> bool:
    """As ``wandb login`` keeps it; without one, W&B would ask for it on the terminal."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def _finish(names: Sequence[str], emit: Emit, *, is_well: bool) -> None:
    """Runs and settings of trackers belong to the process: the next training would take them."""
    wandb, mlflow, trackio = (sys.modules.get(name) for name in ("wandb", "mlflow", "trackio"))
    endings: dict[str, Callable[[], Any]] = {
        "wandb": lambda: _finish_wandb(wandb, 0 if is_well else 1),
        "mlflow": lambda: mlflow and mlflow.end_run("FINISHED" if is_well else "FAILED"),
        "trackio": lambda: trackio and trackio.context_vars.current_run.get() and trackio.finish(),
    }
    for name in names:
        if name in endings:
            _attempt(endings[name], f"{name} could not be finished", emit)


def _finish_wandb(wandb: Any, exit_code: int) -> None:
    if wandb is None:
        return
    if wandb.run is not None:
        wandb.finish(exit_code=exit_code)
    wandb.teardown()  # or a later run's would lie in this one's folder


def _attempt(act: Callable[[], Any], what: str, emit: Emit) -> tuple[Any, Exception | None]:
    """The result of ``act``, or what it raised, told. Its chatter stays off stdout."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return act(), None
    except Exception as error:  # noqa: BLE001  # whatever a foreign service comes up with
        emit(Message("warning", f"{what}: {redact(str(error))}; training goes on"))
        return None, error
