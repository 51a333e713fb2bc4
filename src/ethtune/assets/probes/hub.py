"""Runs in a child of ``ethtune doctor``: is the hub there, and does it give us this model?

Arguments: the hub id of the base model. The hub's own library asks, so that its proxies,
certificates, endpoint and login are those of a download. No answer takes longer than a few seconds.
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


def look_at_model(hub_id: str) -> None:
    """Whether this login may download it."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    try:
        HfApi().auth_check(hub_id)
    except GatedRepoError:
        tell("access", state="done", access="gated")
    except RepositoryNotFoundError:
        tell("access", state="done", access="not found")
    except HfHubHTTPError as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        tell("access", state="done", access=f"HTTP {status}")
    else:
        tell("access", state="done", access="granted")


def main(hub_id: str) -> None:
    """Both looks; the second needs the first."""
    for stage, look in (("endpoint", look_at_endpoint), ("access", lambda: look_at_model(hub_id))):
        tell(stage, state="begun")
        try:
            look()
        except Exception as error:  # noqa: BLE001  # any fault on the way is a finding
            tell(stage, state="failed", error=fault(error))
            break
    tell("end", state="done")


main(sys.argv[1])
