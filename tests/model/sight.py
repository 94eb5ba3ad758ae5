"""What stands in Redis at one moment; and the same up to a shift of time and of names."""

import json
import re
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple

from lambda_router_queue.models import FINAL_STATUSES
from tests.model.server import QUEUE, Data, data_of

#: Idle times and pasts beyond this make no difference to any script.
LONG_AGO_MS = 30_000
_PREFIX = len(QUEUE.flow) - len("flow")
_STREAMS = {key[_PREFIX:]: place for place, key in enumerate(QUEUE.streams)}
#: Fields of a record that no script goes by; and those that none does any more once the job was begun, or is final.
_NOTES = "created_at attempt_at finished_at worker seq last_error traceparent request_id metadata counted"
_UNTIL_BEGUN = "deadline_at"
_UNTIL_FINAL = "deadline_at store_ms keep_until started_at attempts deaths crashes nonce lease_until"
_NUMBERS = re.compile(r"(\d{13}-\d+|\d{16}|\d{13}|nonce-\d+)")


class Entry(NamedTuple):
    """An entry of a stream. ``holder``: consumer that it is pending under, or None; ``since``: delivered then (ms).

    One that is pending and not there any more has no fields.
    """

    stream: int
    entry_id: str
    job_id: str
    fields: dict[str, str]
    delivered: bool
    holder: str | None
    since: int
    deliveries: int


def _entries(stream: int, facts: dict[str, Any]) -> list[Entry]:
    group = _pairs(facts["groups"][0]) if facts["groups"] else {}
    held: dict[str, Any] = {name: rest for name, *rest in group.get("pending") or ()}
    last, there = _order(group.get("last-delivered-id", "0-0")), {name: _pairs(flat) for name, flat in facts["entries"]}
    rows = [(name, there.get(name, {})) for name in there | held]
    return [
        Entry(stream, name, fields.get("id", ""), fields, _order(name) <= last, *held.get(name, (None, 0, 0)))
        for name, fields in rows
    ]


def _pairs(flat: list[Any]) -> dict[str, Any]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _order(name: str) -> list[int]:
    return [int(part) for part in name.split("-") if part.isdigit()]


@lru_cache(maxsize=200_000)
def _read(name: str, content: str) -> tuple[Any, list[str]]:
    """A key's value; and what scripts can tell of it, cut at its numbers."""
    kind, value = name.partition(":")[0], json.loads(content) or []
    if isinstance(value, list):
        value = _pairs(value)
    if kind in ("jobs", "dead"):
        value = _entries(_STREAMS.get(name, -1), value)
    elif kind == "events":
        value = [(entry_id, _pairs(flat)) for entry_id, flat in value["entries"]]
    return value, cut((name, _telling(kind, value)))


def _telling(kind: str, value: Any) -> object:
    match kind:
        case "job":
            is_final, is_begun = value["status"] in FINAL_STATUSES, "started_at" in value
            dropped = f"{_NOTES} {_UNTIL_FINAL if is_final else _UNTIL_BEGUN if is_begun else ''}".split()
            kept = sorted(item for item in value.items() if item[0] not in dropped)
            return [(name, text if name != "started_at" else "") for name, text in kept]
        case "jobs":
            return [(*entry[:3], *entry[4:], "begun" in entry.fields) for entry in value]
        case "dead":
            return [(letter[:3], letter.fields.get("job") == "", letter.fields.get("token")) for letter in value]
        case "flow":
            return _lines(value), value.get("released")
        case "bytes":
            value = {}  # of the books nothing makes a difference but where they are full
        case "owner" | "retrying":
            return sorted(value)
    return sorted(value.items()) if isinstance(value, dict) else value


def _lines(flow: dict[str, str]) -> list[int]:
    return [int(flow.get(f"added:{stream}", 0)) - int(flow.get(f"left:{stream}", 0)) for stream in range(12)]


def cut(content: object) -> list[str]:
    """As text; times, ids, tokens and nonces stand at the odd places."""
    return _NUMBERS.split(str(content))


class Sight:
    """The data at a time (ms). ``values``: by key, without what all keys begin with."""

    def __init__(self, now: int, data: Data) -> None:
        self.now, self.data = now, data
        self.expires = {key[_PREFIX:]: expires for key, (expires, _, _) in data.items()}
        read = {key[_PREFIX:]: _read(key[_PREFIX:], content) for key, (_, _, content) in data.items()}
        self.values: dict[str, Any] = {name: value for name, (value, _) in read.items()}
        self._pieces = [pieces for _, pieces in read.values()]
        self.jobs: dict[str, dict[str, str]] = {name[4:]: record for name, record in self.named("job").items()}
        self.open = {id_: record for id_, record in self.jobs.items() if record["status"] not in FINAL_STATUSES}
        self.entries: list[Entry] = [*chain(*self.named("jobs").values())]
        self.letters: list[Entry] = self.value("dead") or []
        self.flow: dict[str, str] = self.value("flow")
        self.lines = _lines(self.flow)

    def value(self, name: str) -> Any:
        return self.values.get(name, {})

    def named(self, kind: str) -> dict[str, Any]:
        return {name: value for name, value in self.values.items() if name.startswith(f"{kind}:")}

    def same(self, other: "Sight") -> bool:
        """Nothing else stands in Redis."""
        return self is other or (self.values, self.expires) == (other.values, other.expires)

    def digest(self, known: list[str]) -> int:
        """The same for states that no script can tell apart. ``known``: what matters beside them, cut.

        Times are counted from now on; ids, tokens and nonces are ranks.
        """
        turns = [self.flow.get(f"turn:{priority}", "") for priority in (1, 2, 3)]
        pieces = [*self._pieces, cut(list(self.expires.values())), known]
        numbers = {*chain(*(each[1::2] for each in pieces))}
        shown = {
            each: str(max(int(each) - self.now, -LONG_AGO_MS)) for each in numbers if each.isdigit() and len(each) == 13
        }
        shown |= {each: f"#{rank}" for rank, each in enumerate(sorted(numbers - shown.keys(), key=_order))}
        return hash(
            "".join(shown.get(piece, piece) for piece in chain(turns if len(self.entries) > 1 else [], *pieces))
        )


@lru_cache(maxsize=1000)
def seen(now: int, look: str) -> Sight:
    return Sight(now, data_of(look))
