"""What the pages promise, checked after each step: each check stands behind the sentence that promises it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from chalicelib.jobs.admission import Admission
from lambda_router_queue.models import Job
from lambda_router_queue.queue_keys import LANES
from lambda_router_queue.redis.wire import Refused
from lambda_router_worker.queue.work_queue import Claim, Lease
from tests.model.sight import Entry, Sight
from tests.model.world import (
    CHORES,
    ENDINGS,
    HELD_FOR,
    KINDS,
    PLACES,
    TURN_MS,
    WAIT_CAPS,
    Action,
    Held,
    Scenario,
    World,
    piece,
)

#: A page below docs/, a sentence on it, and whether it holds.
type Checks = Iterator[tuple[str, bool]]

#: From so many deliveries on an entry's job is at work; from so many on it was, and stands in line again.
_BEGUN, _RETURNED = 1_000_000, 2_000_000
_TURNS = "high normal high high normal high low high normal high"
#: What may change a job's status.
_WAYS = {
    " queued": "submits resubmits redrive",
    "queued in_progress": "start",
    "queued expired": "start looks takes cancels deletes",
    "queued cancelled": "cancels",
    "queued failed": "reject",
    "in_progress completed": "complete",
    "in_progress cancelled": "cancels",
    "in_progress queued": "retry untouched begun crashed",
    "in_progress failed": "fail retry refuse start crashed untouched begun reject",
    "failed queued": "redrive",
}


@dataclass
class Step:
    """An action, its answer, and how things stood before and after.

    "again": the last command was sent again. The answer to that is its action, the first reply, and the second.
    """

    scenario: Scenario
    action: Action
    answer: Any
    before: Sight
    after: Sight
    old: World
    world: World

    def __post_init__(self) -> None:
        actor, self.verb, about, *_ = self.action
        is_worker, is_new = actor[0] == "w", self.verb == "submits"
        self.now = self.after.now
        #: What the worker held that the action is about, its lease, and the worker's options.
        self.held: Held | None = self.old.held[about] if is_worker and self.verb not in CHORES else None
        self.lease_ms, self.deaths = self.scenario.crew[int(actor[1:]) - 1 if is_worker else 0]
        #: The job that the action is about, its record before, and what is known of it.
        letter = self.old.letters[about] if actor == "operator" else None
        sent = self.old.fates[about] if actor in ("caller", "stranger") and not is_new else None
        known = self.held.claim if self.held else letter or sent
        self.job_id = known.job_id if known else ""
        self.was = self.before.jobs.get(self.job_id, {})
        self.fate = self.old.fate(self.job_id)
        #: What a caller sends, and how each of its jobs was decided.
        self.kind = KINDS[self.action.kind] if is_new else sent and sent.kind
        self.verdicts = [each.verdict for each in self.answer.decisions] if isinstance(self.answer, Admission) else []
        self.ran, self.was_at_work = isinstance(self.answer, Lease), self.was.get("status") == "in_progress"
        self.new_letters = [letter for letter in self.after.letters if letter not in self.before.letters]

    @property
    def claims(self) -> list[Claim]:
        """What a worker has claimed by this step."""
        return list(self.answer[0] if self.verb == "turn" else self.answer)

    @property
    def claimable(self) -> bool:
        """Before it, entries waited for a worker, or were given back."""
        return any(not entry.delivered or entry.holder == "released" for entry in self.before.entries)

    @cached_property
    def unchanged(self) -> bool:
        return self.before.same(self.after)

    def more(self, now: dict[str, str], field: str) -> int:
        return int(now.get(field, 0)) - int(self.before.jobs.get(now["id"], {}).get(field, 0))


def _places(s: Step) -> Checks:
    lines, places, scheduled = [0] * 12, list[str](), s.after.value("scheduled")
    for entry in s.after.entries:
        record = s.after.jobs.get(entry.job_id, {})
        is_named = record.get("stream_id") == entry.entry_id
        is_in_line = entry.holder is None or not _BEGUN <= entry.deliveries < _RETURNED
        lines[entry.stream] += record["status"] == "queued" if is_named else is_in_line
        places.append(entry.job_id)
        yield "queue: pending in the group once it is claimed", bool(entry.holder) or not entry.delivered
        yield "queue: Run `XACK`, `XDEL` or `XGROUP DESTROY`, or run `XGROUP DELCONSUMER`", bool(entry.fields)
    yield "queue-debugging: stopped waiting in stream n; the difference is how many wait", s.after.lines == lines
    places += scheduled
    left = {*places}.union(*s.after.named("open").values()) & (s.after.jobs.keys() - s.after.open.keys())
    yield "queue: until its job is final or waits for a retry. Then a script acknowledges and deletes it", not left
    yield "queue: one entry per `Idempotency-Key` while the key is remembered", len({*places}) == len(places)
    is_named = s.after.value("retrying").keys() <= scheduled.keys()
    yield "queue: envelopes of jobs that wait for a retry, by id", is_named


def _stations(s: Step) -> Checks:
    holders = {(entry.job_id, entry.entry_id): entry.holder for entry in s.after.entries}
    scheduled, retrying = s.after.value("scheduled"), s.after.value("retrying")
    for id_, record in s.after.open.items():
        if "stream_id" not in record:
            is_due = scheduled.get(id_) == record.get("due") and ("started_at" in record) == (id_ in retrying)
            yield "queue: `queued`, delayed or waiting for a retry", is_due and "envelope" in record
            continue
        place = (id_, record["stream_id"])
        yield "queue: claimed by nobody, just claimed and not yet started, or given back", place in holders
        # Where a failover has lost that somebody claimed it, it is not pending.
        is_held = record["status"] == "queued" or holders.get(place) or s.world.failed_over
        yield "queue: | `in_progress` | in its stream, pending in the group |", bool(is_held)
    kept = {*s.after.jobs, *retrying, *(entry.job_id for entry in s.after.letters + s.after.entries)}
    for fate in s.world.fates:
        was = s.before.jobs.get(fate.job_id, {"deadline_at": "0", "store_ms": "0"})
        # One that was never begun may vanish, once its deadline and its storage are over.
        may_vanish = not fate.begun and s.now >= int(was["deadline_at"]) + int(was["store_ms"])
        yield "queue: a `202` only after the script has replied", bool(fate.final) or may_vanish or fate.job_id in kept
        yield "queue: **Processed at least once,**", s.verb != "ends" or bool(fate.final) or fate.job_id not in kept


def _ways(s: Step) -> Checks:
    counts = {
        "attempts": s.ran - (s.was_at_work and s.answer == "given back"),
        "deaths": s.verb == "start" and s.was_at_work and s.answer not in ("leased", "stale"),
        "crashes": s.verb == "crashed" and s.was_at_work and not s.unchanged,
    }
    for id_, now in s.after.jobs.items():
        was = s.before.jobs.get(id_, {})
        if any(was.get(name) != now.get(name) for name in ("status", "finished_at")):
            way = f"{was.get('status', '')} {now['status']}"
            yield "queue: are final and are written once", s.verb in _WAYS.get(way, "").split()
        if was.get("status") == "queued" and now["status"] in ("expired", "in_progress"):
            is_over = "started_at" not in was and s.now >= int(was["deadline_at"])
            yield "queue: deadline_at has passed before the first start", is_over == (now["status"] == "expired")
        is_counted = all(s.more(now, name) == (id_ == s.job_id and much) for name, much in counts.items())
        yield "queue: how often the job was started", is_counted or s.verb == "redrive"
        is_read = s.verb == "takes" and id_ == s.job_id and "result" in was
        is_written = s.verb == "complete" and id_ == s.job_id and not s.unchanged
        has_more = ("result" in now) - ("result" in was)
        is_right = now.get("store") != "0" or has_more == is_written - is_read
        yield "contract: gives its result to the first `GET /v1/jobs/{job_id}` that finds it `completed`", is_right


def _leases(s: Step) -> Checks:
    now, lease = s.after.jobs.get(s.job_id, {}), s.held and s.held.lease
    if s.ran and s.fate:
        yield "queue: that no other start of the job shares and that only grows", s.answer.token > s.fate.token
    if lease and s.fate:
        tokens = {str(s.fate.token), s.was.get("lease_token") if s.world.failed_over else ""}
        is_newest = str(lease.token) in tokens
        yield "queue: and only the newest one may renew, emit, finish, retry or give back", is_newest or s.unchanged
    if s.was_at_work and (s.ran or (s.verb == "reject" and s.answer == "dead")):
        yield "queue: returns `leased` to a worker that comes too early", s.now >= int(s.was["lease_until"])
    if s.ran or (s.verb == "renew" and s.answer == "run"):
        entries = [(entry.holder, entry.since) for entry in s.after.entries if entry.job_id == s.job_id]
        is_fresh = s.world.failed_over or entries == [(s.action.actor, s.now)]
        lasts = int(now["lease_until"]) == s.now + s.lease_ms
        yield "queue-debugging: how many milliseconds have passed since its last renewal", is_fresh and lasts
    is_last = (
        (s.answer == "scheduled" and int(s.was.get("attempts", 0)) >= 2)
        or (s.ran and s.more(now, "deaths") > 0 and int(now["deaths"]) >= s.deaths)
        or (s.answer == "given back" and s.more(now, "crashes") > 0 and int(now["crashes"]) >= s.deaths)
    )
    yield "queue: after its lease has expired under as many workers as", not is_last


def _output(s: Step) -> Checks:
    for name, entries in s.after.named("events").items():
        record = s.after.jobs.get(name.removeprefix("events:"), {})
        lives = s.after.expires[name] <= s.after.expires.get(name.replace("events", "job"), 0)
        yield "queue: but never longer than the record", lives
        yield "queue: Removed together with a `result` that is not kept", "output_bytes" in record
        tokens = {entry_id.partition("-")[0] for entry_id, _ in entries}
        log = [(int(entry_id.partition("-")[2]), *fields) for entry_id, fields in entries]
        is_whole = [number for number, _ in log] == [*range(log[0][0], log[0][0] + len(log))]
        is_first = log[0] in ((0, "restarted"), (1, "delta"), (0, "end"))
        texts = [(entry_id, fields["delta"]) for entry_id, fields in entries if "delta" in fields]
        is_its_own = all(text == piece(*_place(entry_id)) for entry_id, text in texts)
        is_ordered = len(tokens) == 1 and is_whole and is_first and is_its_own
        yield "queue: The log holds the pieces of one attempt only, in order, and each once", is_ordered
        yield "queue: | the job is final, and nothing follows |", "end" not in [kind for _, kind in log[:-1]]
    for name, entries in s.before.named("events").items():
        is_voided = name == f"events:{s.job_id}" and (s.ran or s.verb in ("takes", "deletes", "redrive"))
        is_kept = s.after.values.get(name, [])[: len(entries)] == entries
        yield "queue: Live output is kept while the job runs", is_kept or is_voided or s.verb == "jumps"


def _place(entry_id: str) -> tuple[str, int]:
    token, _, number = entry_id.partition("-")
    return token, int(number)


def _emits(s: Step) -> Checks:
    if s.verb == "emit" and isinstance(s.answer, list) and s.held and s.held.lease:
        (word,), token, made = s.answer, s.held.lease.token, s.world.held[s.action.about].made
        deltas = [entry_id for entry_id, fields in s.after.value(f"events:{s.job_id}") or [] if "delta" in fields]
        is_there = deltas == [f"{token}-{number}" for number in range(1, made + 1)]
        is_right = word == f"behind {len(deltas) + 1}" or not word.startswith("behind")
        yield "queue: | `stored` | go on behind the last piece that you sent |", word != "stored" or is_there
        yield "queue: | `behind N` | send again, from piece N on |", is_right and (word == "stored" or s.unchanged)
    if s.verb in ("emit", "renew") and s.answer in (["stored"], "run") and f"events:{s.job_id}" in s.after.expires:
        record, until = (s.after.jobs[s.job_id], s.after.expires[f"events:{s.job_id}"])
        ends = max(s.now + int(record["store_ms"]), int(record["keep_until"]))
        is_long = until == min(s.now + 600_000, ends, s.after.expires[f"job:{s.job_id}"])
        yield "queue: and then for `events_ms`", is_long or s.unchanged


def _voids(s: Step) -> Checks:
    log, record = s.after.value(f"events:{s.job_id}") or [], s.after.jobs.get(s.job_id, {})
    had_output, last = "output_bytes" in s.was, log[-1][1] if log else {}
    if s.ran and s.was.get("nonce") != record.get("nonce"):
        voids = [(f"{s.answer.token}-0", {"restarted": "1"})] if had_output else []
        yield "queue: The script removes what is before it", log == voids
    if s.was_at_work and had_output and (s.answer == "dead" or (s.verb == "complete" and s.answer == "done")):
        yield "queue: | `finish.lua`, and scripts that give up on a job |", last == {"end": "1"}
    if s.verb == "redrive" and s.answer == "queued":
        yield "queue: A requeued dead letter begins without any", not log
    if s.verb in ("takes", "deletes") and "result" in s.was and s.was.get("store") == "0":
        yield "queue: it is deleted together with the result", not log


def _silence(s: Step) -> Checks:
    longest = max(lease_ms for lease_ms, _ in s.scenario.crew)
    for entry in s.after.entries if s.answer == "leased" else []:
        until = int(s.after.jobs.get(entry.job_id, {}).get("lease_until", 0))
        waits = entry.holder and until > s.now and entry.since + longest > until + longest // 2
        yield "queue: a dead worker's job goes on within 1½ leases", not waits
    held = [entry for entry in s.before.entries if entry.holder]
    silent = {entry.entry_id for entry in held if entry.since + s.lease_ms <= s.now}
    if s.verb == "sweep" or (s.verb == "turn" and not s.claimable):
        taken = {claim.entry_id for claim in s.claims}
        yield "queue: for entries idle for a lease", bool(taken) == bool(silent) and taken <= silent
    if s.verb == "turn" and not s.claims:
        ends = [entry.since + s.lease_ms - s.now for entry in held]
        yield "queue: and when the next lease may end", s.answer[1] == min([TURN_MS, *ends])
    if s.verb in ("beat", "leave", "turn"):
        living = [name for name, heard in s.after.value("workers").items() if abs(int(heard) - s.now) < 15_000]
        slots = sum(int(name.split()[0]) for name in living)
        yield "queue: after 15 s of silence (`beat.lua`'s third argument)", s.after.flow.get("slots") == str(slots)
    averages = [float(s.after.flow.get(name, 0)) for name in ("service_ms", "gap_ms")]
    yield "contract: is computed from the average time of a job", min(averages) >= 0


def _lives(s: Step) -> Checks:
    expires = s.after.expires
    for id_, record in s.after.jobs.items():
        until, store = expires[f"job:{id_}"], int(record["store_ms"])
        if id_ in s.after.open:
            waits_until = record.get("due", 0) if "started_at" in record else record["deadline_at"]
            lives = until >= int(record.get("lease_until", waits_until)) + store
        else:
            least = max(int(record["finished_at"]) + store, int(record["keep_until"]))
            lives = until == least or (record["status"] == "expired" and until > least)
        yield "queue: It expires by itself `store_ms` after the job is final, and not before `keep_until`", lives
        owner = f"owner:{record['owner']}"
        is_listed = id_ in s.after.value(owner) and expires[owner] >= until
        yield "queue: a list expires with the last record that it names", is_listed
    deleted = {fate.job_id for fate in s.world.fates if fate.final == "deleted"}
    for name, text in s.after.named("idem").items():
        job_id = text.split()[0]
        outlives = job_id in deleted or expires.get(f"job:{job_id}", 0) >= expires[name]
        yield "queue: until when a repeated `Idempotency-Key` can find this job", outlives
    kinds = ("job:", "events:", "handover:", "owner:", "open:", "rate:", "idem:")
    yield "queue: It expires by itself", all(expires[name] > 0 for name in expires if name.startswith(kinds))


def _books(s: Step) -> Checks:
    """Of each caller and of the queue: what is counted is what records say, and what those said that have ended."""
    counted = [(record["owner"], *map(int, record["counted"].split())) for record in s.after.jobs.values()]
    for owner, book in [("", s.after.flow), *((name[6:], book) for name, book in s.after.named("bytes").items())]:
        buckets = {int(name[6:]): int(held) for name, held in book.items() if name.startswith("bytes:")}
        yield "fairness: `bytes` is the sum of all buckets", int(book.get("bytes", 0)) == sum(buckets.values())
        for _, size, _, bucket in (each for each in counted if owner in ("", each[0])):
            buckets[bucket] = buckets.get(bucket, 0) - size
        left = [*buckets.values()]
        is_exact = min(left, default=0) >= 0 and (s.world.vanished or not any(left))
        yield "fairness: the sum of what all records of the bucket say", is_exact
    for id_, record in s.after.jobs.items():
        until, bucket = s.after.expires[f"job:{id_}"], int(record["counted"].split()[2])
        outlives = until <= bucket * 600_000 and s.after.expires[f"bytes:{record['owner']}"] >= until
        yield "fairness: the ten minutes in which the record will be gone", outlives


def _letters(s: Step) -> Checks:
    # Several jobs that wait for a retry may be due without their records.
    most = len(s.before.value("retrying")) if s.verb == "promote" else s.verb in ("reject", "start")
    if s.answer == "dead" and s.was.get("status") in ("queued", "in_progress"):
        yield "queue: becomes `failed`, and a dead letter goes to the stream `dead`", len(s.new_letters) == 1
    else:
        yield "queue: A job is **given up on** in these cases: - after its last attempt", len(s.new_letters) <= most
    for letter in s.new_letters:
        envelope, fate = letter.fields["job"], s.old.fate(letter.job_id)
        sent = [entry.fields["job"] for entry in s.before.entries if entry.job_id == letter.job_id] or [envelope]
        is_kept = fate is None or '"store": false' not in fate.kind.body
        is_whole = ('"prompt"' in envelope) == is_kept and (envelope in sent or not is_kept)
        yield "queue: its envelope, byte for byte. Empty where the record's `store` is `0`", is_whole
    gone = len(s.before.letters) + len(s.new_letters) - len(s.after.letters)
    is_used = s.action.actor == "operator" and s.answer in ("queued", True)
    if s.verb == "deletes":  # a letter goes with its job
        is_used = s.was.get("letter") in [letter.entry_id for letter in s.before.letters]
    may_go = s.verb in ("tidy", "jumps")
    yield (
        "operations: means that the job is already waiting or running, and the letter stays",
        may_go or gone == is_used,
    )
    if s.verb == "redrive":
        used = {"attempts", "deaths", "started_at", "result", "error", "crashes"} & {*s.after.jobs.get(s.job_id, ())}
        yield "contract: Nothing else reopens a final job", s.unchanged or s.answer == "queued"
        is_new = s.answer != "queued" or not used
        yield "operations: `dead retry` requeues the job as if it were new: `queued`, no attempts", is_new


def _callers(s: Step) -> Checks:
    if isinstance(s.answer, Refused):
        yield "queue: `allow-oom` in a first line lets a script run on a full Redis", s.unchanged
    elif s.action.actor == "stranger":
        is_same = s.answer is None and s.unchanged
        yield "contract: An unknown id and the id of another caller's job get the same 404", is_same
    elif s.verb == "cancels":
        yield (
            "contract: Cancels the job at once, whether it waits, is delayed, waits for a retry or runs",
            s.job_id not in s.after.open,
        )
    elif s.verb == "resubmits":
        is_first = s.verdicts == ["replayed"] and s.answer.decisions[0].job_id == s.job_id
        yield "contract: A repeat with the same body gets 202", is_first
    elif s.verb == "again":
        last, first, second = s.answer
        is_told_the_same = last.verb in (*ENDINGS, "emit") or (last.verb == "start" and first[0] == "run")
        is_once = s.unchanged and (first == second or not is_told_the_same)
        yield "queue: When a reply was lost, you may send any script again except `claim`, `turn`", is_once
    if isinstance(s.answer, Job) and s.answer.status == "completed":
        has_result = bool(s.answer.result) or not s.answer.store
        yield "contract: final state is written once", has_result


def _caps(s: Step) -> Checks:
    policy, scheduled, retrying = s.scenario.policy, s.after.value("scheduled"), s.after.value("retrying")
    depth, delayed = len(s.after.entries) + len(scheduled), len(scheduled) - len(retrying)
    for id_, each in s.after.open.items():
        counts = id_ in s.after.value(f"open:{each['owner']}")
        yield "contract: open jobs: waiting, delayed, waiting for a retry, running", counts
    if s.kind is None or not s.verdicts:
        return
    lanes = [int(each["stream"]) % LANES for each in s.after.open.values() if each["owner"] == s.kind.owner]
    delayed_cap = -(-policy.queue_cap * policy.delayed_percent // 100)
    caps = (policy.queue_cap, delayed_cap)
    queue_shared, delayed_shared = (cap - cap * policy.newcomers_percent // 100 for cap in caps)
    if "accepted" in s.verdicts:
        fits = all(lanes.count(lane) <= most for lane, most in enumerate((1, 4, 16)))
        is_newcomer = len(lanes) == 1
        has_room = delayed <= (delayed_cap if is_newcomer else delayed_shared) or "delay" not in s.kind.body
        yield "contract: A tenth of the queue's cap is reserved for callers who have no open job", has_room
        yield "fairness: | Open jobs before it | Lane | Most jobs of one caller that wait in the lane |", fits
        stored = int(s.after.value(f"bytes:{s.kind.owner}")["bytes"])
        fits = stored <= policy.caller_bytes_cap and int(s.after.flow["bytes"]) <= policy.queue_bytes_cap
        yield "contract: ROUTER_CALLER_BYTES_CAP", fits
        yield "contract: ROUTER_OPEN_JOBS_CAP", len(lanes) <= policy.open_jobs_cap
        has_room = depth <= (policy.queue_cap if is_newcomer else queue_shared)
        yield "contract: open jobs of all callers in the queue", has_room
    is_early = (
        ("open" in s.verdicts and len(s.after.open) < policy.open_jobs_cap)
        or ("full" in s.verdicts and depth < queue_shared)
        or ("delayed" in s.verdicts and delayed < delayed_shared)
    )
    yield "contract: ROUTER_QUEUE_CAP", not is_early
    most = s.now + policy.rate.burst * policy.rate.interval_ms
    yield "contract: ROUTER_RATE_BURST", float(s.after.value(f"rate:{s.kind.owner}") or 0) <= most
    is_sent_again = bool(s.kind.key) or not {"replayed", "reused"} & {*s.verdicts}
    yield "contract: **`Idempotency-Key`** is a quoted string", is_sent_again


def _unswept(flow: dict[str, str]) -> dict[str, str]:
    """Without the bytes stored: those that are gone are taken off whenever somebody sends."""
    return {name: count for name, count in flow.items() if not name.startswith("bytes")}


def _refusals(s: Step) -> Checks:
    if s.verdicts and "accepted" not in s.verdicts and not s.unchanged:
        # What counts no more is forgotten all the same, and a rate of the future where the clock has stepped back.
        before, after = ((each.jobs, each.entries, _unswept(each.flow)) for each in (s.before, s.after))
        rates = s.after.named("rate").items()
        is_less = all(float(text) <= float(s.before.value(name) or 0) for name, text in rates)
        yield "contract: A rejected job uses up nothing", before == after and is_less


def _waits(s: Step) -> Checks:
    if s.verb in PLACES:
        name, keys = f"wait-{s.action.about}", ("waits", f"waits:{HELD_FOR[s.action.about]}")
        before, after = ([_others(sight.value(key), name, s.now) for key in keys] for sight in (s.before, s.after))
        if s.verb == "frees":
            wanted = "freed"
        elif len(before[1]) >= WAIT_CAPS.per_caller:
            wanted = "caller"
        else:
            wanted = "all" if len(before[0]) >= WAIT_CAPS.all_callers else "taken"
        yield "contract: **The number of waits is limited**", s.answer == wanted and before == after
        has_it = [name in s.after.value(key) for key in keys]
        yield "contract: A place is released as soon as its response is sent", has_it == [wanted == "taken"] * 2


def _others(places: dict[str, str], name: str, now: int) -> set[str]:
    """Waits beside this one that hold a place: what ends too late was taken before the clock stepped back."""
    return {each for each, ends in places.items() if each != name and now < int(ends) <= now + 28_000}


def _turns(s: Step) -> Checks:
    if s.verb == "promote":
        scheduled = s.before.value("scheduled")
        due = {id_ for id_, due in scheduled.items() if int(due) <= s.now}
        is_due = scheduled.keys() - s.after.value("scheduled").keys() == due
        yield "contract: Workers move it into line within about half a second of that time", is_due
    if s.verb == "claim" or (s.verb == "turn" and s.claimable):
        taken = {claim.entry_id for claim in s.claims}
        given_back = {entry.entry_id for entry in s.before.entries if entry.holder == "released"}
        waiting = [entry for entry in s.before.entries if not entry.delivered]
        if given_back or not waiting:
            is_in_turn = bool(given_back) == bool(taken) and taken <= given_back
        else:
            first = _first(s.before.flow, waiting)
            turn = s.after.flow.get(f"turn:{first.stream // LANES + 1}")
            is_in_turn = taken == {first.entry_id} and turn == str((first.stream + 1) % LANES)
        yield "fairness: in the order high normal high high normal high low high normal high", is_in_turn


def _first(flow: dict[str, str], waiting: list[Entry]) -> Entry:
    """Whose turn it is: of ten picks so many go to each priority, and within it the lanes take turns."""
    favourite = ["high", "normal", "low"].index(_TURNS.split()[(int(flow.get("turn", 0)) + 1) % 10])
    priorities = [entry.stream // LANES for entry in waiting]
    priority = favourite if favourite in priorities else min(priorities)
    lane = int(flow.get(f"turn:{priority + 1}", 0))
    return min(waiting, key=lambda entry: (entry.stream // LANES != priority, (entry.stream - lane) % LANES))


CHECKS: list[Callable[[Step], Checks]] = [
    _places, _stations, _ways, _leases, _output, _emits, _voids, _silence, _lives, _books, _letters, _callers, _caps,
    _refusals, _waits, _turns,
]  # fmt: skip


def broken(step: Step) -> list[str]:
    """The sentences that this step belies."""
    checks = CHECKS if step.verb != "failover" else []
    return [sentence for check in checks for sentence, holds in check(step) if not holds]
