"""Where the run and the weights would lie: room, manners of the file system, rights, other runs."""

from __future__ import annotations

import shlex

from ethtune.core.config import Config
from ethtune.core.errors import ConfigError
from ethtune.core.units import MIB, format_bytes
from ethtune.device.checks.verdict import Check, Verdict, fail, ok, skipped, warn
from ethtune.device.facts import Facts
from ethtune.device.memory import adapter_sizes
from ethtune.device.probes import model_folder
from ethtune.device.shapes import find_model, shape_of
from ethtune.device.workload import workload_of

_ADAPTER_FILES_BYTES = 20 * MIB  # tokenizer, states and labels beside the weights
_VOLATILE = frozenset({"tmpfs", "ramfs"})
_REMOTE = ("nfs", "cifs", "smb", "fuse", "9p", "drvfs", "vboxsf", "exfat", "msdos", "vfat")
_HOME_ON_A_LARGE_DISK = "export HF_HOME=/large/disk/huggingface"


def judge_disk(facts: Facts, config: Config) -> Verdict:
    """Room for the download and for the checkpoints."""
    download = 0 if model_folder(config) is not None else _download_bytes(facts, config)
    try:
        output = _checkpoints_bytes(config)
    except ConfigError as error:
        if not download:
            return skipped(error.message)
        output = 0
    cache_free, output_free = facts.cache.free_bytes, facts.output.free_bytes
    if cache_free is None or output_free is None:
        return skipped("the file system does not tell its free space")
    seen = (
        f"download {format_bytes(download)} of {format_bytes(cache_free)} free, "
        f"checkpoints {format_bytes(output)} of {format_bytes(output_free)} free"
    )
    if download > cache_free:
        return fail(seen, "put the downloads on a larger disk", _HOME_ON_A_LARGE_DISK)
    is_one_disk = facts.cache.device == facts.output.device
    if output > output_free or (is_one_disk and download + output > output_free):
        return fail(seen, "choose another --output, or a smaller logging.save_total_limit")
    return ok(seen)


def _checkpoints_bytes(config: Config) -> int:
    """Adapter and two 32-bit moments, of the kept checkpoints, one being written, and the result.

    Raises ConfigError for a model of unknown shape.
    """
    shape = shape_of(config.model.base_model)
    work = workload_of(config, shape, has_bfloat16=True, on_gpu=False)
    copies = config.logging.save_total_limit + 2
    return copies * (sum(adapter_sizes(shape, work)) * 12 + _ADAPTER_FILES_BYTES)


def _download_bytes(facts: Facts, config: Config) -> int:
    """As the hub says, or the catalog; 0 where nobody knows."""
    told = facts.hub.stages.get("access", {}).get("download_bytes") if facts.hub else None
    model = find_model(config.model.base_model)
    return told or (model.download_bytes if model else 0)


def judge_semantics(facts: Facts, _config: Config) -> Verdict:
    """Checkpoints need fsync, locks and renames that hold."""
    place = facts.output
    kind = place.kind or "unknown"
    if place.problem:
        return skipped("nothing can be written there, see perm")
    if place.lacks:
        return warn(
            f"{place.path} is on {kind}, which lacks {', '.join(place.lacks)}",
            "choose another --output: after a crash a checkpoint there may be torn",
        )
    if kind in _VOLATILE:
        return warn(
            f"{place.path} is on {kind}: it is gone after a reboot", "choose another --output"
        )
    if kind.startswith(_REMOTE):
        return warn(
            f"{place.path} is on {kind}: slow, and locks may not hold across machines",
            "write the run to a local disk",
        )
    return ok(f"{place.path} is on {kind}")


def judge_rights(facts: Facts, _config: Config) -> Verdict:
    """Whether run and downloads may be written."""
    for place, fix in ((facts.output, "choose another --output"), (facts.cache, None)):
        if place.problem:
            commands = () if fix else (_HOME_ON_A_LARGE_DISK,)
            return fail(f"cannot be written: {place.problem}", fix, *commands)
    if facts.system.is_root and not facts.host.is_container:
        return warn(
            "running as root: the files of the run will be root's", "run as an ordinary user"
        )
    return ok("output and downloads can be written")


def judge_other_run(facts: Facts, config: Config) -> Verdict:
    """Two trainers in one folder would overwrite each other; the second is refused."""
    if facts.holder is None:
        return ok("nobody trains in the output folder")
    folder = shlex.quote(config.training.output_dir or "runs")
    return fail(
        f"{facts.holder} trains in {facts.output.path}", "choose another --output, or watch it",
        f"ethtune monitor {folder}",
    )  # fmt: skip


def judge_checkpoints(facts: Facts, config: Config) -> Verdict:
    """Whether a run that was given could be resumed."""
    if facts.checkpoints is None:
        return skipped("no run was given")
    good = [name for name, problem in facts.checkpoints if problem is None]
    bad = [f"{name}: {problem}" for name, problem in facts.checkpoints if problem]
    if not good:
        why = "; ".join(bad) or "there are none"
        return fail(f"no checkpoint will do: {why}", "the run has to start anew")
    if bad:
        folder = shlex.quote(config.training.output_dir or "RUN")
        return warn(f"{good[0]} will do; not {'; '.join(bad)}", None, f"ethtune resume {folder}")
    return ok(f"{len(good)} checkpoints, all as written; the newest is {good[0]}")


CHECKS = (
    Check("disk.space", "disk", 10, "is there room for weights and checkpoints?", judge_disk),
    Check("ckpt.integrity", "disk", 25, "can the given run be resumed?", judge_checkpoints),
    Check("disk.semantics", "disk", 26, "will checkpoints there survive?", judge_semantics),
    Check("two_runs", "disk", 42, "is the output folder free?", judge_other_run),
    Check("perm", "disk", 44, "may we write there?", judge_rights),
)
