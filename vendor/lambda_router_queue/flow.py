"""Estimates about a queue: place in line, when a job is likely to start, when to retry.

The figures come from Redis: counters of waiting jobs per stream, the average time that a job takes, and how many jobs
the living workers can process at a time.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from pydantic_core import from_json

from lambda_router_queue.models import rfc3339
from lambda_router_queue.queue_keys import LANES, PRIORITIES

#: Workers report every 2 s. Figures older than this are ignored.
WORKERS_FRESH_MS = 15_000

#: Turns of each priority out of ten, while all have jobs waiting (``claim.lua``).
TURNS = dict(zip(PRIORITIES, (6, 3, 1), strict=True))
_TURNS = tuple(TURNS.values())
_OTHERS = [[other for other in range(len(PRIORITIES)) if other != own] for own in range(len(PRIORITIES))]

#: Fields of the ``flow`` hash, in the order in which scripts write them on one line.
FIGURES = (
    *(f"{change}:{stream}" for stream in range(LANES * len(PRIORITIES)) for change in ("added", "left")),
    *("service_ms", "slots", "slots_at"),
)
#: Doubles count exactly up to this, and no figure of ours comes near it.
_MOST = 2**53
_DIGITS = len(str(_MOST))
#: An estimated start further ahead than this is not reported.
LONGEST_FORETOLD_MS = 366 * 86_400_000


def _figures(line: str, report: Callable[[str], None]) -> Sequence[float]:
    """Return a number for each of FIGURES, none below 0."""
    try:  # all at once, as JSON: four times as fast as word by word
        figures: list[float] = from_json(f"[{line.replace(' ', ',')}]", allow_inf_nan=False)
        if len(figures) == len(FIGURES) and min(figures) >= 0 and sum(figures) <= _MOST:
            return figures
    except (ValueError, TypeError, OverflowError):
        pass
    words = line.split(" ")
    if len(words) == len(FIGURES):
        return [_figure(name, word, report) for name, word in zip(FIGURES, words, strict=True)]
    if line:
        report("several")
    return [0] * len(FIGURES)


def _figure(name: str, word: str, report: Callable[[str], None]) -> float:
    try:
        value = int(word) if word.isdecimal() and len(word) <= _DIGITS else float(word)
    except ValueError:
        value = math.nan
    if not abs(value) <= _MOST:
        report(name)
        return 0
    return max(0, value)


class Flow(NamedTuple):
    """The figures of one queue at one moment.

    Attributes:
        waiting: waiting jobs per stream, in the order of ``QueueKeys.streams``.
        left: jobs that have left each stream's line since the queue began.
        service_ms: how long a job takes on average; 0 if none was measured.
        slots: jobs that all living workers can process at a time.
    """

    waiting: Sequence[int]
    left: Sequence[int]
    service_ms: float
    slots: int

    @classmethod
    def from_line(cls, line: str, now_ms: int, report: Callable[[str], None]) -> "Flow":
        """Parse the values of FIGURES.

        Args:
            line: as ``record.lua`` writes it; an empty line means that nothing is known.
            now_ms: the server's time.
            report: gets the name of each field that holds no number, or "several". Such a value counts as 0: anybody
                who can write to Redis may have written it.
        """
        *counts, service_ms, slots, slots_at = _figures(line, report)
        left = counts[1::2]
        fresh = abs(now_ms - slots_at) < WORKERS_FRESH_MS  # abs: the server's clock may have stepped back
        return cls(
            waiting=[int(a - b) if a > b else 0 for a, b in zip(counts[::2], left, strict=True)],
            left=[*map(int, left)],
            service_ms=service_ms,
            slots=int(slots) if fresh else 0,
        )

    def position(self, stream: int, seq: int) -> int:
        """Return the place in line of the job that joined its stream as number ``seq``; 1 is next.

        Lanes take turns, so each other lane sends ahead at most as many jobs as are ahead in this lane, and one more.
        Priorities take turns by their weights. This is an estimate: jobs cancelled behind it make it look nearer than
        it is.
        """
        own, own_lane = divmod(stream, LANES)
        place_in_lane = max(1, seq - self.left[stream])
        lanes = self._lanes(own)
        others = sum([min(waiting, place_in_lane) for lane, waiting in enumerate(lanes) if lane != own_lane])
        place = place_in_lane + others
        # Jobs of another priority get their turns while those ahead and this one get theirs.
        turns = [(sum(self._lanes(other)), place * _TURNS[other] // _TURNS[own]) for other in _OTHERS[own]]
        return place + sum([min(turn) for turn in turns])

    def start_delay_ms(self, position: int) -> float | None:
        """Return the milliseconds until the job at that place is likely to start; None if nothing is known."""
        if not self.slots:
            return None
        return max(0, position - self.slots) * self.service_ms / self.slots

    def place(self, now_ms: int, stream: int | None, seq: int | None, due_ms: int) -> tuple[int | None, str | None]:
        """Return position and likely start (RFC 3339) of a job in its stream, or of one that waits until ``due_ms``."""
        if stream is None or seq is None:
            return None, rfc3339(due_ms) if due_ms > now_ms else None
        position = self.position(stream, seq)
        delay = self.start_delay_ms(position)
        return position, None if delay is None or delay > LONGEST_FORETOLD_MS else rfc3339(int(now_ms + delay))

    def drain_ms(self) -> float:
        """Return the milliseconds until the queue is likely to be one job shorter."""
        return self.service_ms / self.slots if self.slots else 0

    def _lanes(self, priority: int) -> Sequence[int]:
        return self.waiting[priority * LANES : (priority + 1) * LANES]
