"""A gradual release: a new version gets a share of the requests, then all, or none if an alarm goes off."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from botocore.exceptions import BotoCoreError, ClientError

from tools.release.live_alias import LiveAlias, Traffic
from tools.stack.aws import client
from tools.stack.deployed import DeployedStack
from tools.stack.options import Refused
from tools.stack.patience import Patience
from tools.stack.signals import undisturbed

_LOOK_SECONDS = 5.0


class WentOff(Exception):
    """An alarm went off; the message names it."""


class NobodyWatches(Exception):
    """The alarms could not be read; the message says why."""


@dataclass(frozen=True)
class Alarms:
    """The alarms of a stack.

    Attributes:
        cloudwatch: a client of CloudWatch.
        names: the alarms' names, as Terraform created them.
    """

    cloudwatch: Any
    names: Sequence[str]

    @classmethod
    def of(cls, stack: DeployedStack) -> Self:
        return cls(client("cloudwatch", stack.region), stack.alarms)

    def going_off(self) -> list[str]:
        """Return the alarms in state ALARM; insufficient data means that there is no traffic, which is no fault.

        Raises:
            Refused: an alarm is missing, so nothing would watch the release.
        """
        found = self.cloudwatch.describe_alarms(AlarmNames=list(self.names))["MetricAlarms"]
        if missing := sorted(set(self.names) - {each["AlarmName"] for each in found}):
            raise Refused(f"alarm {missing[0]} is missing, so nothing would watch: make plan && make apply")
        return sorted(each["AlarmName"] for each in found if each["StateValue"] == "ALARM")


@dataclass(frozen=True)
class Canary:
    """The course of a gradual release.

    Attributes:
        weight: share of the requests that the new version gets, above 0 and below 1.
        seconds: how long it has that share before it gets all requests.
        sleep: waits for so many seconds.
        clock: returns a monotonic time in seconds.
    """

    weight: float
    seconds: float
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def release(self, alias: LiveAlias, new: str, alarms: Alarms) -> None:
        """Shift, watch, complete; if this raises, the alias is back where it was.

        Raises:
            Refused: an alarm is going off already, or is missing.
            WentOff: an alarm went off.
            NobodyWatches: AWS did not answer for a minute. That says nothing against the new version, but it must not
                keep its share of the requests while nobody watches.
        """
        if names := alarms.going_off():
            raise Refused(f"the alarm {names[0]} is going off before the release: fix that first")
        old = Traffic(alias.traffic().version)
        try:
            alias.send(Traffic(old.version, {new: self.weight}))
            self._watch(alarms)
            alias.send(Traffic(new))
        except BaseException:  # also a signal: tools/stack/signals.py
            with undisturbed():
                alias.send(old)
            raise

    def _watch(self, alarms: Alarms) -> None:
        until, patience = self.clock() + self.seconds, Patience(sleep=self.sleep, clock=self.clock)
        while True:
            try:
                names = alarms.going_off()
            except (ClientError, BotoCoreError) as error:
                if patience.again():
                    continue
                raise NobodyWatches(f"the alarms could not be read for {patience.seconds:g} s: {error}") from error
            if names:
                raise WentOff(f"the alarm {names[0]} went off")
            patience = patience.anew()
            left = until - self.clock()
            if left <= 0:
                return
            self.sleep(min(_LOOK_SECONDS, left))
