"""Who takes part, and in what: three as deep as they go, the others each for one kind of trouble."""

from copy import replace

from chalicelib.limits import RatePolicy
from tests.model.product import POLICY
from tests.model.world import Kind, Scenario

_KINDS = {
    "plain": Kind(),
    "keyed": Kind(key="key"),
    "bob's": Kind(owner="bob"),
    "delayed": Kind('{"ttl_seconds": 40, "delay_seconds": 10}'),
    "unkept": Kind('{"ttl_seconds": 40, "store": false}'),
    "urgent": Kind('{"ttl_seconds": 40, "priority": "high"}'),
}
_MANY = {
    f"{name} {owner}": replace(kind, owner=owner)
    for name, kind in _KINDS.items()
    for owner in ("alice", "bob", "carol")
}
_MANY |= {"low": Kind('{"ttl_seconds": 40, "priority": "low"}', owner="bob"), "three": Kind(jobs=3)}


def _kinds(*choices: str) -> tuple[dict[str, Kind], ...]:
    return tuple({name: _KINDS[name] for name in choice.split()} for choice in choices)


def _verbs(*texts: str) -> frozenset[str]:
    return frozenset(" ".join(texts).split())


_WORK = "claim sweep promote start renew complete retry"
_COMMON = _verbs(_WORK, "reject fail refuse untouched crashed crash looks cancels redrive discard")
_ALL = _COMMON | _verbs("release begun takes resubmits forget beat leave tidy") | {"fails over"}
_RATE = RatePolicy(per_minute=6, burst=4)
_NARROW = replace(POLICY, rate=_RATE, open_jobs_cap=3, queue_cap=6, newcomers_percent=34, delayed_percent=50)
_LONG_KEYS = replace(POLICY, idempotency_seconds=200_000)
_LETTERS = _verbs("claim start complete takes reject refuse redrive discard cancels resubmits")
_REQUEUED = _verbs("claim sweep start complete reject redrive")
_FAILOVER = _verbs(_WORK, "refuse redrive resubmits") | {"fails over"}
_LEAVING = _verbs(_WORK, "leave tidy release untouched crash")
_ONE = _COMMON | _verbs("release begun takes resubmits forget")

ALL = (
    Scenario("letters", _kinds("keyed unkept"), _LETTERS, (20_000_000,), crew=((30_000, 2),), policy=_LONG_KEYS),
    Scenario("requeued", _kinds("plain"), _REQUEUED, (30_000,), 9),
    Scenario(
        "leases", _kinds("plain"), _verbs(_WORK, "reject crash looks"), (29_000, 1_000), crew=((30_000, 2), (29_000, 2))
    ),
    Scenario("failover", _kinds("keyed"), _FAILOVER, (30_000,)),
    Scenario("leaving", _kinds("urgent"), _LEAVING, (30_000,)),
    Scenario("clock", _kinds("plain", "plain"), _verbs(_WORK, "beat looks untouched"), (30_000, -60_000), 6),
    Scenario("one job", _kinds("plain keyed delayed unkept"), _ONE, (30_000, 120_000), 10),
    Scenario("three jobs", _kinds("plain", "plain bob's", "plain bob's"), _COMMON, (30_000,), 6),
    Scenario("two jobs", _kinds("plain unkept", "plain bob's urgent"), _COMMON, (30_000, 120_000), 7),
)
_BUSY = Scenario("busy", (_MANY,) * 12, _ALL, (1_000, 10_000, 30_000, 120_000))
CHANCE = (
    _BUSY,
    _BUSY._replace(name="capped", policy=_NARROW),
    _BUSY._replace(name="clock steps back", jumps=(1_000, 30_000, -1_000, -60_000)),
)
