"""What stands in Redis at one moment; and the same up to a shift of time and of names."""

import json
import re
from functools import lru_cache
from typing import Any, NamedTuple

from chalicelib.models import FINAL_STATUSES
from tests.model.server import QUEUE, Data

#: Idle times and pasts beyond this make no difference to any script.
LONG_AGO_MS = 30_000
_PREFIX = len(QUEUE.flow) - len("flow")
_COUNTERS = [(f"added:{stream}", f"left:{stream}") for stream in range(12)]
#: Fields of a record that no script goes by, or not any more once the job is final or begun.
_NOTES = {
    "created_at",
    "attempt_at",
    "finished_at",
    "worker",
    "seq",
    "last_error",
    "traceparent",
    "request_id",
    "metadata",
}
_OF_OPEN = {
    "deadline_at",
    "store_ms",
    "keep_until",
    "started_at",
    "attempts",
    "deaths",
    "crashes",
    "nonce",
    "lease_until",
}
_NUMBERS = re.compile(r"\d{13}-\d+|\d{16}|\d{13}|nonce-\d+")


class Entry(NamedTuple):
    """An entry of a stream. ``holder``: consumer that it is pending under, or None; ``since``: delivered then (ms)."""

    stream: int
    entry_id: str
    job_id: str
    fields: dict[str, str]
    holder: str | None
    since: int
    count: int
    delivered: bool


def _pairs(flat: list[Any]) -> dict[str, Any]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


@lru_cache(maxsize=200_000)
def _hash(content: str) -> dict[str, str]:
    return _pairs(json.loads(content) or [])


@lru_cache(maxsize=200_000)
def _stream(place: int, content: str) -> tuple[list[Entry], list[str]]:
    """Its entries, and what is pending and not there any more."""
    rows, pending, last = json.loads(content)
    held = {row[0]: row[1:] for row in pending or ()}
    seen = []
    for entry_id, flat in rows or ():
        fields, delivered = _pairs(flat), bool(last) and _order(entry_id) <= _order(last)
        seen.append(Entry(place, entry_id, fields.get("id", ""), fields, *held.get(entry_id, (None, 0, 0)), delivered))
    return seen, [entry_id for entry_id in held if entry_id not in {entry.entry_id for entry in seen}]


def _order(name: str) -> list[int]:
    return [int(part) for part in name.split("-") if part.isdigit()]


class Sight:
    """The data at a time (ms)."""

    def __init__(self, now: int, data: Data) -> None:
        self.now, self.data, self.expires = now, data, {key[_PREFIX:]: value.expires for key, value in data.items()}
        self.jobs, self.sets, self.hashes = (dict[str, dict[str, str]]() for _ in range(3))
        self.entries, self.letters, self.left_pending, self.texts = (
            list[Entry](),
            list[Entry](),
            list[str](),
            dict[str, str](),
        )
        for key, (_, _, content) in data.items():
            name = key[_PREFIX:]
            match name.partition(":"):
                case "jobs", _, _:
                    entries, left = _stream(QUEUE.streams.index(key), content)
                    self.entries, self.left_pending = self.entries + entries, self.left_pending + left
                case "dead", _, _:
                    self.letters, _ = _stream(-1, content)
                case "job", _, job_id:
                    self.jobs[job_id] = _hash(content)
                case (("flow" | "retrying"), _, _):
                    self.hashes[name] = _hash(content)
                case (("rate" | "idem" | "handover"), _, _):
                    self.texts[name] = json.loads(content)
                case _:
                    self.sets[name] = _hash(content)
        self.flow = self.hashes.get("flow", {})
        self.open = {id_: record for id_, record in self.jobs.items() if record["status"] not in FINAL_STATUSES}
        self.lines = [int(self.flow.get(added, 0)) - int(self.flow.get(left, 0)) for added, left in _COUNTERS]

    def same(self, other: "Sight") -> bool:
        """Nothing else stands in Redis."""
        return self is other or self._all() == other._all()

    def _all(self) -> tuple[object, ...]:
        return self.jobs, self.entries, self.letters, self.expires, self.sets, self.hashes, self.texts

    def entries_of(self, job_id: str) -> list[Entry]:
        return [entry for entry in self.entries if entry.job_id == job_id]

    def text(self) -> str:
        """What a script could tell apart."""
        lines: list[object] = [
            (id_, self.expires[f"job:{id_}"], _kept(record)) for id_, record in sorted(self.jobs.items())
        ]
        lines += [(*entry[:3], *entry[4:], "begun" in entry.fields) for entry in self.entries]
        lines += [(letter[:3], letter.fields.get("job") == "", letter.fields.get("token")) for letter in self.letters]
        for name, members in sorted(self.sets.items()):
            lines.append(
                (name, self.expires[name], sorted(members) if name[:5] == "owner" else sorted(members.items()))
            )
        lines += sorted((name, self.expires[name], text) for name, text in self.texts.items())
        lines += [sorted(self.hashes.get("retrying", ())), self.lines, self.flow.get("released")]
        turns = [int(self.flow.get(f"turn:{priority}", 0)) % 4 for priority in (1, 2, 3)]
        lines += turns if len(self.entries) > 1 else []
        return str(lines)


def _kept(record: dict[str, str]) -> object:
    dropped = _NOTES | (_OF_OPEN if record["status"] in FINAL_STATUSES else set())
    if "started_at" in record:
        dropped = dropped | {"deadline_at", "started_at"}
    kept = sorted((name, value) for name, value in record.items() if name not in dropped)
    return kept, "started_at" in record and record["status"] not in FINAL_STATUSES


def shifted(text: str, now: int) -> str:
    """The same with times from now on, and ids, tokens and nonces by rank."""
    found = set(_NUMBERS.findall(text))
    names = {name: f"{max(int(name) - now, -LONG_AGO_MS):+d}" for name in found if len(name) == 13 and name.isdigit()}
    named = sorted(found.difference(names), key=_order)
    names |= {name: f"#{rank}" for rank, name in enumerate(named)}
    return _NUMBERS.sub(lambda match: names[match[0]], text)
