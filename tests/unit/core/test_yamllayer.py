"""YAML as people write it, and as nobody should."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ethtune.core.errors import ConfigError
from ethtune.core.yamllayer import parse_scalar, read_layer


def values(text):
    layer = read_layer(text, name="c.yaml")
    assert layer.faults == ()
    return {(entry.section, entry.key): entry.value for entry in layer.entries}


def refusals(text):
    """What is wrong with the whole text or with parts of it."""
    try:
        return read_layer(text, name="c.yaml").faults
    except ConfigError as error:
        return (error.message,)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2e-4", 2e-4),
        ("2.0e-4", 2e-4),
        ("1E6", 1e6),
        (".5", 0.5),
        ("-3", -3),
        ("010", 10),  # not eight
        ("1_000", 1000),
        ("12:30", "12:30"),  # not 750
        ("true", True),
        ("False", False),
        ("no", "no"),  # a strategy, not a negation
        ("on", "on"),
        ("null", None),
        ("~", None),
        ("", None),
        ("'2e-4'", "2e-4"),
        ('"true"', "true"),
        ("nan", "nan"),
        (".inf", ".inf"),
        ("0x10", "0x10"),
        ("2026-01-01", "2026-01-01"),
        ("mistralai/Mistral-7B-v0.1", "mistralai/Mistral-7B-v0.1"),
        ("[q_proj, v_proj]", ["q_proj", "v_proj"]),
        ("[]", []),
        ("[1, 2e1, no]", [1, 20.0, "no"]),
    ],
)
def test_scalars_follow_yaml_1_2(text, value):
    assert values(f"lora:\n  key: {text}\n") == {("lora", "key"): value}
    assert parse_scalar(text) == value


def test_what_is_no_yaml_stays_a_word_on_the_command_line():
    assert parse_scalar("[q_proj") == "[q_proj"
    assert parse_scalar("a: b: c") == "a: b: c"


def test_places_count_from_one():
    (entry,) = read_layer("# a\nlora:\n    r: 8\n", name="c.yaml").entries
    assert (entry.place, entry.excerpt) == ("c.yaml:3:5", "r: 8")


@pytest.mark.parametrize("text", ["", "# nothing\n", "lora:\n", "lora: ~\n", "---\n"])
def test_nothing_said_is_nothing_set(text):
    assert values(text) == {}


@pytest.mark.parametrize(
    ("text", "place", "fault"),
    [
        ("lora:\n  r: 1\n  r: 2\n", "c.yaml:3:3", 'key "r" stands twice in section lora'),
        ("lora:\n  r: 1\nlora:\n  alpha: 2\n", "c.yaml:3:1", 'key "lora" stands twice'),
        ("lora: 5\n", "c.yaml:1:7", "section lora must hold keys and values"),
        ("- lora\n", "c.yaml:1:1", "the file must hold keys and values"),
        ("hello\n", "c.yaml:1:1", "the file must hold keys and values"),
        ("lora:\n  r: {a: [[1]]}\n", "c.yaml:2:11", "expected plain values here"),
        ("lora:\n  r: {a: 1, a: 2}\n", "c.yaml:2:13", 'key "a" stands twice in this value'),
        ("lora:\n  r: [[1]]\n", "c.yaml:2:7", "expected plain values here"),
        ("lora:\n  ? [a, b]\n  : 1\n", "c.yaml:2:5", "is no key of"),
        ("? {a: b}\n: {r: 1}\n", "c.yaml:1:3", "is no key of"),
    ],
)
def test_structural_faults_have_places(text, place, fault):
    faults = read_layer(text, name="c.yaml").faults
    assert len(faults) == 1
    assert faults[0].startswith(f"{place}: ")
    assert fault in faults[0]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("lora:\n  r: [1\n", "c.yaml:3:1"),
        ("lora:\n\tr: 1\n", "c.yaml:2:1"),
        ("lora: *other\n", "c.yaml:1:7"),
        ("lora:\n  r: 1\n alpha: 2\n", "c.yaml:3:2"),
        ("a: 1\n---\nb: 2\n", "c.yaml:2:1"),
        ("lora:\n  r: \x00\n", "c.yaml"),
    ],
)
def test_what_is_no_yaml_is_told_with_its_place(text, place):
    with pytest.raises(ConfigError) as caught:
        read_layer(text, name="c.yaml")
    assert caught.value.message.startswith(place)


def test_aliases_cannot_multiply():
    bomb = "a: &a [x, x]\n" + "".join(f"b{i}: &b{i} [*a, *a]\n" for i in range(30))
    assert read_layer(bomb, name="c.yaml").faults


@pytest.mark.parametrize(
    "text",
    ["lora: " + "[" * 5000, f"lora: {'[' * 5000}{']' * 5000}", "lora:\n  r: " + "{a: " * 5000],
    ids=["open", "closed", "mappings"],
)
def test_five_thousand_brackets_are_refused(text):
    assert refusals(text)


def test_a_megabyte_is_no_config():
    with pytest.raises(ConfigError, match="are no config file"):
        read_layer("#" * 1_000_001, name="c.yaml")


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text):
    assert all(refusal.startswith("c.yaml") for refusal in refusals(text))
    parse_scalar(text)
