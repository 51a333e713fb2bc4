"""What can be wrong with a dataset: every code with its severity, its meaning, what to do.

E1xx a row cannot be read · E2xx its content is wrong · E3xx rows against each other ·
E4xx length · E5xx the dataset as a whole. W is a warning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found in one place. ``where`` is "file:line", or the file or folder."""

    code: str
    where: str
    message: str

    @property
    def severity(self) -> Severity:
        """Errors make the dataset unfit to train on."""
        return "error" if self.code.startswith("E") else "warning"

    @property
    def costs_the_row(self) -> bool:
        """Whether a corrected copy leaves the row out."""
        return self.code in ROW_CODES

    def as_dict(self) -> dict[str, Any]:
        """Plain data for ``--json``."""
        return {
            "code": self.code,
            "severity": self.severity,
            "where": self.where,
            "message": self.message,
            "fix": FIXES[self.code],
        }


_LEAVE_OUT = "--fix leaves the row out"
_RERUN = "run ethtune prepare again on the original export"

TITLES: dict[str, str] = {
    "E101": "not UTF-8 or not JSON",
    "E102": "not a row of instruction, input and output",
    "E103": "nothing to learn",
    "E201": "dataset of another task",
    "E202": "output is no intent",
    "E203": "output says what the input does not hold",
    "E204": "label in the input",
    "E205": "output stands in the input",
    "W206": "grounding cannot be checked",
    "E301": "transaction in two splits",
    "E302": "same input in two splits",
    "E303": "same input, different outputs",
    "W304": "repeated row",
    "E401": "longer than max_seq_length",
    "E501": "no rows to train on",
    "W502": "no rows to validate or test on",
    "W503": "one class outweighs all others",
    "W504": "class without training rows",
    "W505": "prompts of several versions",
    "W506": "prompts of another version",
}
FIXES: dict[str, str] = {
    "E101": f"repair the line as UTF-8 JSON, or {_LEAVE_OUT}",
    "E102": 'write {"instruction": text, "input": text, "output": text} on one line',
    "E103": f"write the answer, or {_LEAVE_OUT}",
    "E201": "give --any-task if this is meant; evaluate then has nothing to compare",
    "E202": f"correct the output to ethtune.intent/1, or {_LEAVE_OUT}",
    "E203": f"correct the label; a model would learn to invent; or {_LEAVE_OUT}",
    "E204": f"take the key out of the input, or {_LEAVE_OUT}",
    "E205": f"take the answer out of the input, or {_LEAVE_OUT}",
    "W206": "the input is no prompt of ethtune prepare; nothing to do if it is your own",
    "E301": f"keep it in one split: {_LEAVE_OUT} of the later one",
    "E302": f"keep it in one split: {_LEAVE_OUT} of the later one",
    "E303": f"decide which output is right; {_LEAVE_OUT}, the first stays",
    "W304": f"harmless but wasteful; {_LEAVE_OUT}",
    "E401": f"raise data.max_seq_length, or {_LEAVE_OUT}",
    "E501": _RERUN,
    "W502": _RERUN + " with a larger share, or more data",
    "W503": _RERUN + " with --max-per-class",
    "W504": "add such rows; the model will not have seen the class",
    "W505": _RERUN,
    "W506": _RERUN,
}
ROW_CODES = frozenset(code for code in TITLES if code[1] in "1234" and code not in {"E201", "W206"})
