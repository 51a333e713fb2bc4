"""The page about doctor lists every check, in their order, with the question each asks."""

import re
from pathlib import Path

from ethtune.services.diagnosis import CHECKS, Finding

PAGE = (Path(__file__).parents[3] / "docs" / "doctor.md").read_text(encoding="utf-8")


def test_every_check_has_a_row():
    row = re.compile(r"^\| (\d+) \| `([\w.]+)` \| (.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)
    rows = row.findall(PAGE)
    written = [(int(rank), name, asks) for rank, name, asks, _, _ in rows]
    assert written == [(check.rank, check.id, check.title) for check in CHECKS]


def test_the_fields_of_a_finding_are_named():
    fields = set(Finding.__dataclass_fields__)
    assert fields <= set(re.findall(r"`(\w+)`", PAGE))


def test_questions_are_short_and_end_as_such():
    assert [c.id for c in CHECKS if not c.title.endswith("?") or len(c.title) > 48] == []
