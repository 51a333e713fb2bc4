"""Each class: its exit code, its place in the tree, and how it reads on a terminal."""

import re

import pytest

from ethtune.core import errors
from ethtune.core.errors import EthtuneError, Interrupted
from ethtune.ui.terminal import show_error

CODES = {
    "EthtuneError": 70,
    "UsageError": 2,
    "ConfigError": 3,
    "DataError": 4,
    "MachineError": 5,
    "RunError": 6,
    "DivergedError": 7,
}


def every_class():
    return [cls for cls in vars(errors).values() if isinstance(cls, type) and cls is not Interrupted
            and issubclass(cls, EthtuneError)]  # fmt: skip


def test_exit_codes_are_the_documented_ones():
    assert {cls.__name__: cls.exit_code for cls in every_class()} == CODES
    drawn = dict(re.findall(r"(\w+Error) +(\d+)", errors.__doc__))
    assert {name: int(code) for name, code in drawn.items()} == CODES


@pytest.mark.parametrize("cls", every_class(), ids=lambda cls: cls.__name__)
def test_every_error_prints_its_sentence_and_its_hint(cls, capsys):
    show_error(cls("train.jsonl:7: [bold]no key[/bold] output", hint="ethtune validate-data data"))
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == (
        "error: train.jsonl:7: [bold]no key[/bold] output\n  try: ethtune validate-data data\n"
    )


def test_an_error_without_advice_gives_none(capsys):
    show_error(EthtuneError("no"))
    assert capsys.readouterr().err == "error: no\n"


@pytest.mark.parametrize(("signal_number", "code"), [(2, 130), (15, 143)])
def test_an_interruption_exits_as_shells_expect(signal_number, code, capsys):
    error = Interrupted("stopped, as asked", signal_number=signal_number, hint="ethtune resume run")
    assert error.exit_code == code
    assert EthtuneError.exit_code == 70
    show_error(error)
    assert "ethtune resume run" in capsys.readouterr().err


def test_secrets_and_control_characters_do_not_reach_the_terminal(capsys):
    show_error(EthtuneError("bad \x1b[2J token hf_" + "a1" * 16))
    printed = capsys.readouterr().err
    assert "\x1b" not in printed
    assert "hf_a1" not in printed
