"""Any bytes are answered with findings, never with a crash; a good row is good among any others."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ethtune.dataset.findings import costs_the_row
from ethtune.dataset.rules import rules
from ethtune.services.validation import known_decimals, validate_data

GOOD = {
    "id": "0x" + "1f" * 32,
    "instruction": "Decode this.",
    "input": '{"to":"USDC","value":"0.5","status":"success"}',
    "output": '{"action":"transfer","outcome":"success","sent":[{"asset":"ETH","amount":"0.5"}]}',
}
LINE = json.dumps(GOOD).encode()

FRAGMENTS = st.sampled_from([
    b"{", b"}", b"[", b"]", b'"', b":", b",", b"\\", b"\n", b"\r\n", b"\0", b"\xff",
    b"\xef\xbb\xbf",
    b'"instruction"', b'"input"', b'"output"', b'"text"', b'"messages"', b'"conversations"',
    b'"role"', b'"content"', b'"user"', b'"assistant"', b'"action"', b'"sent"', b'"meta"', b'"id"',
    b"null", b"true", b"1e9", b"NaN", b"0.5", b'"0x1f"', b"[" * 1100, b"9" * 5000, b'"\\ud800"',
    LINE, LINE[:40], LINE[40:],
])  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from([
            "instruction", "input", "output", "id", "meta", "text", "messages", "conversations",
            "role", "content", "from", "value", "action", "sent", "asset", "amount", "logs", "of",
            "status", "view", "recipient", "internal", "to", "tool_calls", "prompt_version",
        ]),
        inner,
        max_size=5,
    ),
    max_leaves=12,
)  # fmt: skip
QUICK = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def changed_rows():
    """The good row with any value under some of its keys, as JSON in a string too."""
    values = JSON | JSON.map(json.dumps)
    keys = st.sampled_from([*GOOD, "meta", "text"])
    return st.dictionaries(keys, values, min_size=1, max_size=3).map(
        lambda changes: json.dumps(GOOD | changes).encode()
    )


def check(folder: Path, content: bytes, **options):
    file = folder / "rows.jsonl"
    file.write_bytes(content)
    report = validate_data(file, **options)
    assert {finding.code for finding in report.findings} <= set(rules())
    text = "".join(report.json_chunks())
    assert json.loads(text.encode()) == report.as_dict()
    for finding in report.findings:
        assert len(finding.message) <= 2000
        assert finding.line is None or 1 <= finding.line <= content.count(b"\n") + 1
    return report


@QUICK
@given(content=st.lists(FRAGMENTS | st.binary(max_size=8), max_size=12).map(b"".join))
def test_any_bytes_are_answered(content: bytes, tmp_path: Path) -> None:
    check(tmp_path, content)
    check(tmp_path, content, any_task=True)


@QUICK
@given(bad=st.lists(changed_rows() | JSON.map(json.dumps).map(str.encode), max_size=5))
def test_rows_of_any_values_are_answered(bad: list[bytes], tmp_path: Path) -> None:
    check(tmp_path, b"\n".join(bad))


@QUICK
@given(data=st.data(), bad=st.lists(changed_rows() | st.binary(max_size=20), max_size=6))
def test_a_good_row_is_good_among_any_others(data, bad: list[bytes], tmp_path: Path) -> None:
    """Unless another row is good by itself too and says something else of the same input."""
    bad = [line.replace(b"\n", b"") for line in bad]
    place = data.draw(st.integers(0, len(bad)))
    lines = [LINE, *bad[:place], *bad[place:]]
    report = check(tmp_path, b"\n".join(lines))
    mine = {finding.code for finding in report.findings if finding.line == 1}
    assert mine == set()


@QUICK
@given(bad=st.lists(changed_rows() | st.binary(max_size=20), max_size=6))
def test_a_corrected_copy_has_no_faulty_rows(bad: list[bytes], tmp_path_factory) -> None:
    folder = tmp_path_factory.mktemp("fix")
    lines = [LINE, *(line.replace(b"\n", b"") for line in bad)]
    check(folder, b"\n".join(lines), fix=folder / "copy")
    again = validate_data(folder / "copy")
    found = {code for code in again.findings.counts if costs_the_row(code)}
    assert found == set()
    assert again.rows["train"] >= 1


def test_known_tokens_have_their_decimals() -> None:
    decimals = known_decimals()
    assert (decimals["ETH"], decimals["USDC"], decimals["WBTC"]) == (18, 6, 8)
