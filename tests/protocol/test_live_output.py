"""Live output in Redis: pieces of one attempt in their order, once each, and gone when they must be."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from redis import RedisCluster

from chalicelib.jobs.live_output import Emitted, LiveOutput
from chalicelib.jobs.redis_client import RedisClient, connect
from lambda_router_queue.redis.wire import Refused
from lambda_router_worker.queue.work_queue import Lease, Pieces
from tests.patience import eventually
from tests.protocol.conftest import QUEUE, Callers, Hand, Operator
from tests.protocol.test_stored_bytes import assert_books_are_right, counted

EVENTS_MS = 600_000
MOST_OUTPUT_BYTES = 16 * 1024 * 1024


def emit(hand: Hand, lease: Lease, first: int, *texts: str) -> str:
    (word,) = hand.call("emit", [Pieces(lease, first, texts)])
    return str(word)


def log_of(db: Any, job_id: str, lease: Lease) -> list[tuple[str, dict[str, str]]]:
    """The entries, with T for that attempt's token."""
    entries = db.xrange(QUEUE.events(job_id))
    return [(name.replace(f"{lease.token}-", "T-"), fields) for name, fields in entries]


def deltas(first: int, *texts: str) -> list[tuple[str, dict[str, str]]]:
    return [(f"T-{number}", {"delta": text}) for number, text in enumerate(texts, first)]


@pytest.fixture
def job_id(queue: Callers) -> str:
    return queue.send_one()


@pytest.fixture
def lease(job_id: str, hand: Hand) -> Lease:
    """That job, started."""
    return hand.begin()


@pytest.fixture
def reader(queue: Callers, engine_url: str) -> LiveOutput:
    return LiveOutput(queue.side, RedisClient(partial(connect, engine_url)), None)


def read(reader: LiveOutput, queue: Callers, job_id: str, after: str = "") -> list[Emitted]:
    return reader.read(queue.look(job_id), "alice", after, 0).entries


def test_pieces_are_numbered_from_1_and_follow_each_other(hand: Hand, db: Any, job_id: str, lease: Lease) -> None:
    assert [emit(hand, lease, 1, "a"), emit(hand, lease, 2, "b", "c")] == ["stored"] * 2

    assert log_of(db, job_id, lease) == deltas(1, "a", "b", "c")


def test_a_repeated_call_adds_nothing_and_an_overlapping_one_only_what_is_missing(
    hand: Hand, db: Any, job_id: str, lease: Lease
) -> None:
    emit(hand, lease, 1, "a", "b")
    before = db.hgetall(QUEUE.job(job_id))

    assert emit(hand, lease, 1, "a", "b") == "stored"
    assert (db.hgetall(QUEUE.job(job_id)), log_of(db, job_id, lease)) == (before, deltas(1, "a", "b"))
    assert emit(hand, lease, 2, "b", "c") == "stored"
    assert log_of(db, job_id, lease) == deltas(1, "a", "b", "c")


def test_one_call_stores_the_output_of_several_jobs_and_one_jobs_trouble_is_its_own(
    queue: Callers, hand: Hand, db: Any
) -> None:
    ids = [queue.send_one(owner) for owner in ("alice", "bob", "carol")]
    leases = {lease.claim.job_id: lease for lease in (hand.begin() for _ in ids)}
    db.set(QUEUE.events(ids[1]), "written by somebody else")

    words = hand.call("emit", [Pieces(leases[job_id], 1, [job_id, "more"]) for job_id in ids])

    assert words == ["stored", "spoiled", "stored"]
    for job_id in (ids[0], ids[2]):
        assert log_of(db, job_id, leases[job_id]) == deltas(1, job_id, "more")


@pytest.mark.parametrize("lost", ["all", "tail"])
def test_a_worker_is_told_from_which_piece_on_redis_lost_its_output(
    hand: Hand, db: Any, job_id: str, lease: Lease, lost: str
) -> None:
    emit(hand, lease, 1, "a", "b", "c")
    if lost == "all":
        db.delete(QUEUE.events(job_id))
    else:
        db.xdel(QUEUE.events(job_id), *(f"{lease.token}-{number}" for number in (2, 3)))
    first = 1 if lost == "all" else 2

    assert emit(hand, lease, 4, "d") == f"behind {first}"
    assert emit(hand, lease, 4) == f"behind {first}"  # a worker may ask without a piece
    if lost == "all":
        assert emit(hand, lease, 1, "a", "b", "c", "d") == "stored"
        assert log_of(db, job_id, lease) == deltas(1, "a", "b", "c", "d")


def test_an_output_that_is_too_large_is_refused_and_the_rest_of_the_job_goes_on(
    hand: Hand, db: Any, job_id: str, lease: Lease
) -> None:
    piece = "x" * (MOST_OUTPUT_BYTES // 4)

    assert [emit(hand, lease, number, piece) for number in range(1, 6)] == ["stored"] * 4 + ["full"]
    assert db.xlen(QUEUE.events(job_id)) == 4
    assert hand.call("fail", lease, '{"code":"result_too_large","message":"Too large."}') == "done"


def test_nothing_is_added_once_another_attempt_began_the_job_ended_or_its_record_is_gone(
    queue: Callers, hands: Callable[..., Hand], db: Any
) -> None:
    short, other = hands(lease_ms=1), hands("worker-2", lease_ms=1)
    words = {}

    job_id = queue.send_one()
    late = short.begin()
    (claim,) = eventually(lambda: other.call("reclaim", 1))
    newer = eventually(lambda: isinstance(found := other.start(claim), Lease) and found)
    words["lost"] = emit(short, late, 1, "a")
    words["completed"] = (other.call("complete", newer, '"b"'), emit(other, newer, 1, "b"))[1]
    db.delete(QUEUE.job(job_id))
    words["gone"] = emit(other, newer, 1, "b")

    queue.send_one()
    again = short.begin()
    short.call("retry", again, 60_000, 3, "busy", "Busy.")
    words["queued"] = emit(short, again, 1, "a")

    cancelled = queue.send_one()
    running = short.begin()
    queue.cancel(cancelled)
    words["cancelled"] = emit(short, running, 1, "a")

    assert {word: word for word in words} == words
    assert list(db.scan_iter("*:events:*")) == []


def again(queue: Callers, hands: Callable[..., Hand], hand: Hand, lease: Lease, way: str) -> Lease:
    """Another start of the job."""
    job_id = lease.claim.job_id
    if way == "died":
        other = hands("worker-2", lease_ms=1)
        (claim,) = eventually(lambda: other.call("reclaim", 1))
        started = eventually(lambda: isinstance(found := other.start(claim), Lease) and found)
        assert isinstance(started, Lease)
        return started
    if way == "retried":
        assert hand.call("retry", lease, 0, 3, "busy", "Busy.") == "scheduled"
        assert eventually(lambda: hand.call("promote")) == 1
    elif way == "requeued":
        assert hand.call("retry", lease, 0, 0, "busy", "Busy.") == "dead"
        assert Operator(hand, job_id).retry() == "queued"
    else:
        assert hand.call("give_back", lease, way) == "given back"
    return hand.begin()


WAYS = ["died", "retried", "untouched", "begun", "crashed", "requeued"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("is_there", [True, False], ids=["log", "log expired"])
def test_a_further_attempt_removes_the_output_before_it_and_leaves_a_mark(
    queue: Callers, hands: Callable[..., Hand], db: Any, way: str, is_there: bool
) -> None:
    job_id = queue.send_one()
    hand = hands(lease_ms=1 if way == "died" else 30_000)
    lease = hand.begin()
    emit(hand, lease, 1, "void", "void")
    if not is_there:
        db.delete(QUEUE.events(job_id))

    newer = again(queue, hands, hand, lease, way)

    assert log_of(db, job_id, newer) == [("T-0", {"restarted": "1"})]
    assert 0 < db.pttl(QUEUE.events(job_id)) <= EVENTS_MS
    assert emit(hand, newer, 1, "good") == "stored"
    assert log_of(db, job_id, newer) == [("T-0", {"restarted": "1"}), *deltas(1, "good")]


@pytest.mark.parametrize("way", WAYS)
def test_a_reader_is_told_to_start_over_wherever_it_was(
    queue: Callers, hands: Callable[..., Hand], reader: LiveOutput, way: str
) -> None:
    job_id = queue.send_one()
    hand = hands(lease_ms=1 if way == "died" else 30_000)
    lease = hand.begin()
    emit(hand, lease, 1, '{"text":"void"}', '{"text":"void"}')
    places = ["", f"{lease.token}-1", f"{lease.token}-2"]

    newer = again(queue, hands, hand, lease, way)
    emit(hand, newer, 1, '{"text":"good"}')
    assert hand.call("complete", newer, '{"text":"good"}') == "done"

    for after in places:
        found = read(reader, queue, job_id, after)
        assert [(entry.id, entry.delta) for entry in found] == [
            (f"{newer.token}-0", None),
            (f"{newer.token}-1", {"text": "good"}),
        ]


def test_an_attempt_without_output_before_it_leaves_no_mark(queue: Callers, hand: Hand, db: Any) -> None:
    job_id = queue.send_one()
    lease = hand.begin()
    assert emit(hand, lease, 1) == "stored"  # a call without a piece is none
    hand.call("give_back", lease, "begun")
    hand.begin()

    assert db.exists(QUEUE.events(job_id)) == 0


def test_a_start_that_is_sent_again_leaves_the_output_as_it_is(
    queue: Callers, hand: Hand, db: Any, job_id: str
) -> None:
    claim = hand.claim_one()
    lease = hand.start(claim, "nonce")
    assert isinstance(lease, Lease)
    emit(hand, lease, 1, "a")

    assert hand.start(claim, "nonce") == lease

    assert log_of(db, job_id, lease) == deltas(1, "a")


@pytest.mark.parametrize("end", ["complete", "fail", "dead"])
def test_the_end_is_marked_behind_the_last_piece(hand: Hand, db: Any, job_id: str, lease: Lease, end: str) -> None:
    emit(hand, lease, 1, "a")
    args = {"complete": ['"a"'], "fail": ['{"code":"no","message":"No."}'], "dead": [0, 0, "no", "No."]}[end]
    hand.call("retry" if end == "dead" else end, lease, *args)

    assert log_of(db, job_id, lease) == [*deltas(1, "a"), ("T-2", {"end": "1"})]


def test_a_job_that_emitted_nothing_has_no_log(hand: Hand, db: Any, job_id: str, lease: Lease) -> None:
    hand.call("renew", lease)
    hand.call("complete", lease, '"a"')

    assert db.exists(QUEUE.events(job_id)) == 0


@pytest.mark.parametrize("step", ["emit", "renew", "complete", "fail", "dead", "restart", "cancel"])
def test_output_lives_no_longer_than_the_setting_or_the_record(queue: Callers, hand: Hand, db: Any, step: str) -> None:
    """With one policy the record is the shorter-lived of the two, with the other the setting."""
    steps: dict[str, Callable[[Lease], Any]] = {
        "emit": lambda lease: emit(hand, lease, 2, "b"),
        "renew": lambda lease: hand.call("renew", lease),
        "complete": lambda lease: hand.call("complete", lease, '"a"'),
        "fail": lambda lease: hand.call("fail", lease, '{"code":"no","message":"No."}'),
        "dead": lambda lease: hand.call("retry", lease, 0, 0, "no", "No."),
        "cancel": lambda lease: (hand.call("renew", lease), queue.cancel(lease.claim.job_id)),
        "restart": lambda lease: (hand.call("give_back", lease, "begun"), hand.begin()),
    }
    brief = queue.under(store_result_seconds=30, idempotency_seconds=30)
    for callers, most in ((brief, 65_000), (queue, EVENTS_MS)):
        job_id = callers.send_one(ttl_seconds=30)
        lease = hand.begin()
        emit(hand, lease, 1, "a")
        db.pexpire(QUEUE.events(job_id), 10_000)

        steps[step](lease)

        lives = db.pttl(QUEUE.events(job_id))
        assert 20_000 < lives <= most
        assert db.pexpiretime(QUEUE.events(job_id)) <= db.pexpiretime(QUEUE.job(job_id))


def test_output_of_a_job_whose_router_is_older_than_the_setting_lives_for_ten_minutes(
    hand: Hand, db: Any, job_id: str, lease: Lease
) -> None:
    db.hdel(QUEUE.job(job_id), "events_ms")

    emit(hand, lease, 1, "a")

    assert EVENTS_MS - 10_000 < db.pttl(QUEUE.events(job_id)) <= EVENTS_MS


@pytest.mark.parametrize("end", ["complete", "cancel", "delete"])
def test_output_counts_among_the_bytes_stored_once_the_job_is_final_and_goes_when_it_is_deleted(
    queue: Callers, hand: Hand, db: Any, job_id: str, lease: Lease, end: str
) -> None:
    emit(hand, lease, 1, "x" * 600, "y" * 400)
    if end == "complete":
        hand.call("complete", lease, '"a"')
    elif end == "cancel":
        queue.cancel(job_id)
    if end != "delete":
        assert counted(db, job_id) > 2_000
        assert_books_are_right(db, job_id)

    queue.side.record("alice", job_id, "delete")

    assert db.exists(QUEUE.events(job_id)) == 0
    assert_books_are_right(db)


def test_output_of_a_result_that_is_not_kept_goes_with_it(queue: Callers, hand: Hand, db: Any) -> None:
    job_id = queue.send_one(store=False)
    lease = hand.begin()
    emit(hand, lease, 1, "x" * 1_000)
    hand.call("complete", lease, '"a"')
    queue.look(job_id)
    assert db.exists(QUEUE.events(job_id)) == 1

    job = queue.side.take("alice", job_id)

    assert job is not None
    assert job.result == "a"
    assert db.exists(QUEUE.events(job_id)) == 0
    assert counted(db, job_id) < 1_500
    assert_books_are_right(db, job_id)


def test_a_worker_older_than_live_output_works_as_before(queue: Callers, hand: Hand, db: Any) -> None:
    job_id = queue.send_one()
    lease = hand.begin()
    old = lease._replace(keys=lease.keys[:9])

    assert (hand.call("renew", old), hand.call("complete", old, '"a"')) == ("run", "done")
    assert (queue.look(job_id).result, db.exists(QUEUE.events(job_id))) == ("a", 0)


def test_a_key_that_somebody_else_wrote_ends_the_output_and_nothing_else(
    queue: Callers, hand: Hand, db: Any, job_id: str, lease: Lease
) -> None:
    emit(hand, lease, 1, "a")
    db.delete(QUEUE.events(job_id))
    db.set(QUEUE.events(job_id), "written by somebody else")

    assert emit(hand, lease, 2, "b") == "spoiled"
    assert hand.call("renew", lease) == "run"
    assert hand.call("give_back", lease, "begun") == "given back"
    newer = hand.begin()
    assert emit(hand, newer, 1, "a") == "spoiled"
    assert hand.call("complete", newer, '"a"') == "done"
    assert queue.side.record("alice", job_id, "delete") is not None
    assert db.exists(QUEUE.events(job_id)) == 0


def test_entries_beyond_the_token_spoil_the_output(hand: Hand, db: Any, job_id: str, lease: Lease) -> None:
    db.xadd(QUEUE.events(job_id), {"delta": "written by somebody else"}, id="9999999999999999999-1")

    assert emit(hand, lease, 1, "a") == "spoiled"


@pytest.fixture
def full(db: Any) -> Iterator[Callable[[], None]]:
    """Fills the server's memory when it is called."""
    everywhere = {"target_nodes": RedisCluster.ALL_NODES} if _is_cluster(db) else {}

    def set_most(size: int) -> None:
        db.execute_command("CONFIG", "SET", "maxmemory", size, **everywhere)

    yield lambda: set_most(1)
    set_most(0)


def _is_cluster(db: Any) -> bool:
    return isinstance(db, RedisCluster)


def test_a_full_memory_refuses_output_and_the_job_is_finished_without_it(
    hand: Hand, db: Any, job_id: str, lease: Lease, full: Callable[[], None]
) -> None:
    emit(hand, lease, 1, "a")
    full()

    with pytest.raises(Refused, match="OOM"):
        emit(hand, lease, 2, "b")

    assert hand.call("renew", lease) == "run"
    assert hand.call("complete", lease, '"ab"') == "done"
    assert log_of(db, job_id, lease) == [*deltas(1, "a"), ("T-2", {"end": "1"})]


def test_a_full_memory_keeps_no_attempt_from_voiding_the_output_before_it(
    hand: Hand, db: Any, job_id: str, lease: Lease, full: Callable[[], None]
) -> None:
    emit(hand, lease, 1, "a")
    full()

    hand.call("give_back", lease, "begun")
    newer = hand.begin()

    assert log_of(db, job_id, newer) == [("T-0", {"restarted": "1"})]
