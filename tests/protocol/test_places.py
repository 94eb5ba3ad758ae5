"""Who may still come in when others have taken what they may: the newcomers' places, delayed jobs, and expired ones."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chalicelib.api.body import parse_job
from chalicelib.jobs.admission import NewJob
from chalicelib.jobs.job_types import JOB_TYPES
from tests.job_ids import any_job_id
from tests.protocol.conftest import QUEUE, Callers, Hand

#: As the settings have them where they are unset.
OPEN_JOBS_CAP, QUEUE_CAP, NEWCOMERS_PERCENT, DELAYED_PERCENT = 100, 10_000, 10, 50


@pytest.fixture
def capped(queue: Callers) -> Callers:
    return queue.under(
        open_jobs_cap=OPEN_JOBS_CAP,
        queue_cap=QUEUE_CAP,
        newcomers_percent=NEWCOMERS_PERCENT,
        delayed_percent=DELAYED_PERCENT,
    )


def verdicts(callers: Callers, owner: str, count: int = 1, **body: Any) -> Counter[str]:
    return Counter(decision.verdict for decision in callers.send(owner, count, **body).decisions)


def send_short(callers: Callers, owner: str, ttl_seconds: int, count: int = 1, **body: Any) -> list[tuple[str, str]]:
    """Verdict and id of jobs that may be shorter of life than HTTP would let them."""
    parsed = parse_job(b'{"type": "generate", "input": {"prompt": "p"}}', "application/json", JOB_TYPES)
    request = parsed.request.model_copy(update={"ttl_seconds": ttl_seconds, **body})
    jobs = [NewJob(any_job_id(), request, parsed.job_type) for _ in range(count)]
    return [(decision.verdict, decision.job_id) for decision in callers.submit(jobs, owner).decisions]


def send_all(callers: Callers, owner: str, delay: int) -> None:
    """As many jobs as admission lets in; who is refused the second need not send a hundred."""
    for count in (1, 1, OPEN_JOBS_CAP):
        if set(verdicts(callers, owner, count, delay_seconds=delay)) != {"accepted"}:
            break


def in_queue(db: Any) -> int:
    return int(sum(db.xlen(stream) for stream in QUEUE.streams) + db.zcard(QUEUE.scheduled))


def places(owners: range, delays: tuple[int, ...]) -> Iterator[tuple[str, int]]:
    return ((f"caller-{owner}", delay) for owner in owners for delay in delays)


@pytest.mark.parametrize("delays", [(86_400, 0), (0, 86_400), (86_400,), (0,)], ids=str)
def test_a_thousand_callers_that_send_all_they_may_leave_a_newcomer_its_place(
    capped: Callers, hand: Hand, db: Any, delays: tuple[int, ...]
) -> None:
    for owner, delay in places(range(1_000), delays):
        send_all(capped, owner, delay)
    assert in_queue(db) < QUEUE_CAP

    job_id = capped.send_one("newcomer")

    (lane,) = (stream for stream in QUEUE.streams if db.xlen(stream) and job_id in str(db.xrevrange(stream, count=1)))
    assert lane == QUEUE.stream("normal", 0)


@pytest.mark.parametrize("delays", [(86_400, 0), (0, 86_400), (86_400,)], ids=str)
def test_five_hundred_callers_that_send_all_they_may_leave_a_newcomers_delayed_job_its_place(
    capped: Callers, delays: tuple[int, ...]
) -> None:
    for owner, delay in places(range(500), delays):
        send_all(capped, owner, delay)

    capped.send_one("newcomer", delay_seconds=60)


def test_the_last_places_are_for_callers_without_an_open_job(queue: Callers) -> None:
    ten = queue.under(queue_cap=10, newcomers_percent=30)

    assert verdicts(ten, "alice", 9) == {"accepted": 7, "full": 2}
    assert [verdicts(ten, owner, 2) for owner in ("bob", "carol", "dave", "erin")] == [
        {"accepted": 1, "full": 1},
        {"accepted": 1, "full": 1},
        {"accepted": 1, "full": 1},
        {"full": 2},
    ]


def test_the_last_places_are_counted_exactly_however_fast_jobs_come_and_go(queue: Callers, hand: Hand) -> None:
    """The streams are counted once a second: also near the shared part's end they have to be counted anew."""
    capped = queue.under(queue_cap=100, newcomers_percent=50)

    assert verdicts(capped, "alice", 60) == {"accepted": 50, "full": 10}
    for _ in range(3):
        for _ in range(2):
            hand.call("complete", hand.begin(), "1")
        assert verdicts(capped, "alice", 3) == {"accepted": 2, "full": 1}


def test_delayed_jobs_have_a_cap_of_their_own(queue: Callers, hand: Hand) -> None:
    ten = queue.under(queue_cap=10, delayed_percent=40)

    assert verdicts(ten, "alice", 6, delay_seconds=60) == {"accepted": 4, "delayed": 2}
    assert verdicts(ten, "bob", 1, delay_seconds=60) == {"delayed": 1}
    assert verdicts(ten, "bob", 7) == {"accepted": 6, "full": 1}


def test_the_last_places_of_delayed_jobs_are_for_newcomers_too(queue: Callers) -> None:
    twenty = queue.under(queue_cap=20, delayed_percent=50, newcomers_percent=20)

    assert verdicts(twenty, "alice", 9, delay_seconds=60) == {"accepted": 8, "delayed": 1}
    assert verdicts(twenty, "bob", 2, delay_seconds=60) == {"accepted": 1, "delayed": 1}


def test_a_job_that_waits_for_another_try_does_not_count_as_delayed(queue: Callers, hand: Hand) -> None:
    capped = queue.under(queue_cap=2, delayed_percent=50)
    capped.send_one()
    assert hand.call("retry", hand.begin(), 60_000, 3, "busy", "Busy.") == "scheduled"

    assert verdicts(capped, "bob", 1, delay_seconds=60) == {"accepted": 1}


# Jobs that waited past their deadline


def test_jobs_of_short_lives_do_not_fill_the_queue_for_one_caller(queue: Callers, db: Any) -> None:
    """While no worker has room, what expired still fills the queue; so it must count for whoever sent it."""
    capped = queue.under(queue_cap=50, open_jobs_cap=5, newcomers_percent=20)

    for _ in range(20):
        send_short(capped, "mallory", ttl_seconds=0, count=5)
        db.hincrby(QUEUE.flow, "depth_at", -2_000)  # a second passes, and another

    assert in_queue(db) <= 5
    assert verdicts(capped, "alice") == {"accepted": 1}


def test_an_expired_job_makes_nobody_a_newcomer(queue: Callers, db: Any) -> None:
    """mallory's expired job still has its place in the queue; none of the newcomers' is for her."""
    two = queue.under(queue_cap=2, newcomers_percent=50)
    send_short(two, "mallory", ttl_seconds=0)
    db.hincrby(QUEUE.flow, "depth_at", -2_000)

    assert verdicts(two, "mallory") == {"accepted": 1}  # its expired job has left the queue for it
    assert (in_queue(db), db.zcard(QUEUE.open_jobs("mallory"))) == (1, 1)


def test_an_expired_job_gives_its_place_back_when_its_caller_needs_it(queue: Callers, db: Any) -> None:
    capped = queue.under(open_jobs_cap=3)
    expired = [job_id for _, job_id in send_short(capped, "alice", ttl_seconds=0, count=3)]

    assert verdicts(capped, "alice", 4) == {"accepted": 3, "open": 1}

    assert [capped.look(job_id).status for job_id in expired] == ["expired"] * 3
    assert (in_queue(db), db.zcard(QUEUE.open_jobs("alice"))) == (3, 3)


@pytest.mark.parametrize("delay", [0, 60], ids=["waiting", "delayed"])
def test_a_place_whose_job_has_no_record_any_more_comes_back(queue: Callers, db: Any, delay: int) -> None:
    capped = queue.under(open_jobs_cap=1)
    ((_, job_id),) = send_short(capped, "alice", ttl_seconds=-delay, delay_seconds=delay)
    db.delete(QUEUE.job(job_id))

    assert verdicts(capped, "alice") == {"accepted": 1}

    assert db.zrange(QUEUE.scheduled, 0, -1) == []


def test_a_begun_job_without_a_record_is_not_taken_out_of_line(
    queue: Callers, hands: Callable[..., Hand], db: Any
) -> None:
    """It becomes a dead letter when its time comes, whatever its caller does meanwhile."""
    hand, capped = hands(), queue.under(open_jobs_cap=1)
    job_id = capped.send_one()
    assert hand.call("retry", hand.begin(), 60_000, 3, "busy", "Busy.") == "scheduled"
    db.delete(QUEUE.job(job_id))
    db.zadd(QUEUE.open_jobs("alice"), {job_id: 1})

    assert verdicts(capped, "alice") == {"accepted": 1}

    assert db.zrange(QUEUE.scheduled, 0, -1) == [job_id]


def test_a_place_comes_back_once_however_often_a_job_is_cancelled_and_looked_at(queue: Callers, db: Any) -> None:
    capped = queue.under(open_jobs_cap=2)
    ((_, job_id),), _ = send_short(capped, "alice", ttl_seconds=0), capped.send_one()
    for _ in range(3):
        capped.cancel(job_id)
        capped.look(job_id)

    assert verdicts(capped, "alice", 3) == {"accepted": 1, "open": 2}


def test_a_lane_counts_expired_jobs_that_still_stand_in_line(queue: Callers, db: Any) -> None:
    for _ in range(5):
        send_short(queue, "mallory", ttl_seconds=0)

    assert [db.xlen(QUEUE.stream("normal", lane)) for lane in range(4)] == [1, 3, 1, 0]


def test_an_id_of_no_record_does_not_hold_a_place_for_ever(queue: Callers, db: Any) -> None:
    db.zadd(QUEUE.open_jobs("alice"), {"job_lost": 1})

    queue.send_one()

    assert db.zcard(QUEUE.open_jobs("alice")) == 1
