"""A new version gets a share of the requests, and then all of them, or none when an alarm goes off."""

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
    """An alarm did, and the message says which."""


class NobodyWatches(Exception):
    """The alarms could not be looked at, and the message says why."""


@dataclass(frozen=True)
class Alarms:
    """The alarms of a stack.

    Attributes:
        cloudwatch: a client of CloudWatch.
        names: of the alarms, as Terraform made them.
    """

    cloudwatch: Any
    names: Sequence[str]

    @classmethod
    def of(cls, stack: DeployedStack) -> Self:
        return cls(client("cloudwatch", stack.region), stack.alarms)

    def going_off(self) -> list[str]:
        """Those in state ALARM; without enough data there is no traffic, which is no fault.

        Raises:
            Refused: one is not there, so that nobody would watch.
        """
        found = self.cloudwatch.describe_alarms(AlarmNames=list(self.names))["MetricAlarms"]
        if missing := sorted(set(self.names) - {each["AlarmName"] for each in found}):
            raise Refused(f"there is no alarm {missing[0]}, so nobody would watch: make plan && make apply")
        return sorted(each["AlarmName"] for each in found if each["StateValue"] == "ALARM")


@dataclass(frozen=True)
class Canary:
    """How a release goes about it.

    Attributes:
        weight: share of the requests that the new version gets, above 0 and below 1.
        seconds: how long it has them before it gets all.
        sleep: waits so many seconds.
        clock: a time in seconds that never goes back.
    """

    weight: float
    seconds: float
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def release(self, alias: LiveAlias, new: str, alarms: Alarms) -> None:
        """Shift, watch, complete; the alias is where it was when this raises.

        Raises:
            Refused: an alarm is going off already, or is not there.
            WentOff: an alarm did.
            NobodyWatches: AWS did not tell for a minute. That says nothing against the new version, but a share of the
                requests must not go on while nobody watches.
        """
        if names := alarms.going_off():
            raise Refused(f"the alarm {names[0]} is going off before anything was released: mend that first")
        old = Traffic(alias.traffic().version)
        try:
            alias.send(Traffic(old.version, {new: self.weight}))
            self._watch(alarms)
            alias.send(Traffic(new))
        except BaseException:  # a signal, too: tools/stack/signals.py
            with undisturbed():
                alias.send(old)
            raise

    def _watch(self, alarms: Alarms) -> None:
        until = self.clock() + self.seconds
        while True:
            if names := self._going_off(alarms):
                raise WentOff(f"the alarm {names[0]} went off")
            left = until - self.clock()
            if left <= 0:
                return
            self.sleep(min(_LOOK_SECONDS, left))

    def _going_off(self, alarms: Alarms) -> list[str]:
        patience = Patience(sleep=self.sleep, clock=self.clock)
        while True:
            try:
                return alarms.going_off()
            except (ClientError, BotoCoreError) as error:
                if not patience.again():
                    raise NobodyWatches(
                        f"the alarms could not be looked at for {patience.seconds:g} s: {error}"
                    ) from error
