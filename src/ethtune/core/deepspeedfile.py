"""A DeepSpeed file, by its name or as what is in it, in; what is in it out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def read_deepspeed(value: Any) -> Any:
    """A file's name stands for what is in it, so that a run's record holds all that it was told.

    Raises ValueError where there is no such file, or no JSON in it.
    """
    if not isinstance(value, str):
        return value
    try:
        return json.loads(Path(value).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{value}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{value} is no JSON: {error}") from error


def zero_stage(file: Mapping[str, Any] | None) -> Any:
    """2, 3, or what else stands there; None for no file, or one without ZeRO."""
    zero = (file or {}).get("zero_optimization")
    return zero.get("stage") if isinstance(zero, Mapping) else None
