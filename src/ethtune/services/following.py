"""What a process of a run does that does not hold it: the same training, writing nothing.

Rank 0 settles what is trained and says so in a word; the others look for themselves, must find
what it found, and train their share.
"""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ethtune.core.config import Config
from ethtune.core.errors import EthtuneError, Interrupted, MachineError
from ethtune.core.events import SILENT
from ethtune.core.ranks import rank
from ethtune.core.runfolder import RunFolder, read_json
from ethtune.core.signals import StopSignals
from ethtune.services.continuation import fact_differences, version_differences
from ethtune.services.preflight import Prepared, prepare_job
from ethtune.services.runrecord import facts_of


def task_of(folder: RunFolder, prepared: Prepared, resume_from: Path | None) -> str:
    """What rank 0 announces to ``follow``."""
    dataset = Path(read_json(folder.manifest)["dataset"]["path"])
    return json.dumps(
        {
            "run": str(folder.path.resolve()),
            "resume_from": None if resume_from is None else str(resume_from.resolve()),
            "facts": facts_of(prepared, dataset),
        }
    )


def follow() -> None:
    """Train with rank 0 until it is done, or gone.

    Raises what went wrong in this very process; what went wrong for all of them, rank 0 tells.
    """
    for number in (signal.SIGINT, signal.SIGTERM):  # while it waits nothing is lost
        signal.signal(number, signal.SIG_DFL)
    from ethtune.model.processes import LeftAlone, await_task, together

    try:
        task = json.loads(await_task())
        with together(Path(task["run"])):
            _train(task)
    except (LeftAlone, Interrupted):
        return
    except EthtuneError as error:
        error.message = f"{rank().name}, on {socket.gethostname()}: {error.message}"
        raise


def _train(task: Mapping[str, Any]) -> None:
    from ethtune.model.context import RunContext
    from ethtune.model.training import train_adapter

    folder = RunFolder(Path(task["run"]))
    if not folder.manifest.is_file():
        raise MachineError(
            f"{folder.path} is not there, and rank 0 trains in it",
            hint="all machines of a run need the same run folder: put it on a shared file system",
        )
    manifest = read_json(folder.manifest)
    config, dataset = Config.model_validate(manifest["config"]), Path(manifest["dataset"]["path"])
    with StopSignals(lambda: None) as signals:
        prepared = prepare_job(config, dataset, SILENT, is_new=False)
        _require_same(task["facts"], facts_of(prepared, dataset))
        context = RunContext(folder, config, SILENT, signals, str)
        resume_from = Path(task["resume_from"]) if task["resume_from"] else None
        train_adapter(context, prepared.job, resume_from=resume_from)


def _require_same(leader: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    found = [*version_differences(leader["versions"], own["versions"])]
    found += fact_differences(leader, own)
    lines = [f"{each.key}: {each.was} there, {each.now} here" for each in found]
    if leader["precision"] != own["precision"]:
        lines.append(f"precision: {leader['precision']} there, {own['precision']} here")
    if lines:
        raise MachineError(
            "it would train otherwise than rank 0:\n  " + "\n  ".join(lines),
            hint="the same packages and files on all machines; for unlike cards "
            "--set optimization.fp16=true",
        )
