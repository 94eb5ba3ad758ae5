"""What an operator does with dead letters: ``lambda-router-worker dead …``."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from lambda_router_queue.models import Priority
from lambda_router_queue.queue_keys import LANES, PRIORITIES
from lambda_router_worker.operations.dead_letters import DeadLetter
from lambda_router_worker.operations.operations import Operations
from tests.protocol.conftest import QUEUE, Callers, Hand
from tests.protocol.operators.letters import PROMPT, bury

DAY_MS = 86_400_000


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
