"""Dead letters: how they are read, chosen by code and age, and summed up."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from lambda_router_queue.models import Envelope, rfc3339
from lambda_router_worker.operations.queue_stats import fields_of, number_of
from lambda_router_worker.queue.connection import Connection

#: Number of dead letters to read at a time, with their envelopes.
PAGE = 20
#: The last millisecond that a date can express.
_LATEST_MS = 253_402_300_799_999
#: Ages by which letters are summed up: each is younger than this many ms, and not than the one before.
AGES = {"1h": 3_600_000, "1d": 86_400_000, "7d": 7 * 86_400_000}
OLDER = "older"


@dataclass(frozen=True)
class DeadLetter:
    """A job that was given up. ``envelope`` is None if the stream's entry could not be read."""

    entry_id: str
    job_id: str
    code: str
    message: str
    attempts: int
    at: str
    envelope: Envelope | None

    @property
    def written_ms(self) -> int:
        """The time at which it was written, by Redis's clock."""
        return _time_of(self.entry_id)


@dataclass(frozen=True)
class Wanted:
    """Which dead letters are meant; all of them by default.

    Attributes:
        code: only those with this code.
        older_ms: only those written at least this long ago; ``newer_ms``: at most.
        after: only those behind this entry.
        last: none behind this entry, such as those that were written since.
    """

    code: str | None = None
    older_ms: int | None = None
    newer_ms: int | None = None
    after: str | None = None
    last: str | None = None

    def span(self, now_ms: int) -> tuple[str, str]:
        """Return the first and the last entry id to read, in the notation of XRANGE."""
        since = 0 if self.newer_ms is None else max(0, now_ms - self.newer_ms)
        first = f"({self.after}" if self.after and _time_of(self.after) >= since else str(since)
        if self.older_ms is None:
            return first, self.last or "+"
        until = max(0, now_ms - self.older_ms)
        return first, self.last if self.last and _time_of(self.last) <= until else str(until)

    def has(self, letter: DeadLetter) -> bool:
        """Return whether a letter within the span is meant."""
        return self.code is None or letter.code == self.code


ALL = Wanted()


class Summary:
    """Dead letters summed up by code and age.

    Attributes:
        by_code: number of letters by code, and within it by age.
        letters: their number.
    """

    def __init__(self) -> None:
        self.by_code: dict[str, dict[str, int]] = {}
        self.letters = 0

    def add(self, letter: DeadLetter, now_ms: int) -> None:
        """Count a letter."""
        age_ms = now_ms - letter.written_ms
        age = next((name for name, ms in AGES.items() if age_ms < ms), OLDER)
        self.by_code.setdefault(letter.code, dict.fromkeys((*AGES, OLDER), 0))[age] += 1
        self.letters += 1


async def read_letters(redis: Connection, dead: str, wanted: Wanted, now_ms: int) -> AsyncIterator[DeadLetter]:
    """Yield every letter of the wanted age, the oldest first, whatever its code."""
    start, end = wanted.span(now_ms)
    while rows := await redis.execute("XRANGE", dead, start, end, "COUNT", PAGE):
        for entry_id, flat in rows:
            yield _letter(entry_id, fields_of(flat))
        start = f"({rows[-1][0]}"


def _time_of(entry_id: str) -> int:
    """Return the time (ms) at which an entry was written, by Redis's clock."""
    return int(entry_id.partition("-")[0])


def _letter(entry_id: str, fields: dict[str, str]) -> DeadLetter:
    try:
        envelope = Envelope.model_validate_json(fields["job"])
    except (ValueError, LookupError):
        envelope = None
    return DeadLetter(
        entry_id=entry_id,
        job_id=fields.get("id", ""),
        code=fields.get("code", ""),
        message=fields.get("message", ""),
        attempts=number_of(fields.get("attempts")),
        at=rfc3339(min(number_of(fields.get("at")), _LATEST_MS)),
        envelope=envelope,
    )
