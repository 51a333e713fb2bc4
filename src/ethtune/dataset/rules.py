"""The page of every finding, out of ``assets/rules``: what it is, why it is bad, what to do.

A page is the one place where a code gets its title and its fix. Its form:

    # E203: title
    what it is …
    ## Why it is bad
    ## Example
    ## Remedy
    the fix in one paragraph, then whatever else helps
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

_SECTIONS = ("Why it is bad", "Example", "Remedy")
_HEAD = re.compile(r"# ([EW]\d{3}): (.+)")


@dataclass(frozen=True, slots=True)
class Rule:
    """One page. ``what``, ``why``, ``example`` and ``remedy`` are Markdown, ``title`` is not."""

    code: str
    title: str
    what: str
    why: str
    example: str
    remedy: str

    @property
    def fix(self) -> str:
        """What to do, in one line: the remedy's first paragraph."""
        return " ".join(self.remedy.partition("\n\n")[0].split()).replace("`", "")

    @property
    def page(self) -> str:
        """The page as it was written."""
        sections = zip(_SECTIONS, (self.why, self.example, self.remedy), strict=True)
        parts = (f"## {name}\n\n{text}" for name, text in sections)
        return "\n\n".join([f"# {self.code}: {self.title}", self.what, *parts]) + "\n"


@cache
def rules() -> Mapping[str, Rule]:
    """Every rule by its code, in order of code."""
    pages = (resources.files("ethtune.assets") / "rules").iterdir()
    read = (read_page(page.read_text(encoding="utf-8")) for page in pages)
    return {rule.code: rule for rule in sorted(read, key=lambda rule: (rule.code[1:], rule.code))}


def read_page(text: str) -> Rule:
    """The rule on a page. Raises ValueError for a page of another form."""
    head, *sections = re.split(r"(?m)^## ", text)
    title, _, what = head.partition("\n")
    found = _HEAD.fullmatch(title)
    named = [section.partition("\n") for section in sections]
    if found is None or tuple(name for name, _, _ in named) != _SECTIONS:
        raise ValueError(f"no page of a rule: {title!r} with {[name for name, _, _ in named]}")
    why, example, remedy = (body.strip() for _, _, body in named)
    return Rule(found[1], found[2], what.strip(), why, example, remedy)
