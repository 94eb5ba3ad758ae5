"""Who takes part, and in what: three as deep as they go, the others each for one kind of trouble."""

from copy import replace

from chalicelib.limits import RatePolicy
from tests.model.product import POLICY
from tests.model.world import KINDS, Scenario

_WORK = "claim sweep promote start renew complete retry"
_COMMON = f"{_WORK} reject fail refuse untouched crashed crash looks cancels redrive discard"
_ONE = f"{_COMMON} release begun takes resubmits forget"
_LETTERS = "claim start complete takes reject refuse redrive discard cancels resubmits"
_RATE = RatePolicy(per_minute=6, burst=4)
_NARROW = replace(POLICY, rate=_RATE, open_jobs_cap=3, queue_cap=6, newcomers_percent=34, delayed_percent=50)
_NARROW = replace(_NARROW, caller_bytes_cap=8_000, queue_bytes_cap=20_000)
_LONG_KEYS = replace(POLICY, idempotency_seconds=200_000)
#: As long as a lease; and longer than output is kept of a worker that does not renew.
_OUTPUT = (30_000, 60_000)
_LEASES = ((30_000, 2), (29_000, 2))

ALL = (
    Scenario("letters", ("keyed unkept",), _LETTERS, (20_000_000,), crew=_LEASES[:1], policy=_LONG_KEYS),
    Scenario(
        "deleted", ("keyed unkept delayed",), f"{_WORK} reject redrive discard takes deletes resubmits", (30_000,)
    ),
    Scenario("requeued", ("plain",), "claim sweep start complete begun reject redrive looks", (50_000,)),
    Scenario("leases", ("plain",), f"{_WORK} reject crash looks", (29_000, 1_000), crew=_LEASES),
    Scenario(
        "turns", ("plain delayed",), "turn start complete begun retry promote crash beat", (9_500, 29_000), 7, _LEASES
    ),
    Scenario("failover", ("keyed",), f"{_WORK} refuse redrive resubmits failover", (30_000,)),
    Scenario("leaving", ("urgent",), f"{_WORK} leave tidy release untouched crash", (30_000,)),
    Scenario(
        "live output", ("unkept",), "claim sweep start renew emit complete takes deletes", _OUTPUT, 10, _LEASES[:1]
    ),
    Scenario("output anew", ("plain",), "claim start emit begun retry refuse promote redrive complete", _OUTPUT, 9),
    Scenario("places to wait", ("plain",), "holds frees", (1_000, 28_000, -60_000), 6),
    Scenario("clock", ("plain", "plain"), f"{_WORK} beat looks untouched", (30_000, -60_000), 6),
    Scenario("one job", ("plain keyed delayed unkept",), _ONE, (30_000, 120_000), 10),
    Scenario("three jobs", ("plain", "plain bob's-plain", "plain bob's-plain"), _COMMON, (30_000,), 6),
    Scenario("two jobs", ("plain unkept", "plain bob's-plain urgent"), _COMMON, (30_000, 120_000), 7),
)
_BUSY = Scenario(
    "busy", (" ".join(KINDS),) * 12, f"{_ONE} turn emit beat leave tidy failover", (1_000, 10_000, 30_000, 700_000)
)
CHANCE = (
    _BUSY,
    _BUSY._replace(name="capped", policy=_NARROW),
    _BUSY._replace(name="clock steps back", jumps=(1_000, 30_000, -1_000, -60_000)),
)
