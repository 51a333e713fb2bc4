"""Python and the packages: versions, pairs that are known to break, imports, build tools."""

from __future__ import annotations

import re
import shutil

from ethtune.core.config import Config
from ethtune.device.checks.probed import TOLD_BY, broken_foundation, package_of
from ethtune.device.checks.verdict import NOT_PROBED, Check, Verdict, fail, ok, skipped, warn
from ethtune.device.facts import Facts

_NEEDED = ("torch", "bitsandbytes", "transformers", "peft", "accelerate", "datasets", "trl")
_TRIALS = ("pinned", "peers")  # which other checks read, broken or not
_LAUNCHERS = (
    "ACCELERATE_MIXED_PRECISION", "ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED",
)  # fmt: skip


def judge_python(facts: Facts, _config: Config) -> Verdict:
    """Version of the interpreter, and whether it is the one a shell would call."""
    version = ".".join(map(str, facts.python))
    if facts.python < (3, 10):
        return fail(f"Python {version}", "install Python 3.10 or newer")
    if not facts.packages.is_64_bit:
        return fail(f"Python {version} of 32 bit", "install a Python of 64 bit")
    if facts.python >= (3, 15):
        return warn(f"Python {version} is newer than what was tested", "use Python 3.10 to 3.14")
    if facts.packages.python_on_path and not facts.packages.is_isolated:
        return warn(
            f"Python {version} runs ethtune, `python` is {facts.packages.python_on_path}",
            f"install with {facts.packages.python} -m pip, or into an environment of its own",
        )
    return ok(f"Python {version}")


def judge_versions(facts: Facts, _config: Config) -> Verdict:
    """Installed packages against those of the tests, and against each other's needs."""
    installed, tested = facts.packages.installed, facts.packages.tested
    missing = [name for name in tested if name not in installed]
    if missing:
        command = facts.packages.pip_command("install", *(f"{n}=={tested[n]}" for n in missing))
        return fail(f"not installed: {', '.join(missing)}", None, command)
    other = {n: installed[n] for n in tested if _numbers(installed[n]) != _numbers(tested[n])}
    names = list(other) or list(tested)
    command = facts.packages.pip_command("install", *(f"{n}=={tested[n]}" for n in names))
    if facts.packages.conflicts:
        return fail("; ".join(facts.packages.conflicts), None, command)
    if not other:
        return ok(f"{len(tested)} packages as tested")
    shown = ", ".join(f"{n} {have} (tested {tested[n]})" for n, have in other.items())
    return warn(f"not as tested: {shown}", "if something breaks, install the tested set", command)


def judge_pairs(facts: Facts, _config: Config) -> Verdict:
    """Two versions that are each fine alone."""
    pairs = facts.packages.bad_pairs
    if not pairs:
        return ok("no two packages that are known to break each other")
    names = sorted({name for name, _ in pairs})
    unwanted = [name for name in names if name not in facts.packages.tested and name != "numpy"]
    upgrades = [name for name in names if name not in unwanted]
    commands = []
    if unwanted:
        commands.append(facts.packages.pip_command("uninstall", *unwanted))
    if upgrades:
        commands.append(facts.packages.pip_command("install", "--upgrade", *upgrades))
    return warn("; ".join(text for _, text in pairs), None, *commands)


def judge_imports(facts: Facts, _config: Config) -> Verdict:
    """Whether every package imports; an optional one that is broken still breaks others."""
    if facts.stack is None:
        return skipped(NOT_PROBED)
    if facts.stack.problem:
        return _judge_end(facts, facts.stack.problem, facts.stack.broken_stage)
    if (broken := broken_foundation(facts)) is not None:
        return skipped(f"{broken} does not import: see {TOLD_BY[broken]}")
    failed = {
        name: str(stage["error"])
        for name, stage in facts.stack.stages.items()
        if stage["state"] == "failed" and name not in (*TOLD_BY, *_TRIALS)
    }
    if not failed:
        return ok(f"{len(facts.stack.stages)} imports and steps went well")
    pip = facts.packages.pip_command
    shown = "; ".join(f"{name}: {error}" for name, error in failed.items())
    needed = [name for name in failed if name in _NEEDED]
    if needed:
        return fail(shown, None, pip("install", "--force-reinstall", *needed))
    return warn(shown, "not needed here", pip("uninstall", *map(package_of, failed)))


def _judge_end(facts: Facts, problem: str, where: str | None) -> Verdict:
    """Of a process that did not come to its end."""
    if where in TOLD_BY:
        return skipped(f"not reached: the probe ended at {where}, see {TOLD_BY[where]}")
    seen = f"trying the libraries ended at {where or 'the start'}: {problem}"
    if where is None:
        return fail(seen, "run ethtune doctor again; a full disk or a lack of memory ends it so")
    package, pip = package_of(where), facts.packages.pip_command
    if where in (*_NEEDED, *_TRIALS):
        return fail(seen, None, pip("install", "--force-reinstall", package))
    return fail(seen, "not needed here", pip("uninstall", package))


def judge_compiler(facts: Facts, _config: Config) -> Verdict:
    """Triton compiles small C files at the first step."""
    if not facts.gpus:
        return skipped("no GPU, nothing is compiled")
    version = ".".join(map(str, facts.python[:2]))
    fix = f"sudo apt install build-essential python{version}-dev"
    if not (shutil.which("cc") or shutil.which("gcc") or shutil.which("cl")):
        return warn("no C compiler: kernels that Triton builds will fail", None, fix)
    if not facts.system.has_python_headers:
        return warn("no Python.h: kernels that Triton builds will fail", None, fix)
    return ok("a C compiler and Python.h are there")


def judge_launcher(facts: Facts, _config: Config) -> Verdict:
    """Settings of another launcher that change precision or processes from outside."""
    named = [name for name in _LAUNCHERS if name in facts.environment]
    if named:
        return warn(f"{', '.join(named)} set from outside", None, f"unset {' '.join(named)}")
    if facts.launch_config:
        return ok("a config of accelerate launch is there; ethtune train does not read it")
    return ok("nothing from outside changes precision or processes")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


CHECKS = (
    Check("stack.versions", "packages", 17, "are the packages those of the tests?", judge_versions),
    Check("stack.imports", "packages", 18, "does every package import?", judge_imports),
    Check("stack.pairs", "packages", 23, "do versions break each other?", judge_pairs),
    Check("build.tools", "packages", 31, "can Triton compile?", judge_compiler),
    Check("python", "packages", 45, "does this Python do?", judge_python),
    Check("accelerate.config", "packages", 48, "does another launcher interfere?", judge_launcher),
)
