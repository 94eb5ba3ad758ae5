"""Who acts on the queue and what each of them knows: callers, workers that may be suspended or die, operators."""

import json
from collections.abc import Callable, Iterator
from copy import replace
from typing import Any, NamedTuple

from chalicelib.jobs.admission import QueuePolicy
from chalicelib.jobs.job_queue import JobQueue
from chalicelib.jobs.waits import WaitCaps, Waits
from lambda_router_queue.models import FINAL_STATUSES
from lambda_router_queue.queue_keys import QueueKeys
from lambda_router_queue.redis.wire import Refused
from lambda_router_worker.operations.operations import Operations
from lambda_router_worker.queue.work_queue import Claim, Lease, Pieces, WorkQueue
from tests.model.product import POLICY, Call, submission
from tests.model.sight import Entry, Sight, cut


class Kind(NamedTuple):
    """What a caller may send: so many jobs at once."""

    body: str = '{"ttl_seconds": 40}'
    key: str | None = None
    owner: str = "alice"
    jobs: int = 1


_ALICES = {
    "plain": Kind(),
    "keyed": Kind(key="key"),
    "delayed": Kind('{"ttl_seconds": 40, "delay_seconds": 10}'),
    "unkept": Kind('{"ttl_seconds": 40, "store": false}'),
    "urgent": Kind('{"ttl_seconds": 40, "priority": "high"}'),
    "low": Kind('{"ttl_seconds": 40, "priority": "low"}'),
    "three": Kind(jobs=3),
}
_OTHERS = {f"{owner}'s-{name}": replace(_ALICES[name], owner=owner) for owner in ("bob", "carol") for name in _ALICES}
KINDS = _ALICES | _OTHERS


class Scenario(NamedTuple):
    """What may be sent first, second …, what else is done, how far the clock jumps (ms), and how deep it goes.

    ``crew``: each worker's lease (ms), and the expired leases or crashes after which it gives a job up.
    """

    name: str
    kinds: tuple[str, ...]
    verbs: str
    jumps: tuple[int, ...]
    depth: int = 8
    crew: tuple[tuple[int, int], ...] = ((30_000, 2), (30_000, 1))
    policy: QueuePolicy = POLICY


class Action(NamedTuple):
    """``about``: a place among jobs, letters, or what is held, or ms. ``full``: while Redis has no memory left."""

    actor: str
    verb: str
    about: int = 0
    kind: str = ""
    full: bool = False

    def __str__(self) -> str:
        return " ".join(map(str, self[:4])).rstrip() + " on a full memory" * self.full


class Held(NamedTuple):
    """An entry in a worker's hands, and its lease once started. ``sent``: its ending, which may only be sent again.

    ``made``: pieces of live output; ``stored``: those of them that Redis has, as far as the worker knows.
    """

    worker: str
    claim: Claim
    nonce: str
    lease: Lease | None = None
    sent: str = ""
    made: int = 0
    stored: int = 0

    @property
    def owner(self) -> str:
        return str(json.loads(self.claim.envelope)["owner"])


class Fate(NamedTuple):
    """What the world was told of a job: its final state since it was sent, whether it was begun, its largest token.

    ``key_until``: until then its key is remembered (ms).
    """

    job_id: str
    kind: Kind
    final: str = ""
    key_until: int = 0
    begun: bool = False
    token: int = 0


class World(NamedTuple):
    """``letters``: those that operators have ever seen; two of them may have the same list, and act on it later.

    ``vanished``: a record has ended by itself.
    """

    held: tuple[Held, ...] = ()
    fates: tuple[Fate, ...] = ()
    letters: tuple[Entry, ...] = ()
    nonces: int = 0
    failed_over: bool = False
    vanished: bool = False

    def fate(self, job_id: str) -> Fate | None:
        return next((fate for fate in self.fates if fate.job_id == job_id), None)

    def pieces(self) -> list[str]:
        """What can make a difference."""
        held = [(h.worker, h.claim.entry_id, h.nonce, h.lease and h.lease.token, *h[4:]) for h in self.held]
        return cut((held, self.fates, [letter.entry_id for letter in self.letters], self.failed_over))


#: What a worker calls about an entry that it claimed; what ends an attempt; and what else there is to do.
CLAIMED: dict[str, Callable[[WorkQueue, Any], Any]] = {
    "start": lambda queue, held: queue.start(held.claim, held.owner, held.nonce),
    "reject": lambda queue, held: queue.reject(held.claim, held.owner, "unreadable", "Unreadable."),
    "release": lambda queue, held: queue.release(held.claim),
}
ENDINGS: dict[str, Callable[[WorkQueue, Any], Any]] = {
    "complete": lambda queue, held: queue.complete(held.lease, '"result"'),
    "fail": lambda queue, held: queue.fail(held.lease, '{"code":"too_long","message":"No."}'),
    "retry": lambda queue, held: queue.retry(held.lease, 10_000, 2, "backend_busy", "Busy."),
    "refuse": lambda queue, held: queue.retry(held.lease, 0, 0, "unsupported_type", "No such type."),
    "untouched": lambda queue, held: queue.give_back(held.lease, "untouched"),
    "begun": lambda queue, held: queue.give_back(held.lease, "begun"),
    "crashed": lambda queue, held: queue.give_back(held.lease, "crashed"),
}
#: Pieces of live output that an attempt makes.
MOST_PIECES = 2


def piece(token: int | str, number: int) -> str:
    return f'{{"text":"{token} {number}"}}'


def _emit(queue: WorkQueue, held: Any) -> Any:
    """One more piece, and those that Redis lacks."""
    first, made = held.stored + 1, min(held.made + 1, MOST_PIECES)
    texts = [piece(held.lease.token, number) for number in range(first, made + 1)]
    return queue.emit([Pieces(held.lease, first, texts)])


CHORES: dict[str, Callable[[WorkQueue, Any], Any]] = {
    "claim": lambda queue, _: queue.claim(1),
    "sweep": lambda queue, _: queue.reclaim(1),
    "turn": lambda queue, _: queue.turn(1, TURN_MS, 2),
    "promote": lambda queue, _: queue.promote(),
    "beat": lambda queue, _: queue.beat(2),
    "leave": lambda queue, _: queue.leave(),
    "tidy": lambda queue, _: queue.tidy(60_000, 600_000),
    "forget": lambda queue, _: queue.forget("alice", 0, 255),
    "crash": lambda *_: None,
}
#: Chores that claim entries.
CLAIMS = ("claim", "sweep", "turn")
_WORKERS = CLAIMED | ENDINGS | CHORES | {"renew": lambda queue, held: queue.renew(held.lease), "emit": _emit}
CALLERS: dict[str, Callable[[JobQueue, str, str], Any]] = {
    "looks": JobQueue.look,
    "takes": JobQueue.take,
    "cancels": JobQueue.cancel,
    "deletes": lambda queue, owner, job_id: queue.record(owner, job_id, "delete"),
}
#: What a function does about a place to hold its caller; and for whom, with how many places there are.
PLACES: dict[str, Callable[[Waits, str, str], Any]] = {
    "holds": lambda waits, wait_id, owner: waits.take(wait_id, owner, 20),
    "frees": lambda waits, wait_id, owner: waits.give_back(wait_id, owner),
}
HELD_FOR = ("alice", "alice", "bob", "carol")
WAIT_CAPS = WaitCaps(per_caller=1, all_callers=2)
OPERATORS = {"redrive": Operations.retry, "discard": Operations.discard}
#: How long an idle worker waits between its turns.
TURN_MS = 1_100
#: Entries that a worker claims before it starts one.
MOST_CLAIMS = 2


def actions(scenario: Scenario, world: World, sight: Sight) -> list[Action]:
    """What may happen next; what would change nothing and teach nobody is left out."""
    verbs = {"submits", "jumps", *scenario.verbs.split()}
    return [action for action in _all_actions(scenario, world, sight) if action.verb in verbs]


def _all_actions(scenario: Scenario, world: World, sight: Sight) -> Iterator[Action]:
    if (sent := len(world.fates)) < len(scenario.kinds):
        yield from (Action("caller", "submits", sent, name) for name in scenario.kinds[sent].split())
    for at, fate in enumerate(world.fates):
        is_kept = '"store": false' not in fate.kind.body  # who takes what is kept looks at it
        yield from (Action("caller", verb, at) for verb in CALLERS if not (is_kept and verb == "takes"))
        if fate.job_id in sight.jobs:
            yield Action("stranger", "cancels", at)
        if sight.now < fate.key_until:
            yield Action("caller", "resubmits", at)
    yield from (Action("function", verb, at) for at in range(len(HELD_FOR)) for verb in PLACES)
    yield from (Action("operator", verb, at) for at in range(len(world.letters)) for verb in OPERATORS)
    for at, held in enumerate(world.held):
        yield from (Action(held.worker, verb, at) for verb in _steps(held))
    for place in range(len(scenario.crew)):
        yield from chores(f"w{place + 1}", world, sight)
    if world.fates:
        yield from (Action("clock", "jumps", ms) for ms in scenario.jumps)
        yield from [] if world.failed_over else [Action("redis", "failover")]


def _steps(held: Held) -> Iterator[str]:
    """What a worker may do about an entry in its hands. Output may come late: behind the job's end."""
    yield from CLAIMED if held.lease is None else [held.sent] if held.sent else ["renew", *ENDINGS]
    if held.lease and held.stored < MOST_PIECES:
        yield "emit"


def chores(worker: str, world: World, sight: Sight) -> Iterator[Action]:
    mine = [held for held in world.held if held.worker == worker]
    has_room = [held.lease for held in mine].count(None) < MOST_CLAIMS
    is_worth = {
        "claim": has_room and any(entry.holder in (None, "released") for entry in sight.entries),
        "sweep": has_room and any(entry.holder for entry in sight.entries),
        "turn": has_room,
        "promote": bool(sight.value("scheduled")),
        "leave": not any(held.lease for held in mine),
        "forget": any(job_id not in sight.jobs for job_id in sight.value("owner:alice")),
        "crash": bool(mine),
    }
    return (Action(worker, verb) for verb in CHORES if is_worth.get(verb, True))


def job_ids(first: int, count: int) -> list[str]:
    return [f"job_{'a' * 31}{place:x}" for place in range(first, first + count)]


def call_of(action: Action, scenario: Scenario, world: World, now_ms: int) -> Call:
    """The product's call for an action. What is read before a script runs is all that was ever there: it may be old."""
    actor, verb, about, name, _ = action
    if actor == "operator":
        letter = world.letters[about]
        row = [letter.entry_id, [part for pair in letter.fields.items() for part in pair]]
        time = [[now_ms // 1000, now_ms % 1000 * 1000]] if verb == "redrive" else []
        return Call(lambda wire: _on_letter(verb, Operations(wire, "q"), letter.job_id), [[row], [], *time])
    if actor == "function":
        return Call(lambda wire: PLACES[verb](Waits(wire, QueueKeys("q"), WAIT_CAPS), f"wait-{about}", HELD_FOR[about]))
    if actor in ("caller", "stranger"):
        kind = KINDS[name] if verb == "submits" else world.fates[about].kind
        if verb in CALLERS:
            owner, job_id = kind.owner if actor == "caller" else "mallory", world.fates[about].job_id
            return Call(lambda wire: CALLERS[verb](JobQueue(wire, scenario.policy, ["q"]), owner, job_id))
        ids = job_ids(about if verb == "submits" else about + 8, kind.jobs)
        sent = submission(kind.owner, kind.body, kind.key, *ids)
        return Call(lambda wire: JobQueue(wire, scenario.policy, ["q"]).decide(sent))
    crew, held = scenario.crew[int(actor[1:]) - 1], None if verb in CHORES else world.held[about]
    read = [[fate.job_id for fate in world.fates]] if verb in ("promote", "forget") else []
    return Call(lambda wire: _WORKERS[verb](WorkQueue(wire, "q", actor, *crew), held), read)


async def _on_letter(verb: str, operations: Operations, job_id: str) -> Any:
    letter = await operations.letter(job_id)
    return letter and await OPERATORS[verb](operations, letter)


def learnt(action: Action, scenario: Scenario, world: World, answer: Any, after: Sight) -> World:
    """What everybody knows once the action was answered."""
    if isinstance(answer, Refused):
        return world
    if action.verb == "submits":
        kind = KINDS[action.kind]
        ids = job_ids(action.about, kind.jobs)
        kept = [int(after.jobs.get(job_id, {}).get("keep_until", 0)) if kind.key else 0 for job_id in ids]
        verdicts = ["" if each.verdict == "accepted" else "refused" for each in answer.decisions]
        world = world._replace(fates=(*world.fates, *map(Fate, ids, [kind] * kind.jobs, verdicts, kept)))
    elif action.actor[0] == "w":
        world = _worker_learnt(action, world, answer)
    elif action.verb == "deletes" and answer is not None:
        fates = [fate._replace(final="deleted") if at == action.about else fate for at, fate in enumerate(world.fates)]
        world = world._replace(fates=tuple(fates))
    new = [letter for letter in after.letters if letter not in world.letters]
    fates = [_told(fate, after) for fate in world.fates]
    vanished = {
        fate.job_id for fate in world.fates if fate.final not in ("refused", "lost", "deleted")
    } - after.jobs.keys()
    world = world._replace(vanished=world.vanished or bool(vanished))
    return world._replace(fates=tuple(fates), letters=(*world.letters, *new))


def _told(fate: Fate, after: Sight) -> Fate:
    if (record := after.jobs.get(fate.job_id)) is None:
        return fate._replace(final="failed") if fate.job_id in [each.job_id for each in after.letters] else fate
    token, status = max(fate.token, int(record.get("lease_token", 0))), record["status"]
    return fate._replace(final=status if status in FINAL_STATUSES else "", begun="started_at" in record, token=token)


def _worker_learnt(action: Action, world: World, answer: Any) -> World:
    worker, verb, about, *_ = action
    if verb == "crash":
        return world._replace(held=tuple(held for held in world.held if held.worker != worker))
    if verb == "turn":
        answer, _ = answer
    if verb in CLAIMS:
        kept = [held for held in world.held if held.worker != worker or held.lease or held.claim not in answer]
        new = [Held(worker, claim, f"nonce-{world.nonces + at}") for at, claim in enumerate(answer, 1)]
        return world._replace(held=(*kept, *new), nonces=world.nonces + len(new))
    if verb in CHORES:
        return world
    now = world.held[about]
    if verb in ENDINGS:
        hands = [now._replace(sent=verb)]
    elif verb == "renew":
        hands = [now] if answer == "run" else []
    elif verb == "emit":
        hands = [_emitted(now, *answer)]
    else:
        hands = [now._replace(lease=answer)] if isinstance(answer, Lease) else []
    return world._replace(held=(*world.held[:about], *hands, *world.held[about + 1 :]))


def _emitted(held: Held, word: str) -> Held:
    verdict, _, number = word.partition(" ")
    if verdict == "behind":
        return held._replace(stored=int(number) - 1)
    made = min(held.made + 1, MOST_PIECES) if verdict == "stored" else MOST_PIECES  # any other word: it emits no more
    return held._replace(made=made, stored=made)


def after_failover(world: World, lost: World) -> World:
    """What was not replicated never happened to a job; tokens that were handed out were, and workers keep them."""
    known = [old._replace(token=new.token) for old, new in zip(lost.fates, world.fates, strict=False)]
    never = [fate._replace(final="lost", key_until=0) for fate in world.fates[len(known) :]]
    return world._replace(fates=(*known, *never), failed_over=True)
