"""Signals: the first one ends a program in order, and none leaves Terraform without its parent."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tools.stack.signals import STOPS, Stopped, left_to, remembered, stoppable, undisturbed

#: By os.write: a signal may come while the first line is still being printed, and then nothing else may be.
_SAYS_WHAT_IT_GOT = """
import os, signal, sys
def got(number, frame):
    os.write(1, signal.Signals(number).name.encode() + b"\\n")
    sys.exit(7)
signal.signal(signal.SIGTERM, got)
os.write(1, b"ready\\n")
signal.pause()
"""


def _handlers() -> list[object]:
    return [signal.getsignal(number) for number in STOPS]


@pytest.mark.parametrize("number", STOPS, ids=lambda number: number.name)
def test_the_first_signal_stops_and_the_second_does_not_disturb(number: signal.Signals) -> None:
    before = _handlers()

    with stoppable():
        with pytest.raises(Stopped, match=f"^stopped by {number.name}$"):
            signal.raise_signal(number)
        signal.raise_signal(number)

    assert _handlers() == before


class SignalsAtItsEnd:
    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


class RaisesAtItsEnd:
    def __del__(self) -> None:
        raise ValueError("of its own")


@pytest.mark.parametrize("number", STOPS, ids=lambda number: number.name)
def test_a_signal_is_remembered_and_interrupts_nothing(number: signal.Signals) -> None:
    before = _handlers()

    with remembered() as stopped:
        assert not stopped()
        signal.raise_signal(number)
        signal.raise_signal(number)
        assert stopped()

    assert _handlers() == before


def test_a_signal_that_comes_within_a_finaliser_is_remembered() -> None:
    """Where an exception would be lost."""
    with remembered() as stopped:
        SignalsAtItsEnd()
        assert stopped()


def test_a_signal_that_comes_within_a_finaliser_stops_all_the_same() -> None:
    before = sys.unraisablehook

    with stoppable():
        with pytest.raises(Stopped, match="stopped by SIGINT"):
            time.sleep(30 if SignalsAtItsEnd() else 0)  # the object ends before the sleep begins
        signal.raise_signal(signal.SIGINT)

    assert sys.unraisablehook is before


def test_what_else_a_finaliser_raises_is_told_as_before() -> None:
    told: list[object] = []
    before, sys.unraisablehook = sys.unraisablehook, lambda dropped: told.append(dropped.exc_value)
    try:
        with stoppable():
            RaisesAtItsEnd()
    finally:
        sys.unraisablehook = before

    assert [str(error) for error in told] == ["of its own"]


def test_nothing_disturbs_the_call_that_must_be_made() -> None:
    with stoppable(), undisturbed():
        signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_the_child_is_asked_to_end_and_waited_for(number: signal.Signals) -> None:
    command = [sys.executable, "-c", _SAYS_WHAT_IT_GOT]
    with stoppable(), subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        with left_to(child):
            os.kill(os.getpid(), number)
            assert child.wait() == 7
        assert child.stdout.read() == "SIGTERM\n"


def test_ctrl_c_is_the_childs_alone() -> None:
    with stoppable(), subprocess.Popen([sys.executable, "-c", ""]) as child, left_to(child):
        signal.raise_signal(signal.SIGINT)
        assert child.wait() == 0
