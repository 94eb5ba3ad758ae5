"""A gradual release: how long it watches, and each way in which it ends."""

import signal
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.unit.release.fake_function import FakeFunction
from tools.release.__main__ import release
from tools.release.canary import Alarms, Canary, WentOff
from tools.stack.findings import Finding, Status
from tools.stack.options import Refused
from tools.stack.patience import Patience
from tools.stack.signals import Stopped, stoppable

THROUGH = ["version 1, 10% to version 2", "version 2"]
PATIENCE = Patience(0)
RETURNED = ["version 1, 10% to version 2", "version 1"]


class FakeAlarms:
    """One alarm, whose states come one a look; the last goes on."""

    def __init__(self, *states: str) -> None:
        self.states = list(states)
        self.looks = 0

    def describe_alarms(self, AlarmNames: list[str]) -> dict[str, Any]:  # noqa: N803
        state = self.states[min(self.looks, len(self.states) - 1)]
        self.looks += 1
        return {"MetricAlarms": [{"AlarmName": "errors", "StateValue": state}]}

    def of(self, *names: str) -> Alarms:
        return Alarms(self, names or ("errors",))


class Clock:
    """Moves when somebody waits."""

    def __init__(self, on_wait: Callable[[], object] = lambda: None) -> None:
        self.now, self.waits, self._on_wait = 0.0, list[float](), on_wait

    def sleep(self, seconds: float) -> None:
        self._on_wait()
        self.waits.append(seconds)
        self.now += seconds

    def canary(self, seconds: float) -> Canary:
        return Canary(0.1, seconds, sleep=self.sleep, clock=lambda: self.now)


def test_it_watches_for_as_long_as_it_was_told() -> None:
    function, alarms, clock = FakeFunction("1"), FakeAlarms("OK"), Clock()

    clock.canary(12).release(function.live(), "2", alarms.of())

    assert clock.waits == [5, 5, 2]
    assert alarms.looks == 5  # before, at 0, 5, 10 and 12 s
    assert function.sent == THROUGH
    assert function.told == "2"


def test_too_little_data_is_no_alarm() -> None:
    function = FakeFunction("1")

    Clock().canary(0).release(function.live(), "2", FakeAlarms("INSUFFICIENT_DATA").of())

    assert function.sent == THROUGH


def test_an_alarm_at_the_last_look_still_takes_it_back() -> None:
    function = FakeFunction("1")

    with pytest.raises(WentOff, match=r"^the alarm errors went off$"):
        Clock().canary(5).release(function.live(), "2", FakeAlarms("OK", "OK", "ALARM").of())

    assert function.sent == RETURNED
    assert function.told == "1"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_who_is_stopped_takes_it_back(number: signal.Signals) -> None:
    function, clock = FakeFunction("1"), Clock(lambda: signal.raise_signal(number))

    with stoppable(), pytest.raises(Stopped, match=number.name):
        clock.canary(60).release(function.live(), "2", FakeAlarms("OK").of())

    assert function.sent == RETURNED


def test_a_failing_look_takes_it_back() -> None:
    def fail() -> None:
        raise ConnectionError

    function = FakeFunction("1")

    with pytest.raises(ConnectionError):
        Clock(fail).canary(60).release(function.live(), "2", FakeAlarms("OK").of())

    assert function.sent == RETURNED


class HiddenAlarms(FakeAlarms):
    """AWS throttles so many looks; then they are as they were."""

    def __init__(self, hidden: int) -> None:
        super().__init__("OK")
        self._left = hidden

    def describe_alarms(self, AlarmNames: list[str]) -> dict[str, Any]:  # noqa: N803
        if self.looks and self._left:
            self._left -= 1
            raise ClientError({"Error": {"Code": "Throttling", "Message": "Rate exceeded"}}, "DescribeAlarms")
        return super().describe_alarms(AlarmNames)


def test_alarms_that_cannot_be_looked_at_for_a_moment_are_looked_at_again() -> None:
    function = FakeFunction("1")

    Clock().canary(60).release(function.live(), "2", HiddenAlarms(3).of())

    assert function.sent == THROUGH


def test_while_nobody_can_watch_nothing_is_released() -> None:
    function, clock = FakeFunction("1"), Clock()

    status = release(function.live(), HiddenAlarms(1000).of(), clock.canary(600), list, PATIENCE)

    assert status is Status.FAILED
    assert function.sent == RETURNED
    assert clock.now == 60


def test_an_alarm_that_is_not_there_watches_nothing() -> None:
    function = FakeFunction("1")

    with pytest.raises(Refused, match=r"^alarm latency is missing, so nothing would watch: make plan && make apply$"):
        Clock().canary(60).release(function.live(), "2", FakeAlarms("OK").of("errors", "latency"))

    assert function.sent == []


def test_an_alarm_that_goes_off_before_stops_it() -> None:
    function = FakeFunction("1")

    with pytest.raises(Refused, match=r"^the alarm errors is going off before the release: fix that first$"):
        Clock().canary(60).release(function.live(), "2", FakeAlarms("ALARM").of())

    assert function.sent == []


def test_weights_that_a_killed_release_left_are_begun_anew() -> None:
    function = FakeFunction("1")
    function.alias["RoutingConfig"] = {"AdditionalVersionWeights": {"2": 0.5}}

    Clock().canary(0).release(function.live(), "2", FakeAlarms("OK").of())

    assert function.sent == THROUGH


def test_what_is_found_wrong_afterwards_takes_it_back(capsys: pytest.CaptureFixture[str]) -> None:
    function = FakeFunction("1")
    wrong = [Finding("code", False, "old", "new", "old code serves", "make apply")]

    status = release(function.live(), FakeAlarms("OK").of(), Clock().canary(0), lambda: wrong, PATIENCE)

    assert status is Status.TAKEN_BACK
    assert function.sent == [*THROUGH, "version 1"]
    assert "alias live: taken back from version 2 to version 1." in capsys.readouterr().out


def test_the_newest_version_with_a_rest_of_weights_gets_them_all() -> None:
    function = FakeFunction("2")
    function.alias["RoutingConfig"] = {"AdditionalVersionWeights": {"1": 0.5}}

    assert release(function.live(), FakeAlarms("ALARM").of(), Clock().canary(60), list, PATIENCE) is Status.OK
    assert function.sent == ["version 2"]
