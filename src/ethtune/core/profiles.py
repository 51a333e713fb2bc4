"""Built-in configs by graphics memory: name in, YAML text and the reasons in its comments out.

A profile without prefix is the best we know for a card of that size; one with ``guide-`` holds the
fine-tuning guide's values.
"""

from __future__ import annotations

import difflib
import re
from importlib import resources

from ethtune.core.errors import ConfigError

_FOLDER = resources.files("ethtune.assets") / "profiles"
_GUIDE = "guide-"
_CARD = re.compile(rf"(?:{_GUIDE})?(\d+)gb").fullmatch
_SECTION = re.compile(r"(\w+):\s*(?:#.*)?").fullmatch
_KEY = re.compile(r"  (\w+):.*?(?:\s# (.*))?").fullmatch


def profile_names() -> list[str]:
    """Names without ending: cards from small to large, the guide's, the CPU last."""
    names = [item.name.removesuffix(".yaml") for item in _FOLDER.iterdir()]
    return sorted(names, key=lambda name: (not _CARD(name), is_guides(name), vram_gib(name), name))


def is_guides(name: str) -> bool:
    """Whether the values are the guide's own."""
    return name.startswith(_GUIDE)


def vram_gib(name: str) -> int:
    """Graphics memory that the profile is for; 0 for the CPU."""
    card = _CARD(name)
    return int(card[1]) if card else 0


def profile_text(name: str) -> str:
    """The profile's YAML. Raises ConfigError naming those that exist."""
    names = profile_names()
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        raise ConfigError(f'no profile "{name}"{meant}', hint=f"profiles: {', '.join(names)}")
    return (_FOLDER / f"{name}.yaml").read_text(encoding="utf-8")


def profile_purpose(text: str) -> str:
    """The comment at the top: which cards, what for, what it is predicted to need."""
    head = re.match(r"(?:#.*\n)*", text)
    return "\n".join(line.lstrip("# ") for line in (head[0] if head else "").splitlines())


def profile_reasons(text: str) -> dict[str, str]:
    """By "section.key": the comment above the key and beside it. Keys without one are left out."""
    section, above, found = "", list[str](), dict[str, str]()
    for line in text.splitlines():
        if start := _SECTION(line):
            section, above = start[1], []
        elif line.startswith("  #"):
            above.append(line.lstrip("# "))
        elif key := _KEY(line):
            words = [*above, *([key[2]] if key[2] else [])]
            if words:
                found[f"{section}.{key[1]}"] = " ".join(words)
            above = []
    return found
