# ruff: noqa: E501
"""What the pages promise about the queue, as checks of one step: each beside the sentence that promises it."""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, NamedTuple

from chalicelib.admission import Admission
from chalicelib.models import FINAL_STATUSES, Job
from chalicelib.queue_keys import LANES
from tests.model.server import refused
from tests.model.sight import Entry, Sight
from tests.model.world import ABOUT_CLAIM, ENDINGS, Action, Scenario, World
from worker.work_queue import Lease

BEGUN, RETURNED = 1_000_000, 2_000_000


class Step:
    """An action, what it was answered, and how things stood before and after."""

    def __init__(self, scenario: Scenario, action: Action, answer: Any, *stands: Any) -> None:
        self.scenario, self.action, self.answer, self.verb = scenario, action, answer, action.verb
        self.before: Sight
        self.after: Sight
        self.old: World
        self.world: World
        self.before, self.after, self.old, self.world = stands
        self.now = self.after.now

    @cached_property
    def job_id(self) -> str:
        """The job that the action is about."""
        actor, verb, about, _ = self.action
        if actor in ("caller", "stranger", "operator") and verb != "submits":
            return self.old.fates[about].job_id
        if actor[0] != "w" or not (verb in ABOUT_CLAIM or verb == "renew" or verb in ENDINGS):
            return ""
        hand = self.old.hands[int(actor[1:]) - 1]
        return hand.claims[about][0].job_id if verb in ABOUT_CLAIM else hand.leases[about].lease.claim.job_id

    @cached_property
    def changed(self) -> list[tuple[str, dict[str, str], dict[str, str]]]:
        """Of each job, its record before (empty: none) and after."""
        return [(id_, self.before.jobs.get(id_, {}), record) for id_, record in self.after.jobs.items()]

    @cached_property
    def was(self) -> dict[str, str]:
        return self.before.jobs.get(self.job_id, {})

    @cached_property
    def ran(self) -> bool:
        """An attempt began, and not for the second time."""
        return isinstance(self.answer, Lease) and not self.is_again

    @cached_property
    def is_again(self) -> bool:
        attempts = self.was.get("attempts")
        return (
            isinstance(self.answer, Lease)
            and self.was.get("status") == "in_progress"
            and str(self.answer.attempts) == attempts
        )

    @cached_property
    def verdicts(self) -> list[str]:
        return [decision.verdict for decision in self.answer.decisions] if isinstance(self.answer, Admission) else []

    @cached_property
    def new_letters(self) -> list[Entry]:
        return [letter for letter in self.after.letters if letter not in self.before.letters]

    @property
    def unchanged(self) -> bool:
        return self.before.same(self.after)

    def counts(self, record: dict[str, str]) -> bool:
        """Whether an open job counts for its caller: until its deadline while it was never begun."""
        return "started_at" in record or self.now < int(record["deadline_at"])


class Promise(NamedTuple):
    page: str
    sentence: str
    name: str
    holds: Callable[[Step], bool]


def _recount(s: Step) -> list[int]:
    lines = [0] * 12
    for entry in s.after.entries:
        record = s.after.jobs.get(entry.job_id, {})
        is_named = record.get("stream_id") == entry.entry_id
        lines[entry.stream] += record["status"] == "queued" if is_named else _in_line(entry)
    return lines


def _in_line(entry: Entry) -> bool:
    return entry.holder is None or not BEGUN <= entry.count < RETURNED


def _has_entry(s: Step, status: str) -> bool:
    """Where a failover has lost that somebody claimed it, it is not pending."""
    return all(
        any(
            e.entry_id == record["stream_id"] and (status == "queued" or e.holder or s.world.failed_over)
            for e in s.after.entries_of(id_)
        )
        for id_, record in s.after.open.items()
        if record["status"] == status and "stream_id" in record
    )


def _is_left(s: Step) -> bool:
    left = {entry.job_id for entry in s.after.entries}.union(
        *(names for key, names in s.after.sets.items() if key[:4] == "open"), s.after.sets.get("scheduled", ())
    )
    return not any(id_ in left for id_ in s.after.jobs.keys() - s.after.open.keys())


_WAYS = {
    ("", "queued"): "submits resubmits redrive", ("queued", "in_progress"): "start", ("queued", "expired"): "start looks takes cancels",
    ("queued", "cancelled"): "cancels", ("queued", "failed"): "reject", ("in_progress", "completed"): "complete", ("in_progress", "cancelled"): "cancels",
    ("in_progress", "queued"): "retry untouched begun crashed", ("in_progress", "failed"): "fail retry refuse start crashed untouched begun reject",
} | {(status, "queued"): "redrive" for status in FINAL_STATUSES}  # fmt: skip


def _too_early_or_late(s: Step, was: dict[str, str], record: dict[str, str]) -> bool:
    if was.get("status") != "queued" or record["status"] not in ("expired", "in_progress"):
        return False
    is_over = "started_at" not in was and s.now >= int(was["deadline_at"])
    return is_over != (record["status"] == "expired")


def _ends_at(s: Step, record: dict[str, str]) -> int:
    """When an open job can last be taken up."""
    if record["status"] == "in_progress":
        return int(record["lease_until"])
    return int(record.get("due", 0) if "started_at" in record else record["deadline_at"])


def _has_vanished(s: Step, job_id: str) -> bool:
    """A job that was never begun may, once its deadline and its storage are over."""
    after, was, fate = s.after, s.before.jobs.get(job_id), s.world.fate(job_id)
    kept = (
        after.jobs,
        after.hashes.get("retrying", {}),
        [letter.job_id for letter in after.letters],
        [entry.job_id for entry in after.entries],
    )
    if fate is None or any(job_id in each for each in kept):
        return False
    return fate.begun or (was is not None and s.now < int(was["deadline_at"]) + int(was["store_ms"]))


def _letter_is_whole(s: Step, letter: Entry) -> bool:
    fate, entries = s.old.fate(letter.job_id), s.before.entries_of(letter.job_id)
    if fate and '"store": false' in fate.kind.body:
        return '"prompt"' not in letter.fields["job"]
    return '"prompt"' in letter.fields["job"] and (not entries or letter.fields["job"] == entries[0].fields["job"])


def _only_forgets(s: Step) -> bool:
    """What counts no more, and a rate of the future where the clock has stepped back."""
    before, after = s.before, s.after
    rates = [
        float(text) <= float(before.texts.get(name, 0)) for name, text in after.texts.items() if name[:4] == "rate"
    ]
    return (before.jobs, before.entries, before.hashes) == (after.jobs, after.entries, after.hashes) and all(rates)


def _mine(s: Step) -> list[dict[str, str]]:
    owner = s.world.fates[s.action.about].kind.owner
    return [record for record in s.after.open.values() if record["owner"] == owner and s.counts(record)]


_TURNS = "high normal high high normal high low high normal high"


def _is_in_turn(s: Step) -> bool:
    """What was given back comes first; then whose turn it is."""
    taken = [claim.entry_id for claim in s.answer]
    given_back = [entry.entry_id for entry in s.before.entries if entry.holder == "released"]
    waiting = [entry for entry in s.before.entries if not entry.delivered]
    if given_back or not waiting:
        return bool(given_back) == bool(taken) and set(taken) <= set(given_back)
    favourite = ["high", "normal", "low"].index(_TURNS.split()[(int(s.before.flow.get("turn", 0)) + 1) % 10])
    priority = next(each for each in (favourite, 0, 1, 2) if any(entry.stream // LANES == each for entry in waiting))
    lane = int(s.before.flow.get(f"turn:{priority + 1}", 0))
    first = min(
        (e for e in waiting if e.stream // LANES == priority),
        key=lambda e: ((e.stream - lane) % LANES, waiting.index(e)),
    )
    turned = int(s.after.flow[f"turn:{priority + 1}"]) == (first.stream + 1) % LANES
    return turned and taken == [first.entry_id] and s.answer[0].job_id == first.job_id


def _attempts(s: Step, job_id: str, was: dict[str, str]) -> int:
    return int(job_id == s.job_id and was.get("status") == "in_progress" and s.answer == "given back") * -1 + int(
        job_id == s.job_id and s.ran
    )


def _sum(was: dict[str, str], record: dict[str, str], field: str) -> int:
    return int(record.get(field, 0)) - int(was.get(field, 0))


def _swept_in_time(s: Step, entry: Entry, record: dict[str, str]) -> bool:
    longest = max(crew.lease_ms for crew in s.scenario.crew)
    return entry.since + longest <= int(record["lease_until"]) + longest // 2


# fmt: off
_TABLE: list[tuple[str, str, str, Callable[[Step], bool]]] = [
    ("books equal a recount", "queue", "count jobs in and out of waiting in stream n, and their difference waits",
     lambda s: s.after.lines == _recount(s)),
    ("a job in line has its entry", "queue", "in its stream; claimed by nobody, just claimed and not yet started, or given back",
     lambda s: _has_entry(s, "queued")),
    ("a job at work is pending", "queue", "| `in_progress` | in its stream, pending in the group |", lambda s: _has_entry(s, "in_progress")),
    ("a job out of line is scheduled with its envelope", "queue", "`queued`, delayed or to be tried again",
     lambda s: all(s.after.sets.get("scheduled", {}).get(id_) == record.get("due") and "envelope" in record and ("started_at" in record) == (id_ in s.after.hashes.get("retrying", ()))
                   for id_, record in s.after.open.items() if "stream_id" not in record)),
    ("what was delivered is pending", "queue", "An entry stays in its stream, pending in the group once it is claimed",
     lambda s: all(entry.holder for entry in s.after.entries if entry.delivered)),
    ("a final job has left", "queue", "until its job is final or waits for another try; then it is acknowledged and deleted", _is_left),
    ("a job has one entry", "queue", "Stored once: one entry per `Idempotency-Key` within its life",
     lambda s: len(all_ := [entry.job_id for entry in s.after.entries] + list(s.after.sets.get("scheduled", ()))) == len(set(all_))),
    ("a final state stays", "queue", "are final and are written once",
     lambda s: s.verb == "redrive" or all((was["status"], was["finished_at"]) == (record["status"], record["finished_at"])
                                          for _, was, record in s.changed if was.get("status") in FINAL_STATUSES)),
    ("a job goes the ways that are drawn", "queue", "## Life of a job",
     lambda s: all(was.get("status") == record["status"] or s.verb in _WAYS.get((was.get("status", ""), record["status"]), "").split() for _, was, record in s.changed)),
    ("only what was never started expires, and in time", "queue", "deadline_at has passed before the first start",
     lambda s: not any(_too_early_or_late(s, was, record) for _, was, record in s.changed)),
    ("a token is larger than any before", "queue", "that no other start shares and that only grows",
     lambda s: not s.ran or (fate := s.old.fate(s.job_id)) is None or s.answer.token > fate.token),
    ("the same start has the same token", "queue", "if the first sending started the job, it is answered again",
     lambda s: not isinstance(s.answer, Lease) or not s.is_again or str(s.answer.token) == s.was["lease_token"]),
    ("who was replaced changes nothing", "queue", "and only the newest one may renew, finish, retry or give back",
     lambda s: s.verb not in ("renew", *ENDINGS) or (fate := s.old.fate(s.job_id)) is None or s.unchanged
     or (token := s.old.hands[int(s.action.actor[1:]) - 1].leases[s.action.about].lease.token) == fate.token or (s.world.failed_over and str(token) == s.was.get("lease_token"))),
    ("nobody starts what is leased", "queue", "answers `leased` to those who come too early",
     lambda s: not (s.ran or (s.verb == "reject" and s.answer == "dead")) or s.was.get("status") != "in_progress" or s.now >= int(s.was["lease_until"])),
    ("a lease lasts as long as its worker said", "queue", "| `lease_until` |",
     lambda s: s.verb not in ("start", "renew") or not (s.answer == "run" or isinstance(s.answer, Lease))
     or int(s.after.jobs[s.job_id]["lease_until"]) == s.now + s.scenario.crew[int(s.action.actor[1:]) - 1].lease_ms),
    ("a final record lives as long as it says", "contract", "A final state is written once and can be fetched for",
     lambda s: all((lives := s.after.expires[f"job:{id_}"]) == (ends := max(int(record["finished_at"]) + int(record["store_ms"]), int(record["keep_until"])))
                   or (record["status"] == "expired" and lives > ends) for id_, record in s.after.jobs.items() if id_ not in s.after.open)),
    ("an open record outlives its wait and its lease", "queue", "It expires by itself `store_ms` after the job is final",
     lambda s: all(s.after.expires[f"job:{id_}"] >= _ends_at(s, record) + int(record["store_ms"]) for id_, record in s.after.open.items())),
    ("a record outlives its key", "queue", "until when the `Idempotency-Key` may ask for it",
     lambda s: all(s.after.expires.get(f"job:{text.split(' ')[0]}", 0) >= s.after.expires[name] for name, text in s.after.texts.items() if name[:4] == "idem")),
    ("a list names every record and lives as long", "queue", "a list ends with the last record that it names",
     lambda s: all(id_ in s.after.sets.get(f"owner:{record['owner']}", ()) and s.after.expires[f"owner:{record['owner']}"] >= s.after.expires[f"job:{id_}"]
                   for id_, record in s.after.jobs.items())),
    ("an open job counts", "contract", "unfinished jobs: waiting, delayed, to be tried again, at work",
     lambda s: min(s.scenario.jumps) < 0 or all(int(s.after.sets.get(f"open:{record['owner']}", {}).get(id_, 0)) > s.now
                                                for id_, record in s.after.open.items() if s.counts(record))),
    ("nobody has more open jobs than the cap", "contract", "ROUTER_OPEN_JOBS_CAP", lambda s: "accepted" not in s.verdicts or len(_mine(s)) <= s.scenario.policy.open_jobs_cap),
    ("a refusal for the caps has its reason", "contract", "ROUTER_QUEUE_CAP",
     lambda s: ("open" not in s.verdicts or min(s.scenario.jumps) < 0 or len(list(s.after.open.values())) >= s.scenario.policy.open_jobs_cap)
     and ("full" not in s.verdicts or len(s.after.entries) + len(s.after.sets.get("scheduled", ())) >= s.scenario.policy.queue_cap)),
    ("a queue holds no more than its cap", "contract", "jobs of all callers in the queue, the same states",
     lambda s: "accepted" not in s.verdicts or len(s.after.entries) + len(s.after.sets.get("scheduled", ())) <= s.scenario.policy.queue_cap),
    ("no more at once than the burst", "contract", "ROUTER_RATE_BURST",
     lambda s: s.verb != "submits" or not s.verdicts
     or float(s.after.texts.get(f"rate:{s.scenario.kinds[s.action.about][int(s.action.how)].owner}", 0)) <= s.now + s.scenario.policy.rate.burst * s.scenario.policy.rate.interval_ms),
    ("a refused job changes nothing", "contract", "A refused job uses up nothing", lambda s: not s.verdicts or "accepted" in s.verdicts or s.unchanged or _only_forgets(s)),
    ("no job vanishes", "queue", "a `202` only after the script answered", lambda s: not any(_has_vanished(s, fate.job_id) for fate in s.world.fates if not fate.final)),
    ("a letter holds the envelope unless it is not to be kept", "queue", "its envelope, byte for byte; empty where the record's `store` is `0`",
     lambda s: all(_letter_is_whole(s, letter) for letter in s.new_letters)),
    ("what is given up on leaves one letter", "queue", "Its record becomes `failed`, and this goes to the stream `dead`",
     lambda s: len(s.new_letters) == 1 if s.answer == "dead" and s.was.get("status") in ("queued", "in_progress") else len(s.new_letters) <= (s.verb in ("reject", "start", "promote"))),
    ("a letter goes with its redrive, and only then", "operations", "`open` means that the job waits or runs already, and the letter stays",
     lambda s: s.verb in ("tidy", "jumps") or len(s.before.letters) + len(s.new_letters) - len(s.after.letters) == (s.verb in ("redrive", "discard") and s.answer in ("queued", True))),
    ("a redrive without its letter changes nothing", "contract", "Nobody else and nothing else reopens a final job",
     lambda s: s.verb != "redrive" or s.unchanged or (s.answer == "queued" and s.job_id in [letter.job_id for letter in s.before.letters])),
    ("a redriven job is as new", "operations", "`dead retry` is a new beginning: `queued`, no attempts",
     lambda s: s.answer != "queued" or not {"attempts", "deaths", "started_at", "result", "error", "crashes"} & s.after.jobs.get(s.job_id, {}).keys()),
    ("a stranger sees and changes nothing", "contract", "An id that does not exist and one that is somebody else's are the same 404",
     lambda s: s.action.actor != "stranger" or (s.answer is None and s.unchanged)),
    ("a cancelled job is final", "contract", "Cancels at once whatever is not final", lambda s: (s.action.actor, s.verb) != ("caller", "cancels") or refused(s.answer) or s.job_id not in s.after.open),
    ("a repeat gets the first job", "contract", "A repeat with the same body gets 202",
     lambda s: s.verb != "resubmits" or refused(s.answer) or (s.answer.decisions[0].verdict, s.answer.decisions[0].job_id) == ("replayed", s.job_id)),
    ("a first sending is no repeat", "contract", "`Idempotency-Key`", lambda s: s.verb != "submits" or s.scenario.kinds[s.action.about][int(s.action.how)].key is not None or not {"replayed", "reused"} & {*s.verdicts}),
    ("attempts are counted by starts alone", "queue", "how often the job was started", lambda s: s.verb == "redrive" or all(_sum(was, now, "attempts") == _attempts(s, id_, was) for id_, was, now in s.changed)),
    ("a lapse is a death", "queue", "how often its lease lapsed; absent for never",
     lambda s: s.verb == "redrive" or all(_sum(was, now, "deaths") == ((s.verb == "start" and was.get("status") == "in_progress" and not s.is_again and s.answer not in ("leased", "stale") and id_ == s.job_id) or 0) for id_, was, now in s.changed)),
    ("a crash is counted", "queue", "how often a model server broke while it had this job; absent for never",
     lambda s: s.verb == "redrive" or all(_sum(was, now, "crashes") == (s.verb == "crashed" and id_ == s.job_id and was.get("status") == "in_progress" and not s.unchanged) for id_, was, now in s.changed)),
    ("what is looked at too early does not wait for another lease", "queue", "a dead worker's job goes on within 1½ leases",
     lambda s: s.answer != "leased" or all(_swept_in_time(s, entry, record) for id_, record in s.after.open.items() for entry in s.after.entries_of(id_)
                                                   if record["status"] == "in_progress" and entry.holder and int(record["lease_until"]) > s.now)),
    ("a sweep takes what is silent for a lease, and nothing else", "queue", "for what was idle for a lease",
     lambda s: s.verb != "sweep" or (all(entry.since + s.scenario.crew[int(s.action.actor[1:]) - 1].lease_ms <= s.now for entry in s.before.entries if entry.entry_id in [c.entry_id for c in s.answer] and entry.job_id in [c.job_id for c in s.answer])
     and (bool(s.answer) or not any(entry.holder and entry.since + s.scenario.crew[int(s.action.actor[1:]) - 1].lease_ms <= s.now for entry in s.before.entries)))),
    ("a lease begins with its entry's idle time", "queue", "for how many milliseconds since the last renewal",
     lambda s: s.world.failed_over or not (s.ran or (s.verb == "renew" and s.answer == "run")) or [(e.holder, e.since) for e in s.after.entries_of(s.job_id)] == [(s.action.actor, s.now)]),
    ("no more attempts than allowed", "queue", "after its last attempt, after its lease has lapsed under so many workers",
     lambda s: (s.answer != "scheduled" or int(s.was.get("attempts", 0)) < 2)
     and all(int(now.get("deaths", 0)) < s.scenario.crew[int(s.action.actor[1:]) - 1].deaths for id_, _, now in s.changed if s.ran and id_ == s.job_id and _sum(_, now, "deaths"))
     and all(int(now.get("crashes", 0)) < s.scenario.crew[int(s.action.actor[1:]) - 1].deaths for id_, _, now in s.changed if s.answer == "given back" and s.verb == "crashed" and id_ == s.job_id and _.get("status") == "in_progress")),
    ("nothing is pending that is not there", "queue", "the scripts acknowledge and", lambda s: not s.after.left_pending),
    ("averages are never below zero", "contract", "comes from the average time that a job takes", lambda s: float(s.after.flow.get("service_ms", 0)) >= 0 and float(s.after.flow.get("gap_ms", 0)) >= 0),
    ("only living workers count", "queue", "after 15 s of silence (`beat.lua`'s third argument) a worker counts as gone",
     lambda s: s.verb not in ("beat", "leave") or int(s.after.flow["slots"]) == sum(int(member.split(" ")[0]) for member, heard in s.after.sets.get("workers", {}).items() if abs(int(heard) - s.now) < 15_000)),
    ("a result that is not kept is read once", "contract", "gives its result to the first `GET /v1/jobs/{job_id}` that finds it `completed`",
     lambda s: all(record.get("store") != "0" or ("result" in was) - ("result" in record) == (s.verb == "takes" and id_ == s.job_id and "result" in was) - (s.verb == "complete" and id_ == s.job_id and not s.unchanged) for id_, was, record in s.changed)
     and (not isinstance(s.answer, Job) or s.answer.status != "completed" or s.answer.result is not None or not s.answer.store)),
    ("nothing leaves before its time", "contract", "Workers move it into line within about half a second of it",
     lambda s: s.verb != "promote" or {id_ for id_, due in s.before.sets.get("scheduled", {}).items() if int(due) <= s.now} == s.before.sets.get("scheduled", {}).keys() - s.after.sets.get("scheduled", {}).keys() or s.action.how != ""),
    ("of one caller no more wait in a lane than its figure", "queue", "| Open jobs before it | Lane | Of one caller, at most so many wait in the lane |",
     lambda s: "accepted" not in s.verdicts or min(s.scenario.jumps) < 0 or all([int(record["stream"]) % LANES for record in _mine(s)].count(lane) <= most for lane, most in ((0, 1), (1, 4), (2, 16)))),
    ("a claim takes what was given back, or whose turn it is", "queue", f"in the order {_TURNS}", lambda s: s.verb != "claim" or _is_in_turn(s)),
    ("what belongs to a job or caller ends by itself", "queue", "It expires by itself", lambda s: all(expires > 0 for name, expires in s.after.expires.items() if name.split(":")[0] in ("job", "handover", "owner", "open", "rate", "idem"))),
    ("no envelope is left of a job that is gone", "queue", "`lr:{<queue>}:retrying`", lambda s: s.after.hashes.get("retrying", {}).keys() <= s.after.sets.get("scheduled", {}).keys()),
    ("a full memory changes nothing by half", "queue", "`allow-oom` in a first line lets those scripts run on a full Redis", lambda s: not refused(s.answer) or s.unchanged),
    ("a job is forgotten with its record alone", "queue", "a record expires by itself, its id in the caller's list `owner` does not",
     lambda s: s.verb != "forget" or all(id_ not in s.after.jobs for id_ in s.before.sets.get("owner:alice", {}).keys() - s.after.sets.get("owner:alice", {}).keys())),
]
# fmt: on
PROMISES = [Promise(f"docs/{page}.md", sentence, name, holds) for name, page, sentence, holds in _TABLE]
#: Looked at apart: the first takes another call, the second many steps.
TWICE = Promise(
    "docs/queue.md", "What may be repeated when an answer was lost", "what is sent twice is done once", lambda _: True
)
ENDS = Promise("docs/queue.md", "Worked **at least** once, never", "every job ends", lambda _: True)


def broken(step: Step) -> Iterator[Promise]:
    return (promise for promise in PROMISES if step.verb != "fails over" and not promise.holds(step))
