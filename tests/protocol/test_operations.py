"""What an operator sees and does: ``lambda-router-worker stats``, ``dead …`` and ``check``."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from lambda_router_queue.models import Priority
from lambda_router_queue.queue_keys import LANES, PRIORITIES
from lambda_router_queue.redis.troubles import Trouble
from lambda_router_worker.checking.checks import ALWAYS, LAST
from lambda_router_worker.operations.dead_letters import DeadLetter
from lambda_router_worker.operations.operations import Operations
from lambda_router_worker.operations.queue_stats import MOST_WORKERS
from tests.protocol.conftest import QUEUE, Callers, Hand

DAY_MS = 86_400_000
PROMPT = "a secret prompt of the caller"


def bury(queue: Callers, hand: Hand, owner: str = "alice", **body: Any) -> str:
    """Have one job given up on; its id."""
    job_id = queue.send_one(owner, input={"prompt": PROMPT}, **body)
    assert (
        hand.call("retry", hand.begin(), 0, 1, "backend_busy", "The model server responded with status 500.") == "dead"
    )
    return job_id


def test_stats_of_an_empty_queue_are_all_zero(command: Any, queue: Callers, hand: Hand) -> None:
    figures = json.loads(command("stats", "--json").output)

    assert figures["priorities"]["normal"] == {"waiting": 0, "running": 0, "oldest_seconds": None}
    assert (figures["scheduled"], figures["dead"], figures["workers"], figures["per_minute"]) == (0, 0, 0, None)


def test_stats_count_what_waits_runs_is_delayed_and_dead(command: Any, queue: Callers, hand: Hand) -> None:
    bury(queue, hand)
    queue.send(count=3, priority="high")
    queue.send(delay_seconds=60)
    hand.begin()
    hand.call("complete", hand.begin(), "1")
    hand.call("beat", 4)

    figures = json.loads(command("stats", "--json").output)

    assert figures["priorities"]["high"]["waiting"] == 1
    assert figures["priorities"]["high"]["running"] == 1
    assert figures["priorities"]["high"]["oldest_seconds"] >= 0
    assert (figures["scheduled"], figures["dead"]) == (1, 1)
    assert (figures["workers"], figures["slots"], figures["completed"]) == (1, 4, 1)


def test_stats_count_completed_and_failed_jobs_apart(command: Any, queue: Callers, hand: Hand) -> None:
    bury(queue, hand)
    queue.send(count=2)
    hand.call("complete", hand.begin(), "1")
    hand.call("fail", hand.begin(), '{"code": "no", "message": "No."}')

    figures = json.loads(command("stats", "--json").output)

    assert (figures["completed"], figures["failed"]) == (1, 2)


@pytest.mark.parametrize("value", ["abc", "", "-1", "nan", "1e400", "9" * 400, "1.5"])
def test_stats_of_figures_that_somebody_overwrote(
    command: Any, queue: Callers, hand: Hand, db: Any, value: str
) -> None:
    queue.send_one()
    hand.call("complete", hand.begin(), '"done"')
    for field in ("completed", "failed", "gap_ms", "finished_at", "service_ms", "slots", "added:4", "left:4"):
        db.hset(QUEUE.flow, field, value)

    shown = command("stats", "--json")

    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.stdout)["queue"] == QUEUE.queue


def test_stats_count_what_was_given_back_as_waiting(command: Any, queue: Callers, hand: Hand) -> None:
    queue.send(count=2)
    hand.begin()
    assert hand.call("give_back", hand.begin(), "untouched") == "given back"

    normal = json.loads(command("stats", "--json").output)["priorities"]["normal"]

    assert (normal["waiting"], normal["running"]) == (1, 1)
    assert normal["oldest_seconds"] >= 0


def test_stats_show_a_worker_that_claims_nothing_and_why(command: Any, queue: Callers, hand: Hand) -> None:
    hand.call("beat", 4, "status 401")

    figures = json.loads(command("stats", "--json").output)

    assert (figures["workers"], figures["slots"]) == (1, 0)
    assert list(figures["closed"].values()) == ["status 401"]
    assert "status 401" in command("stats").output

    hand.call("beat", 4)

    figures = json.loads(command("stats", "--json").output)
    assert (figures["workers"], figures["slots"], figures["closed"]) == (1, 4, {})


def figures_of(command: Any) -> dict[str, Any]:
    shown = command("stats", "--json")
    assert shown.exit_code == 0, shown.output
    figures: dict[str, Any] = json.loads(shown.stdout)
    return figures


def test_stats_list_each_living_worker_with_its_jobs(
    command: Any, queue: Callers, hand: Hand, hands: Callable[..., Hand]
) -> None:
    queue.send(count=4)
    other = hands("worker-2")
    hand.claim(2)
    other.claim(1)
    hand.call("beat", 4)
    other.call("beat", 2, "status 401")

    living = {each["consumer"]: each for each in figures_of(command)["living"]}

    assert {name: (each["slots"], each["running"], each["reason"]) for name, each in living.items()} == {
        "worker-1": (4, 2, None),
        "worker-2": (2, 1, "status 401"),
    }
    assert all(0 <= each["silent_seconds"] < 60 for each in living.values())


def test_stats_list_two_hundred_workers_and_count_all(command: Any, queue: Callers, hand: Hand, db: Any) -> None:
    now_ms = int(db.time()[0]) * 1000
    db.zadd(QUEUE.workers, {f"1 worker-{number}": now_ms + 5_000 for number in range(MOST_WORKERS + 5)})

    figures = figures_of(command)

    assert (figures["workers"], len(figures["living"])) == (MOST_WORKERS + 5, MOST_WORKERS)


WAYS_TO_FAIL: dict[str, tuple[Callable[[Hand], object], str]] = {
    "by its handler": (
        lambda hand: hand.call("fail", hand.begin(), '{"code": "too_long", "message": "No."}'),
        "too_long",
    ),
    "after its last attempt": (lambda hand: hand.call("retry", hand.begin(), 0, 1, "busy", "Busy."), "busy"),
    "unread": (lambda hand: hand.call("reject", hand.claim_one(), "alice", "unreadable", "?"), "unreadable"),
    "by a model server that broke": (lambda hand: hand.call("give_back", hand.begin(), "crashed"), "backend_crashed"),
}


@pytest.mark.parametrize(("fail", "code"), WAYS_TO_FAIL.values(), ids=WAYS_TO_FAIL.keys())
def test_a_job_that_fails_counts_under_its_code(
    command: Any, queue: Callers, hands: Callable[..., Hand], fail: Callable[[Hand], object], code: str
) -> None:
    hand = hands(max_deaths=1)
    queue.send_one()
    fail(hand)

    figures = figures_of(command)

    assert (figures["failed"], figures["failed_by_code"]) == (1, {code: 1})


def test_a_job_whose_record_is_gone_counts_under_its_code(command: Any, queue: Callers, hand: Hand, db: Any) -> None:
    job_id = queue.send_one()
    claim = hand.begin().claim
    db.delete(QUEUE.job(job_id))
    hand.start(claim)

    assert figures_of(command)["failed_by_code"] == {"abandoned": 1}


def test_an_outcome_sent_twice_counts_once(command: Any, queue: Callers, hand: Hand) -> None:
    queue.send_one()
    lease = hand.begin()
    for _ in range(2):
        hand.call("fail", lease, '{"code": "no", "message": "No."}')

    assert figures_of(command)["failed_by_code"] == {"no": 1}


def test_failed_jobs_of_more_codes_than_fifty_count_as_other(command: Any, queue: Callers, hand: Hand, db: Any) -> None:
    db.hset(QUEUE.flow, "failed_codes", 49)
    for code in ("a", "b", "a", "c"):
        queue.send_one()
        hand.call("fail", hand.begin(), json.dumps({"code": code, "message": "No."}))

    assert figures_of(command)["failed_by_code"] == {"a": 2, "other": 2}


@pytest.mark.parametrize("error", ["no json", "[1]", '{"code": 7}', '"text"', "{" * 5_000])
def test_an_error_without_a_code_is_counted_without_one(command: Any, queue: Callers, hand: Hand, error: str) -> None:
    """A worker in another language may write what it wants."""
    queue.send_one()
    assert hand.call("fail", hand.begin(), error) == "done"

    figures = figures_of(command)

    assert (figures["failed"], figures["failed_by_code"]) == (1, {})


def test_stats_count_dead_letters_by_code(command: Any, queue: Callers, hand: Hand, db: Any) -> None:
    bury(queue, hand)
    for _ in range(2):
        db.xadd(QUEUE.dead, {"id": "job_x", "code": "c" * 500, "job": "x"})
    db.xadd(QUEUE.dead, {"note": "nothing else"})

    figures = figures_of(command)

    assert figures["dead_by_code"] == {"c" * 64: 2, "": 1, "backend_busy": 1}
    assert (figures["dead"], figures["dead_counted"]) == (4, 4)
    assert "backend_busy 1" in command("stats").output


@pytest.mark.parametrize(
    ("letters", "size", "counted"), [(1_020, 10, 1_000), (40, 500_000, None)], ids=["many", "large"]
)
def test_stats_count_the_newest_dead_letters_and_tell_how_many(
    command: Any, queue: Callers, hand: Hand, db: Any, letters: int, size: int, counted: int | None
) -> None:
    for number in range(letters):
        db.xadd(QUEUE.dead, {"id": "job_x", "code": "old" if number < 5 else "new", "job": "x" * size})

    figures = figures_of(command)

    assert figures["dead"] == letters
    assert list(figures["dead_by_code"]) == ["new"]
    assert figures["dead_by_code"]["new"] == figures["dead_counted"]
    assert counted in (figures["dead_counted"], None)
    assert 8 <= figures["dead_counted"] < letters
    assert f"of the newest {figures['dead_counted']}" in command("stats").output


def test_stats_for_people_name_every_figure(command: Any, queue: Callers, hand: Hand) -> None:
    queue.send()

    text = command("stats").output

    for word in ("priority", "waiting", "running", "oldest", "high", "normal", "low", "scheduled", "dead", "workers"):
        assert word in text


def test_a_dead_letter_is_listed_with_its_reason_and_without_what_its_caller_wrote(
    command: Any, queue: Callers, hand: Hand
) -> None:
    job_id = bury(queue, hand)

    for words in (
        ("dead", "list"),
        ("dead", "list", "--json"),
        ("dead", "show", job_id),
        ("dead", "show", job_id, "--json"),
    ):
        text = command(*words).output
        assert job_id in text
        assert "backend_busy" in text
        assert PROMPT not in text
    assert PROMPT in command("dead", "show", job_id, "--input").output


def test_a_dead_letter_sent_round_again_is_worked_like_new(command: Any, queue: Callers, hand: Hand, db: Any) -> None:
    job_id = bury(queue, hand)

    assert command("dead", "retry", job_id).output == f"{job_id}: queued\n"

    assert queue.look(job_id).status == "queued"
    lease = hand.begin()
    assert lease.attempts == 1
    assert hand.job(lease.claim).input["prompt"] == PROMPT
    hand.call("complete", lease, '"at last"')
    assert queue.look(job_id).result == "at last"
    assert db.xlen(QUEUE.dead) == 0


def test_a_dead_letter_can_be_sent_round_again_after_its_record_is_gone(
    command: Any, queue: Callers, hand: Hand, db: Any
) -> None:
    job_id = bury(queue, hand)
    db.delete(QUEUE.job(job_id), QUEUE.owner("alice"))

    command("dead", "retry", job_id)

    hand.call("complete", hand.begin(), "1")
    assert queue.look(job_id).status == "completed"


@pytest.mark.parametrize("key", [QUEUE.owner, QUEUE.open_jobs], ids=["jobs", "open jobs"])
def test_a_letter_sent_round_again_shortens_no_list_that_names_longer_lived_jobs(
    command: Any, queue: Callers, hand: Hand, db: Any, key: Callable[[str], str]
) -> None:
    job_id = bury(queue, hand)
    queue.under(store_result_seconds=10 * DAY_MS // 1000).send(ttl_seconds=3600)

    assert command("dead", "retry", job_id).output == f"{job_id}: queued\n"

    assert db.pttl(key("alice")) > 10 * DAY_MS


def test_a_letter_sent_round_again_is_listed_for_as_long_as_its_record_lives(
    command: Any, queue: Callers, hand: Hand, db: Any
) -> None:
    job_id = queue.under(store_result_seconds=60, idempotency_seconds=60).send_one(ttl_seconds=60)
    assert hand.call("retry", hand.begin(), 0, 1, "backend_busy", "Busy.") == "dead"

    command("dead", "retry", job_id)

    assert db.pttl(QUEUE.owner("alice")) >= db.pttl(QUEUE.job(job_id)) > DAY_MS
    assert db.pttl(QUEUE.open_jobs("alice")) >= db.pttl(QUEUE.job(job_id))


@pytest.mark.parametrize("priority", PRIORITIES)
def test_a_requeued_letter_joins_the_last_lane_of_its_priority(
    command: Any, queue: Callers, hand: Hand, db: Any, priority: Priority
) -> None:
    job_id = bury(queue, hand, priority=priority)

    command("dead", "retry", job_id)

    last = QUEUE.stream(priority, LANES - 1)
    assert [fields["id"] for _, fields in db.xrange(last)] == [job_id]
    assert QUEUE.streams[int(db.hget(QUEUE.job(job_id), "stream"))] == last


def test_all_dead_letters_are_sent_round_again(command: Any, queue: Callers, hand: Hand) -> None:
    ids = {bury(queue, hand, owner) for owner in "abc"}

    results = json.loads(command("dead", "retry", "--all", "--json").stdout)

    assert results == dict.fromkeys(ids, "queued")
    assert len(hand.claim(5)) == 3


def test_a_letter_whose_job_is_open_again_is_not_sent_twice(command: Any, queue: Callers, hand: Hand, db: Any) -> None:
    job_id = bury(queue, hand)
    ((_, letter),) = db.xrange(QUEUE.dead)
    command("dead", "retry", job_id)
    db.xadd(QUEUE.dead, letter)

    assert command("dead", "retry", job_id).output == f"{job_id}: open\n"

    assert len(hand.claim(5)) == 1


def test_a_discarded_letter_is_gone(command: Any, queue: Callers, hand: Hand) -> None:
    job_id = bury(queue, hand)

    assert command("dead", "discard", job_id).output == f"{job_id}: discarded\n"

    assert command("dead", "list").output == "no dead letters\n"
    assert command("dead", "discard", "--all").output == "no dead letters\n"


@pytest.fixture
def aged(db: Any, hand: Hand) -> list[str]:
    """Letters of four ages and two codes, the oldest first; their ids."""
    now_ms = int(db.time()[0]) * 1000
    ages = {"job_week": (10 * DAY_MS, "busy"), "job_days": (3 * DAY_MS, "timeout"), "job_hours": (7_200_000, "busy"),
            "job_new": (60_000, "timeout")}  # fmt: skip
    for name, (age_ms, code) in ages.items():
        db.xadd(
            QUEUE.dead, {"id": name, "code": code, "message": "x", "at": now_ms - age_ms}, id=f"{now_ms - age_ms}-0"
        )
    return list(ages)


CHOICES: dict[str, tuple[list[str], list[str]]] = {
    "all": ([], ["job_week", "job_days", "job_hours", "job_new"]),
    "by code": (["--code", "busy"], ["job_week", "job_hours"]),
    "older": (["--older-than", "1d"], ["job_week", "job_days"]),
    "newer": (["--newer-than", "1h"], ["job_new"]),
    "between": (["--older-than", "90m", "--newer-than", "5d"], ["job_days", "job_hours"]),
    "seconds": (["--newer-than", "30s"], []),
    "all three": (["--code", "timeout", "--older-than", "1h", "--newer-than", "5d"], ["job_days"]),
}


@pytest.mark.parametrize(("choice", "chosen"), CHOICES.values(), ids=CHOICES.keys())
@pytest.mark.parametrize("verb", ["list", "retry", "discard"])
def test_letters_are_chosen_by_code_and_age(
    command: Any, aged: list[str], db: Any, verb: str, choice: list[str], chosen: list[str]
) -> None:
    if verb == "list":
        listed = json.loads(command("dead", "list", "--json", *choice).stdout)
        assert [each["job_id"] for each in listed] == chosen
        return
    results = json.loads(command("dead", verb, "--all", "--json", *choice).stdout)

    assert list(results) == chosen
    left = [fields["id"] for _, fields in db.xrange(QUEUE.dead)]
    assert left == (
        [each for each in aged if each not in chosen] if verb == "discard" else aged
    )  # they have no envelope


def test_letters_written_meanwhile_are_left_alone(
    command: Any, queue: Callers, hand: Hand, db: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for owner in "ab":
        bury(queue, hand, owner)
    act = Operations.discard

    async def discard(self: Operations, letter: DeadLetter) -> bool:
        db.xadd(QUEUE.dead, {"id": "job_later", "code": "backend_busy"})
        return await act(self, letter)

    monkeypatch.setattr(Operations, "discard", discard)
    results = json.loads(command("dead", "discard", "--all", "--code", "backend_busy", "--json").stdout)

    assert "job_later" not in results
    assert [fields["id"] for _, fields in db.xrange(QUEUE.dead)] == ["job_later"] * 2


def test_how_many_letters_are_meant_is_said_first(command: Any, aged: list[str]) -> None:
    assert "2 dead letters" in command("dead", "discard", "--all", "--code", "busy").stderr


def test_a_listing_ends_at_its_limit_and_goes_on_behind_it(command: Any, aged: list[str]) -> None:
    first = command("dead", "list", "--limit", "3", "--json")
    (after,) = re.findall(r"--after (\S+)[,;]", first.stderr)
    rest = command("dead", "list", "--limit", "3", "--after", after, "--json")

    assert [each["job_id"] for each in json.loads(first.stdout)] == aged[:3]
    assert [each["job_id"] for each in json.loads(rest.stdout)] == aged[3:]
    assert rest.stderr == ""
    assert len(json.loads(command("dead", "list", "--limit", "0", "--json").stdout)) == 4
    only_busy = command("dead", "list", "--limit", "2", "--code", "busy", "--json")
    assert (len(json.loads(only_busy.stdout)), only_busy.stderr) == (2, "")


def test_a_summary_counts_letters_by_code_and_age(command: Any, aged: list[str]) -> None:
    sums = json.loads(command("dead", "list", "--summary", "--json").stdout)

    ages = dict.fromkeys(("1h", "1d", "7d", "older"), 0)
    assert sums == {
        "dead": 4,
        "letters": 4,
        "by_code": {"busy": ages | {"older": 1, "1d": 1}, "timeout": ages | {"7d": 1, "1h": 1}},
        "after": None,
    }
    assert json.loads(command("dead", "list", "--summary", "--limit", "1", "--json").stdout)["after"]
    for words in ((), ("--summary",)):
        rows = [line.split() for line in command("dead", "list", *words).output.splitlines()]
        assert rows[-3:] == [
            ["code", "<", "1h", "<", "1d", "<", "7d", "older"],
            ["busy", "0", "1", "0", "1"],
            ["timeout", "1", "0", "1", "0"],
        ]


def test_one_long_code_makes_no_other_row_long(command: Any, aged: list[str], db: Any) -> None:
    db.xadd(QUEUE.dead, {"id": "job_1", "code": "x" * 100_000})

    rows = command("dead", "list", "--summary").output.splitlines()

    assert [len(row) < 200 for row in sorted(rows, key=len)] == [True] * (len(rows) - 1) + [False]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--older-than", "1w"], ["--older-than", "1w", "1h"]),
        (["--newer-than", "90"], ["--newer-than", "90", "90s"]),
        (["--newer-than", "-1h"], ["--newer-than", "-1h", "1h"]),
        (["--older-than", "9999999d"], ["--older-than", "9999999d", "1h"]),
        (["--older-than", "2d", "--newer-than", "1h"], ["--older-than", "--newer-than", "swap"]),
        (["--limit", "-1"], ["--limit", "-1"]),
        (["--after", "job_1"], ["--after", "job_1", "-0"]),
    ],
    ids=["unit", "no unit", "negative", "too long", "none", "limit", "after"],
)
def test_a_bad_choice_is_refused_by_option_and_value(
    command: Any, aged: list[str], words: list[str], named: list[str]
) -> None:
    refused = command("dead", "list", *words)

    assert refused.exit_code == 2
    assert all(word in refused.output for word in named), refused.output


@pytest.mark.parametrize("choice", [["--code", "busy"], ["--older-than", "1h"]])
def test_a_choice_goes_with_all_and_not_with_a_job(command: Any, aged: list[str], db: Any, choice: list[str]) -> None:
    assert command("dead", "discard", "job_new", *choice).exit_code == 2
    assert command("dead", "discard", *choice).exit_code == 2
    assert db.xlen(QUEUE.dead) == 4


def test_a_letter_that_cannot_be_read_is_listed_and_can_be_discarded(command: Any, queue: Callers, db: Any) -> None:
    db.xadd(
        QUEUE.dead, {"id": "job_x", "job": "not json", "code": "unreadable", "message": "?", "attempts": 0, "at": 1}
    )

    assert "unreadable" in command("dead", "list").output
    assert command("dead", "retry", "job_x").output == "job_x: unreadable\n"
    assert command("dead", "discard", "job_x").output == "job_x: discarded\n"


@pytest.mark.parametrize(("keep_days", "kept"), [(14, ["young"]), (0, ["old", "young"])], ids=["14 days", "for ever"])
def test_dead_letters_are_thrown_away_by_age(hand: Hand, db: Any, keep_days: int, kept: list[str]) -> None:
    now_ms = int(db.time()[0]) * 1000
    for name, days in (("old", 14.1), ("young", 13.9)):
        db.xadd(QUEUE.dead, {"id": name}, id=f"{round(now_ms - days * DAY_MS)}-0")

    hand.call("tidy", 3_600_000, keep_days * DAY_MS)

    assert [letter["id"] for _, letter in db.xrange(QUEUE.dead)] == kept


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("dead", "show", "job_nope"), "there is no dead letter of 'job_nope'"),
        (("dead", "retry"), "give a job's id, or --all"),
        (("dead", "discard", "job_1", "--all"), "give a job's id, or --all"),
    ],
    ids=["unknown job", "neither", "both"],
)
def test_a_wrong_request_is_refused_with_the_way_out(
    command: Any, hand: Hand, words: tuple[str, ...], text: str
) -> None:
    result = command(*words)

    assert result.exit_code != 0
    assert text in result.output


@pytest.mark.parametrize("words", [("stats",), ("dead", "list")], ids=["stats", "dead"])
def test_a_redis_that_does_not_answer_is_a_sentence_without_the_url(command: Any, words: tuple[str, ...]) -> None:
    result = command(*words, url="redis://user:password@127.0.0.1:1/0")

    assert result.exit_code == 1
    assert result.output == f"Error: {Trouble.NOTHING_LISTENS}\n"
    assert "password" not in result.output


USED_BY: dict[str, Callable[[Callers, Hand], object]] = {
    "a caller": lambda queue, hand: queue.send_one(),
    "a caller of a delayed job": lambda queue, hand: queue.send_one(delay_seconds=60),
    "a worker": lambda queue, hand: hand.call("prepare"),
}


@pytest.mark.parametrize("words", [("stats",), ("stats", "--json"), ("dead", "list"), ("dead", "discard", "--all")])
def test_a_queue_that_nobody_has_used_is_refused_with_those_there_are(
    command: Any, queue: Callers, words: tuple[str, ...]
) -> None:
    queue.send_one()

    refused = command(*words, "--queue", "typo")

    assert (refused.exit_code, type(refused.exception)) == (1, SystemExit)
    assert refused.output.count("\n") == 1
    assert "'typo'" in refused.output
    assert QUEUE.queue in refused.output


def test_a_redis_without_queues_has_none_to_tell(command: Any, db: Any) -> None:
    refused = command("stats")

    assert (refused.exit_code, "found no queue" in refused.output) == (1, True)


@pytest.mark.parametrize("use", USED_BY.values(), ids=USED_BY.keys())
def test_a_queue_is_known_once_anybody_has_used_it(
    command: Any, db: Any, queue: Callers, hands: Callable[..., Hand], use: Callable[[Callers, Hand], object]
) -> None:
    hand = hands()
    db.flushall()
    use(queue, hand)

    assert command("stats").exit_code == 0


def test_an_operator_who_may_not_scan_is_refused_all_the_same(command: Any, db: Any, engine_url: str) -> None:
    everywhere = {"target_nodes": "all"} if "+cluster" in engine_url else {}
    db.execute_command("ACL SETUSER", "narrow", "reset", "on", ">secret", "~lr:*", "+@all", "-scan", **everywhere)

    refused = command("stats", "--queue", "typo", url=engine_url.replace("://", "://narrow:secret@"))

    assert (refused.exit_code, "'typo'" in refused.output) == (1, True)


def test_check_passes_on_every_engine_and_keeps_nothing(command: Any, db: Any) -> None:
    result = command("check", "--no-backend", "--json")
    findings = {each["thing"]: each for each in json.loads(result.stdout)["findings"]}

    assert {thing: each["found"] for thing, each in findings.items() if not each["ok"]} == {}
    assert list(findings) == [check.thing for check in (*ALWAYS, *LAST)]
    assert result.exit_code == 0
    assert [*db.scan_iter("*")] == []
