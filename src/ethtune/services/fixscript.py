"""A doctor's report in, a shell script of its fixes out, for the user to read and run.

Evidence stands in comments with every line break taken out. Commands come ready quoted from the
checks. What needs an administrator, or a path that only the user knows, is commented out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ethtune.services.diagnosis import DoctorReport, Finding

_HEAD = """\
#!/bin/sh
# Fixes that ethtune doctor suggests. Nothing of this was run: read it first.
# What begins with export or unset holds in the shell that reads this file:  . ./FILE
"""
_DECIDE = ("sudo ", "docker ")
_PLACEHOLDERS = ("/path/to/", "/large/disk")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def fix_script(report: DoctorReport) -> str:
    """POSIX sh; failures first."""
    return "\n".join([_HEAD, *(line for item in report.open_findings for line in _lines(item))])


def _lines(finding: Finding) -> Iterator[str]:
    yield _comment(f"{finding.status}: {finding.id}: {finding.evidence}")
    if finding.fix:
        yield _comment(finding.fix)
    for command in finding.commands:
        if command.startswith(_DECIDE) or any(word in command for word in _PLACEHOLDERS):
            yield _comment("decide, adapt, then take the sign away:")
            yield _comment(command)
        else:
            yield command
    yield ""


def _comment(text: str) -> str:
    return "# " + _CONTROL.sub(" ", text)
