"""Every finding has a page, every page an example, and the example costs exactly that finding."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ethtune.dataset.findings import Finding
from ethtune.dataset.rules import Rule, read_page, rules
from ethtune.services.validation import validate_data

SOURCE = Path(__file__).resolve().parents[3] / "src" / "ethtune"
LIMIT = 700
SHOWN = {  # what a page cannot show
    "E107": b'{"text":"' + b"a" * (8 << 20) + b'"}\n',
    "W108": b'\xef\xbb\xbf{"instruction":"a","input":"","output":"b"}\r\n',
}


class CharacterCounter:
    """Every character is a token."""

    def count_tokens(self, prompts, completions):
        lengths = (sum(len(text) for _, text in turns) for turns in prompts)
        return list(zip(lengths, (len(text) + 1 for text in completions), strict=True))


def found_in(rule: Rule, folder: Path) -> list[Finding]:
    """What a check of the page's example finds."""
    for name, rows in re.findall(r"```jsonl (\S+)\n(.*?)\n```", rule.example, flags=re.DOTALL):
        (folder / name).write_bytes(SHOWN.get(rule.code, rows.encode() + b"\n"))
    any_task = rule.code == "W108"
    counter = CharacterCounter()
    report = validate_data(folder, tokenizer=counter, max_seq_length=LIMIT, any_task=any_task)
    return list(report.findings)


@pytest.mark.parametrize("rule", rules().values(), ids=rules())
def test_the_example_of_a_page_costs_that_finding(rule: Rule, tmp_path: Path) -> None:
    findings = found_in(rule, tmp_path)
    codes = {finding.code for finding in findings}
    assert rule.code in codes
    about_rows = {code for code in codes if code[1] != "5"}
    allowed = {rule.code} | ({"W110"} if rule.code in {"E105", "W111"} else set())
    assert about_rows <= allowed
    for finding in findings:
        assert finding.message
        assert finding.as_dict()["fix"] == rules()[finding.code].fix
        if finding.code == rule.code and rule.code[1] != "5":
            assert finding.line
            assert finding.value is not None


def test_codes_in_the_source_are_those_with_a_page() -> None:
    text = "\n".join(file.read_text("utf-8") for file in SOURCE.rglob("dataset/*.py"))
    assert set(re.findall(r'(?:Fault|Finding|_found)\(\s*"([EW]\d{3})"', text)) <= set(rules())
    assert set(re.findall(r'"([EW]\d{3})"', text)) == set(rules())


def test_a_page_is_read_as_it_is_written() -> None:
    for page in (SOURCE / "assets" / "rules").iterdir():
        text = page.read_text("utf-8")
        rule = read_page(text)
        assert page.name == f"{rule.code}.md"
        assert rule.page == text
        assert rule.fix.endswith(".")
        assert len(rule.title) < 60


@pytest.mark.parametrize("text", ["", "# E101 no colon\n", "# E101: a title\n\nno sections\n"])
def test_a_page_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no page of a rule"):
        read_page(text)
