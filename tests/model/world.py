"""Who acts on the queue and what each of them knows: callers, workers that may be suspended or die, operators."""

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from chalicelib.admission import Admission, QueuePolicy
from chalicelib.models import FINAL_STATUSES
from tests.model import product
from tests.model.product import POLICY, Call
from tests.model.server import refused
from tests.model.sight import Sight
from worker.work_queue import Claim, Lease


class Kind(NamedTuple):
    """What a caller may send: so many jobs at once."""

    body: str = "{}"
    key: str | None = None
    owner: str = "alice"
    count: int = 1


class Crew(NamedTuple):
    """A worker's options."""

    lease_ms: int = 30_000
    deaths: int = 2


class Scenario(NamedTuple):
    """Who takes part, what may be sent as the next job, what else is done, and how far the clock jumps (ms)."""

    name: str
    kinds: tuple[tuple[Kind, ...], ...]
    crew: tuple[Crew, ...]
    verbs: frozenset[str]
    jumps: tuple[int, ...]
    depth: int
    policy: QueuePolicy = POLICY


class Action(NamedTuple):
    actor: str
    verb: str
    about: int = 0
    how: str = ""

    def __str__(self) -> str:
        return " ".join(map(str, self)).rstrip()


class Held(NamedTuple):
    """A lease as its worker knows it; ``sent`` is the ending that it sent, which it may only send again."""

    lease: Lease
    nonce: str
    sent: str = ""


class Hand(NamedTuple):
    """What a worker knows: what it claimed, with the nonce to start it with, and what it started."""

    claims: tuple[tuple[Claim, str], ...] = ()
    leases: tuple[Held, ...] = ()


class Fate(NamedTuple):
    """What the world was told of a job: whether it was begun, its largest token, and its final state since it was sent.

    ``key_until``: until then its key is remembered (ms).
    """

    job_id: str
    kind: Kind
    begun: bool = False
    token: int = 0
    final: str = ""
    key_until: int = 0


class World(NamedTuple):
    """``paused``: calls that have read and not written yet, with the replies so far."""

    hands: tuple[Hand, ...]
    fates: tuple[Fate, ...] = ()
    paused: tuple[tuple[Action, tuple[Any, ...]], ...] = ()
    nonces: int = 0
    failed_over: bool = False

    def fate(self, job_id: str) -> Fate | None:
        return next((fate for fate in self.fates if fate.job_id == job_id), None)

    def text(self) -> str:
        """What can make a difference."""
        claims = [[(claim.entry_id, nonce) for claim, nonce in hand.claims] for hand in self.hands]
        leases = [
            [(held.lease.claim.entry_id, held.lease.token, *held[1:]) for held in hand.leases] for hand in self.hands
        ]
        return str((claims, leases, self.fates, self.paused, self.failed_over))


def _owner(claim: Claim) -> str:
    return str(json.loads(claim.envelope)["owner"])


#: What a worker calls about a claim (with its nonce), about a lease, to end an attempt, and otherwise.
ABOUT_CLAIM: dict[str, Callable[[Claim, str], tuple[Any, ...]]] = {
    "start": lambda claim, nonce: ("start", claim, _owner(claim), nonce),
    "reject": lambda claim, _: ("reject", claim, _owner(claim), "unreadable", "Unreadable."),
    "release": lambda claim, _: ("release", claim),
}
ENDINGS: dict[str, tuple[Any, ...]] = {
    "complete": ("complete", '"result"'),
    "fail": ("fail", '{"code":"too_long","message":"No."}'),
    "retry": ("retry", 10_000, 2, "backend_busy", "Busy."),
    "refuse": ("retry", 0, 0, "unsupported_type", "No such type."),
    "untouched": ("give_back", "untouched"),
    "begun": ("give_back", "begun"),
    "crashed": ("give_back", "crashed"),
}
CHORES: dict[str, tuple[Any, ...]] = {
    "claim": ("claim", 1),
    "sweep": ("reclaim", 1),
    "promote": ("promote",),
    "beat": ("beat", 2),
    "leave": ("leave",),
    "tidy": ("tidy", 60_000, 600_000),
    "forget": ("forget", "alice", 0, 255),
    "crash": (),
}
CALLERS = {"looks": "look", "takes": "take", "cancels": "cancel"}
MOST_CLAIMS = 2


def actions(scenario: Scenario, world: World, sight: Sight) -> Iterator[Action]:
    """What may happen next; what would change nothing and teach nobody is left out."""
    wanted = _all_actions(scenario, world, sight)
    yield from (action for action in wanted if action.verb in scenario.verbs or action.verb in ("submits", "jumps"))
    if "pause" in scenario.verbs:
        reads = [
            action for action in _all_actions(scenario, world, sight) if action.verb in ("redrive", "promote", "leave")
        ]
        begun = [action[:3] for action, _ in world.paused]
        yield from (action._replace(how="paused") for action in reads if action[:3] not in begun)
        yield from (action._replace(how="goes on") for action, _ in world.paused)


def _all_actions(scenario: Scenario, world: World, sight: Sight) -> Iterator[Action]:
    if (sent := len(world.fates)) < len(scenario.kinds):
        yield from (Action("caller", "submits", sent, str(kind)) for kind in range(len(scenario.kinds[sent])))
    lettered = {letter.job_id for letter in sight.letters}
    for at, fate in enumerate(world.fates):
        yield from (Action("caller", verb, at) for verb in CALLERS)
        if fate.job_id in sight.jobs:
            yield Action("stranger", "cancels", at)
        if sight.now < fate.key_until:
            yield Action("caller", "resubmits", at)
        if fate.job_id in lettered:
            yield from (Action("operator", verb, at) for verb in ("redrive", "discard"))
    for place, hand in enumerate(world.hands):
        yield from _workers_actions(f"w{place + 1}", hand, sight)
    if world.fates:
        yield from (Action("clock", "jumps", ms) for ms in scenario.jumps)
        yield from [] if world.failed_over else [Action("redis", "fails over")]


def _workers_actions(name: str, hand: Hand, sight: Sight) -> Iterator[Action]:
    has_room = len(hand.claims) < MOST_CLAIMS
    is_worth = {
        "claim": has_room and any(entry.holder in (None, "released") for entry in sight.entries),
        "sweep": has_room and any(entry.holder for entry in sight.entries),
        "promote": bool(sight.sets.get("scheduled")),
        "leave": not hand.leases,
        "forget": any(job_id not in sight.jobs for job_id in sight.sets.get("owner:alice", ())),
        "crash": bool(hand.claims or hand.leases),
    }
    yield from (Action(name, verb) for verb in CHORES if is_worth.get(verb, True))
    yield from (Action(name, verb, at) for at in range(len(hand.claims)) for verb in ABOUT_CLAIM)
    for at, held in enumerate(hand.leases):
        yield from (Action(name, verb, at) for verb in ([held.sent] if held.sent else ["renew", *ENDINGS]))


def job_id_of(place: int) -> str:
    return f"job_{'a' * 31}{place:x}"


def call_of(action: Action, scenario: Scenario, world: World) -> tuple[object, Call]:
    """The product's call for an action, behind what tells it from others."""
    actor, verb, about, how = action
    if verb in ("submits", "resubmits"):
        kind = scenario.kinds[about][int(how)] if verb == "submits" else world.fates[about].kind
        first = about if verb == "submits" else about + 8
        ids = [job_id_of(place) for place in range(first, first + kind.count)]
        parts: tuple[Any, ...] = (kind.owner, kind.body, kind.key, *ids)
        return parts, product.caller(scenario.policy, "submit", product.submission(*parts))
    if verb in CALLERS:
        fate = world.fates[about]
        parts = (CALLERS[verb], fate.kind.owner if actor == "caller" else "mallory", fate.job_id)
        return parts, product.caller(scenario.policy, *parts)
    if actor == "operator":
        parts = ({"redrive": "retry", "discard": "discard"}[verb], world.fates[about].job_id)
        return parts, product.operator(*parts)
    place = int(actor[1:]) - 1
    hand = world.hands[place]
    if verb in ABOUT_CLAIM:
        parts = ABOUT_CLAIM[verb](*hand.claims[about])
    elif verb in CHORES:
        parts = CHORES[verb]
    else:
        method, *more = ENDINGS.get(verb, (verb,))
        parts = (method, hand.leases[about].lease, *more)
    parts = (actor, *scenario.crew[place], *parts)
    return parts, product.worker(*parts)


def learnt(action: Action, scenario: Scenario, world: World, answer: Any, before: Sight, after: Sight) -> World:
    """What everybody knows once the action was answered."""
    if refused(answer):
        return world
    if action.how == "paused":
        return world._replace(paused=(*world.paused, (action, answer)))
    if action.how == "goes on":
        world = world._replace(paused=tuple(each for each in world.paused if each[0][:3] != action[:3]))
    if action.verb == "submits":
        world = world._replace(fates=world.fates + tuple(_sent(action, scenario, answer, after)))
    elif action.actor[0] == "w":
        world = _worker_learnt(action, world, answer)
    return world._replace(fates=tuple(_told(fate, action, answer, before, after) for fate in world.fates))


def _sent(action: Action, scenario: Scenario, answer: Admission, after: Sight) -> Iterator[Fate]:
    kind = scenario.kinds[action.about][int(action.how)]
    for place, decision in enumerate(answer.decisions, action.about):
        record = after.jobs.get(job_id_of(place), {})
        key_until = int(record.get("keep_until", 0)) if kind.key else 0
        yield Fate(
            job_id_of(place), kind, final="" if decision.verdict == "accepted" else "refused", key_until=key_until
        )


def _told(fate: Fate, action: Action, answer: Any, before: Sight, after: Sight) -> Fate:
    status = after.jobs.get(fate.job_id, {}).get("status", "")
    if action.verb == "redrive" and answer == "queued" and before.jobs.get(fate.job_id, {}).get("status") != status:
        fate = fate._replace(final="", begun=False)
    if status in FINAL_STATUSES or any(letter.job_id == fate.job_id for letter in after.letters[len(before.letters) :]):
        fate = fate._replace(final=status if status in FINAL_STATUSES else "failed")
    if isinstance(answer, Lease) and answer.claim.job_id == fate.job_id:
        fate = fate._replace(begun=True, token=max(answer.token, fate.token))
    if action.verb == "untouched" and "started_at" not in after.jobs.get(fate.job_id, {"started_at": ""}):
        fate = fate._replace(begun=False)
    return fate


def _worker_learnt(action: Action, world: World, answer: Any) -> World:
    actor, verb, about, _ = action
    place, nonces = int(actor[1:]) - 1, world.nonces
    claims, leases = world.hands[place]
    if verb in ("claim", "sweep"):
        new = tuple((claim, f"nonce-{nonces + at}") for at, claim in enumerate(answer, 1))
        nonces += len(new)
        claims = tuple(pair for pair in claims if pair[0] not in answer) + new
    elif verb in ABOUT_CLAIM:
        if isinstance(answer, Lease):
            leases = (*(held for held in leases if held.lease != answer), Held(answer, claims[about][1]))
        claims = claims[:about] + claims[about + 1 :]
    elif verb in ENDINGS:
        leases = (*leases[:about], leases[about]._replace(sent=verb), *leases[about + 1 :])
    elif verb == "renew" and answer != "run":
        leases = leases[:about] + leases[about + 1 :]
    elif verb == "crash":
        claims, leases = (), ()
    hands = (*world.hands[:place], Hand(claims, leases), *world.hands[place + 1 :])
    return world._replace(hands=hands, nonces=nonces)


def after_failover(world: World, lost: World) -> World:
    """What was not replicated never happened to a job; tokens that were handed out were, and workers keep them."""
    known = [old._replace(token=new.token) for old, new in zip(lost.fates, world.fates, strict=False)]
    never = [fate._replace(final="lost", key_until=0) for fate in world.fates[len(known) :]]
    return world._replace(fates=(*known, *never), failed_over=True)
