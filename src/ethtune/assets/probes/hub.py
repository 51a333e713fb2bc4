"""Runs in a child of ethtune: is the hub there, and does it give us this model?

Arguments: the hub id of the base model; its revision, or nothing. The hub's own library asks, so
that its proxies, certificates, endpoint and login are those of a download. No answer takes longer
than a few seconds.
"""

from __future__ import annotations

import json
import sys
import time
from email.utils import parsedate_to_datetime
from typing import Any

PATIENCE_SECONDS = 4.0


def tell(stage: str, **facts: Any) -> None:
    """Write one line; stdout is the way to the parent."""
    sys.stdout.write("\n" + json.dumps({"stage": stage, **facts}) + "\n")


def fault(error: BaseException) -> str:
    """Class and first line, as far as it matters."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"[:300]


def look_at_endpoint() -> None:
    """Whether it answers at all, and how far its clock is from ours."""
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session  # type: ignore[attr-defined]

    answer = get_session().head(constants.ENDPOINT, timeout=PATIENCE_SECONDS)
    said = answer.headers.get("date")
    skew = time.time() - parsedate_to_datetime(said).timestamp() if said else None
    tell("endpoint", state="done", endpoint=constants.ENDPOINT, clock_ahead_seconds=skew)


def look_at_model(hub_id: str, revision: str | None) -> None:
    """Whether it is there, how large, and whether this login may download it."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    facts: dict[str, Any] = {}
    try:
        found = HfApi().model_info(
            hub_id, revision=revision, files_metadata=True, timeout=PATIENCE_SECONDS
        )
        facts["download_bytes"] = weight_bytes(found.siblings or ())
        if found.gated:
            HfApi().auth_check(hub_id)
        access = "granted"
    except GatedRepoError:
        access = "gated"
    except RevisionNotFoundError:
        access = "no such revision"
    except RepositoryNotFoundError:
        # of a mirror that knows the model and not the question whether we may have it
        access = "not found" if not facts else "not told"
    except HfHubHTTPError as error:
        access = refusal(getattr(error, "response", None))
    tell("access", state="done", access=access, **facts)


def refusal(answer: Any) -> str:
    """In a word; the hub says 401 as well of what is not there."""
    status = getattr(answer, "status_code", None)
    if status != 401:
        return f"HTTP {status}"
    said = str(answer.headers.get("X-Error-Message"))
    return "bad token" if "Invalid credentials" in said else "not found"


def weight_bytes(files: Any) -> int | None:
    """Of the files that transformers would load; None where the hub does not tell."""
    for begin, end in (("model", ".safetensors"), ("pytorch_model", ".bin")):
        sizes = [
            file.size
            for file in files
            if file.rfilename.startswith(begin) and file.rfilename.endswith(end)
        ]
        if sizes and None not in sizes:
            return int(sum(sizes))
    return None


def main(hub_id: str, revision: str | None = None) -> None:
    """Both looks; the second needs the first."""
    looks = (("endpoint", look_at_endpoint), ("access", lambda: look_at_model(hub_id, revision)))
    for stage, look in looks:
        tell(stage, state="begun")
        try:
            look()
        except Exception as error:  # noqa: BLE001  # any fault on the way is a finding
            tell(stage, state="failed", error=fault(error))
            break
    tell("end", state="done")


main(*sys.argv[1:])
