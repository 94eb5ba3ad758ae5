"""Commands for operators where something is wrong, and ``check`` on every engine."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from lambda_router_queue.redis.troubles import Trouble
from lambda_router_worker.checking.checks import ALWAYS, LAST
from tests.protocol.conftest import QUEUE, Callers, Hand


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
