"""When a signal ends the command, when it is a wish, and whose handlers come back."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from ethtune.core.errors import Interrupted
from ethtune.core.signals import StopSignals

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


def send(number):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_before_training_the_first_ends_the_command(number):
    before = signal.getsignal(number)
    with pytest.raises(Interrupted) as caught, StopSignals(lambda: None):
        send(number)
    assert caught.value.exit_code == 128 + number
    assert signal.getsignal(number) is before


def test_in_training_the_first_is_a_wish_and_the_second_ends_it():
    wishes = []
    with pytest.raises(Interrupted) as caught, StopSignals(lambda: wishes.append(1)) as signals:  # noqa: PT012
        signals.is_patient = True
        send(signal.SIGTERM)
        assert (signals.received, wishes) == (signal.SIGTERM, [1])
        send(signal.SIGHUP)  # nobody is in a hurry
        send(signal.SIGINT)
    assert caught.value.exit_code == 143
    assert wishes == [1]


def test_under_nohup_a_closed_terminal_is_no_matter():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals(lambda: None) as signals:
            send(signal.SIGHUP)
        assert signals.received is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_handler_that_meets_a_busy_stream_keeps_the_wish():
    def busy():
        raise RuntimeError("reentrant call")

    with StopSignals(busy) as signals:
        signals.is_patient = True
        send(signal.SIGINT)
    assert signals.received == signal.SIGINT
