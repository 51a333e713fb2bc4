"""Whether the base model can be had: known, downloaded and whole, or allowed to be fetched."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from ethtune.core.config import Config
from ethtune.core.units import MIB, format_bytes
from ethtune.device.checks.verdict import NOT_PROBED, Check, Verdict, fail, ok, skipped, warn
from ethtune.device.facts import Facts
from ethtune.device.hubcache import (
    cached_snapshot,
    damaged_weights,
    has_token,
    is_complete_model,
    offline_flags,
    token_file,
    unfinished_downloads,
)
from ethtune.device.probes import hub_id_of, model_folder
from ethtune.device.shapes import EMBEDDED_ALIAS, find_model

_CLOCK_SECONDS = 300


def judge_model(facts: Facts, config: Config) -> Verdict:
    """On disk, or to be downloaded."""
    name = config.model.base_model
    if Path(name).expanduser().is_dir() or name.startswith(("/", "./", "~")):
        return _judge_folder(Path(name).expanduser())
    hub_id = hub_id_of(name)
    if cached_snapshot(hub_id, config.model.cache_dir, config.model.revision):
        return ok(f"{hub_id} is downloaded")
    if model_folder(config):
        return ok(f"{name} is in ethtune's own cache")
    flags = offline_flags()
    if flags and name != EMBEDDED_ALIAS:
        return fail(f"{hub_id} is not downloaded and {flags[0]} is set", None, *_unset(flags))
    if find_model(name) is None and "/" not in name:
        return fail(f'"{name}" is no folder, no alias and no hub id', "a hub id is owner/name")
    if facts.hub is not None and facts.hub.stages.get("endpoint", {}).get("state") == "done":
        return ok(f"{hub_id} is not downloaded yet; the first run fetches it")
    return warn(f"{hub_id} is not downloaded yet", "the first run fetches it")


def _judge_folder(folder: Path) -> Verdict:
    if not folder.is_dir():
        return fail(f"no folder {folder}", "give a folder in transformers format, or a hub id")
    if is_complete_model(folder):
        return ok(f"local folder {folder}")
    return fail(f"{folder} lacks config.json or a weight file", "download it again")


def judge_access(facts: Facts, config: Config) -> Verdict:
    """A gated model needs an accepted licence and a login."""
    name = config.model.base_model
    if model_folder(config) is not None:
        return ok(f"{name} is on disk, nothing has to be asked")
    said = facts.hub.stages.get("access", {}).get("access") if facts.hub else None
    if said in ("granted", "gated", "not found", "no such revision", "bad token"):
        return _judge_answer(said, config)
    model = find_model(name)
    if model is None:
        return skipped("not in the catalog: whether it is gated is not known")
    if not model.gated:
        return ok(f"{model.hub_id} is open ({model.licence})")
    seen, steps = f"{model.hub_id} is gated ({model.licence})", _steps(model.hub_id)
    if not has_token():
        return fail(f"{seen}, no login", steps, "hf auth login")
    return warn(f"{seen}; a login is there", steps)


def _judge_answer(said: str, config: Config) -> Verdict:
    """What the hub itself says is beyond the catalog."""
    hub_id, revision = hub_id_of(config.model.base_model), config.model.revision
    login = "this login has not accepted it" if has_token() else "there is no login"
    hidden = "hides it from this login" if has_token() else "shows it only after a login"
    holder = "HF_TOKEN" if os.environ.get("HF_TOKEN") else str(token_file())
    answers = {
        "granted": ok(f"the hub gives us {hub_id}"),
        "gated": fail(f"{hub_id} is gated and {login}", _steps(hub_id), "hf auth login"),
        "not found": fail(
            f"the hub has no {hub_id}, or {hidden}",
            "check the name; if the model is private, log in",
            "hf auth login",
        ),
        "no such revision": fail(
            f"the hub has {hub_id}, but no revision {revision}",
            "model.revision is a branch, a tag or a commit on the model's page",
        ),
        "bad token": fail(
            f"the hub does not accept the token in {holder}", "log in anew", "hf auth login"
        ),
    }
    return answers[said]


def _steps(hub_id: str) -> str:
    return f"accept its licence at https://huggingface.co/{hub_id}, then log in"


def judge_network(facts: Facts, config: Config) -> Verdict:
    """Name, proxy, certificate: what keeps a download from starting."""
    if facts.hub is None:
        return skipped(NOT_PROBED if facts.stack is None else "the hub is not to be asked")
    stage = facts.hub.stages.get("endpoint", {})
    if stage.get("state") == "done":
        return ok(f"{stage['endpoint']} answers")
    why = stage.get("error") or facts.hub.problem
    if model_folder(config) is not None:
        return ok("the hub does not answer, and is not needed: the model is on disk")
    if "CERTIFICATE" in str(why).upper():
        return fail(
            f"the hub's certificate is not trusted: {why}",
            "name your proxy's certificate; a wrong clock does the same",
            "export SSL_CERT_FILE=/path/to/company-ca.pem",
        )
    seen = f"the hub cannot be reached: {why}"
    if config.model.base_model == EMBEDDED_ALIAS:
        return warn(seen, "the embedded model comes from the package index then")
    return fail(seen, "check HTTPS_PROXY, or download elsewhere and give the folder")


def judge_offline(_facts: Facts, config: Config) -> Verdict:
    """Flags that forbid the network are right only where everything is here."""
    flags = offline_flags()
    is_here = model_folder(config) is not None
    if not flags:
        return ok("ready for work offline" if is_here else "the network may be used")
    if is_here:
        return ok(f"{', '.join(flags)} set, and the model is on disk")
    return warn(f"{', '.join(flags)} set, the model is not here", None, *_unset(flags))


def judge_cache(_facts: Facts, config: Config) -> Verdict:
    """A download that was cut off leaves files that load as nonsense or not at all."""
    folder = model_folder(config)
    hub_id = hub_id_of(config.model.base_model)
    if folder is not None and (damaged := damaged_weights(folder)):
        again = f"hf download --force-download {shlex.quote(hub_id)}"
        seen = f"{folder}: {', '.join(damaged)} shorter or longer than its header says"
        return fail(seen, "download it again", *([again] if "/" in hub_id else []))
    left = unfinished_downloads(hub_id, config.model.cache_dir)
    if left > MIB and folder is None:
        return warn(f"{format_bytes(left)} of a broken download", "the next run continues it")
    return skipped("not on this disk yet") if folder is None else ok("weights are whole")


def judge_clock(facts: Facts, _config: Config) -> Verdict:
    """A wrong clock makes certificates invalid and logs nonsense."""
    skew = None
    if facts.hub is not None:
        skew = facts.hub.stages.get("endpoint", {}).get("clock_ahead_seconds")
    if facts.system.clock_behind_seconds > _CLOCK_SECONDS:
        return warn("the clock is before ethtune's own files", None, "sudo timedatectl set-ntp on")
    if skew is not None and abs(skew) > _CLOCK_SECONDS:
        return warn(f"the clock is off by {skew:+.0f} s", None, "sudo timedatectl set-ntp on")
    return ok("the clock is plausible" if skew is None else "the clock agrees with the hub's")


def judge_secrets(facts: Facts, _config: Config) -> Verdict:
    """Tokens that others can read."""
    if not facts.exposed:
        return ok("no token lies open")
    paths = [text.rpartition(": ")[0] for text in facts.exposed]
    return warn(
        "; ".join(facts.exposed), "then make a new token: the old one may be known",
        *(f"chmod 600 {shlex.quote(path)}" for path in paths),
    )  # fmt: skip


def _unset(flags: tuple[str, ...]) -> tuple[str, ...]:
    return (f"unset {' '.join(flags)}",)


CHECKS = (
    Check("hub.access", "hub", 15, "does the hub give us the model?", judge_access),
    Check("model.available", "hub", 16, "is the base model here?", judge_model),
    Check("hub.network", "hub", 30, "does the hub answer?", judge_network),
    Check("offline", "hub", 49, "do offline flags fit?", judge_offline),
    Check("cache.verify", "hub", 50, "are the weights whole?", judge_cache),
    Check("time", "hub", 52, "is the clock right?", judge_clock),
    Check("secrets", "hub", 53, "do tokens lie open?", judge_secrets),
)
