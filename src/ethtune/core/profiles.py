"""Built-in configs by graphics memory: name in, YAML text out."""

from __future__ import annotations

import difflib
from importlib import resources

from ethtune.core.errors import ConfigError

_FOLDER = resources.files("ethtune.assets") / "profiles"


def profile_names() -> list[str]:
    """Names without ending, smallest card first, the CPU last."""
    names = [item.name.removesuffix(".yaml") for item in _FOLDER.iterdir()]
    cards = [name for name in names if name.endswith("gb")]
    return sorted(cards, key=lambda name: int(name[:-2])) + sorted(set(names) - set(cards))


def profile_text(name: str) -> str:
    """The profile's YAML. Raises ConfigError naming those that exist."""
    names = profile_names()
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        raise ConfigError(f'no profile "{name}"{meant}', hint=f"profiles: {', '.join(names)}")
    return (_FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
