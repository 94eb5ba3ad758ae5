"""Who takes part, and in what: the first three as deep as they go, the others each for one kind of trouble."""

from copy import replace

from chalicelib.limits import RatePolicy
from tests.model.product import POLICY
from tests.model.world import Crew, Kind, Scenario


def _verbs(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PLAIN = Kind('{"ttl_seconds": 40}')
_KEYED = _PLAIN._replace(key="key")
_BOBS = _PLAIN._replace(owner="bob")
_DELAYED = Kind('{"ttl_seconds": 40, "delay_seconds": 10}')
_NOT_KEPT = Kind('{"ttl_seconds": 40, "store": false}')
_URGENT = Kind('{"ttl_seconds": 40, "priority": "high"}')
_CREW = (Crew(deaths=2), Crew(deaths=1))
_WORK = _verbs("claim sweep promote start renew complete retry")
_COMMON = _WORK | _verbs("reject fail refuse untouched crashed crash looks cancels redrive discard")
_MANY = _COMMON | _verbs("release begun takes resubmits forget beat leave tidy pause") | {"fails over"}

ONE = Scenario(
    "one job",
    ((_PLAIN, _KEYED, _DELAYED, _NOT_KEPT),),
    _CREW,
    _COMMON | _verbs("release begun takes resubmits forget"),
    (30_000, 120_000),
    10,
)
TWO = Scenario("two jobs", ((_PLAIN, _NOT_KEPT), (_PLAIN, _BOBS, _URGENT)), _CREW, _COMMON, (30_000, 120_000), 7)
THREE = Scenario("three jobs", ((_PLAIN,), (_PLAIN, _BOBS), (_PLAIN, _BOBS)), _CREW, _COMMON, (30_000,), 6)
LETTERS = Scenario(
    "letters",
    ((_KEYED, _NOT_KEPT),),
    _CREW[:1],
    _verbs("claim start complete reject refuse redrive discard cancels resubmits pause"),
    (20_000_000,),
    8,
    replace(POLICY, idempotency_seconds=200_000),
)
REQUEUED = Scenario("requeued", ((_PLAIN,),), _CREW, _verbs("claim sweep start complete reject redrive"), (30_000,), 9)
LEASES = Scenario(
    "leases", ((_PLAIN,),), (Crew(30_000), Crew(29_000)), _WORK | _verbs("reject crash looks"), (29_000, 1_000), 8
)
FAILOVER = Scenario(
    "failover", ((_KEYED,),), _CREW, _WORK | _verbs("refuse redrive resubmits") | {"fails over"}, (30_000,), 8
)
CLOCK = Scenario("clock", ((_PLAIN,), (_PLAIN,)), _CREW, _WORK | _verbs("beat looks untouched"), (30_000, -60_000), 6)
LEAVING = Scenario(
    "leaving", ((_URGENT,),), _CREW, _WORK | _verbs("leave tidy pause release untouched crash"), (30_000,), 8
)
#: Of so few actions that their histories can be longer.
SMALL = (LETTERS, REQUEUED, LEASES, FAILOVER, LEAVING)
ALL = (*SMALL, CLOCK, ONE, THREE, TWO)

_OWNERS = [
    kind._replace(owner=owner) for owner in ("alice", "bob", "carol") for kind in (_PLAIN, _URGENT, _DELAYED, _NOT_KEPT)
]
_LOW = Kind('{"ttl_seconds": 40, "priority": "low"}', owner="bob")
_SENT = (*_OWNERS, _LOW, _KEYED, _PLAIN._replace(count=3))
_NARROW = replace(POLICY, rate=RatePolicy(per_minute=6, burst=4), open_jobs_cap=3, queue_cap=6)
BUSY = Scenario("busy", (_SENT,) * 12, _CREW, _MANY, (1_000, 10_000, 30_000, 120_000), 0)
CAPPED = BUSY._replace(name="capped", policy=_NARROW)
BACKWARDS = BUSY._replace(name="clock steps back", jumps=(1_000, 30_000, -1_000, -60_000))
CHANCE = (BUSY, CAPPED, BACKWARDS)
