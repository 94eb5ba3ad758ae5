"""The table of what Redis says, row by row, over HTTP."""

from typing import Any

import pytest

from lambda_router_queue.redis.errors import REACTIONS, Reaction, reaction
from tests.emf import metric_lines
from tests.integration.answers import assert_out_of_memory, assert_unavailable, tracebacks
from tests.integration.backend.hostile_servers import saying
from tests.integration.conftest import BuildRouter, Lines

#: As servers say it, by the table's word.
SENTENCES = {
    "LOADING": "-LOADING Redis is loading the dataset in memory",
    "READONLY": "-READONLY You can't write against a read only replica.",
    "MASTERDOWN": "-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "CLUSTERDOWN": "-CLUSTERDOWN The cluster is down",
    "TRYAGAIN": "-TRYAGAIN Multiple keys request during rehashing of slot",
    "NOREPLICAS": "-NOREPLICAS Not enough good replicas to write.",
    "max number of clients reached": "-ERR max number of clients reached",
    "OOM": "-OOM command not allowed when used memory > 'maxmemory'.",
    "MISCONF": "-MISCONF Redis is configured to save RDB snapshots, but it is unable to persist to disk.",
    "BUSY": "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "NOAUTH": "-NOAUTH Authentication required.",
    "Protocol error: unauthenticated": "-ERR Protocol error: unauthenticated multibulk length",
    "WRONGPASS": "-WRONGPASS invalid username-password pair or user is disabled.",
    "invalid password": "-ERR invalid password",
    "AUTH": "-ERR AUTH <password> called without any password configured for the default user.",
    "DB index is out of range": "-ERR DB index is out of range",
    "SELECT is not allowed in cluster mode": "-ERR SELECT is not allowed in cluster mode",
    "MOVED": "-MOVED 3999 127.0.0.1:6381",
    "DENIED": "-DENIED Redis is running in protected mode because protected mode is enabled",
    "NOPERM": "-NOPERM User default has no permissions to run the 'evalsha' command",
    "ACL failure": "-ERR ACL failure in script: No permissions to access a key script: x, on @user_script:1.",
    "NOSCRIPT": "-NOSCRIPT No matching script. Please use EVAL.",
    "WRONGTYPE": "-WRONGTYPE Operation against a key holding the wrong kind of value",
    "CROSSSLOT": "-CROSSSLOT Keys in request don't hash to the same slot",
}
#: What no table lists is a bug: its own errors, names that only begin like one that is listed.
UNLISTED = {
    "script error": "-ERR user_script:1: attempt to call a nil value",
    "BUSYGROUP": "-BUSYGROUP Consumer Group name already exists",
}


def said(then: Reaction) -> dict[str, str]:
    return {word: sentence for word, sentence in SENTENCES.items() if REACTIONS[word][0] is then}


def test_every_error_of_the_table_is_tried_here() -> None:
    assert SENTENCES.keys() == REACTIONS.keys()
    assert {word: reaction(sentence.removeprefix("-")) for word, sentence in SENTENCES.items()} == {
        word: then for word, (then, _) in REACTIONS.items()
    }


@pytest.mark.parametrize("sentence", said(Reaction.AGAIN).values(), ids=said(Reaction.AGAIN))
def test_what_may_pass_is_asked_once_more_on_a_new_connection_and_is_then_503(
    build_router: BuildRouter, generate: dict[str, Any], sentence: str
) -> None:
    with saying(sentence) as (url, asked):
        reply = build_router(REDIS_URL=url).post("/v1/jobs", generate)

    assert_unavailable(reply)
    assert sentence.split(maxsplit=1)[0][1:] not in reply.body
    assert [len(questions) for questions in asked] == [1, 1]


@pytest.mark.parametrize("sentence", said(Reaction.UNAVAILABLE).values(), ids=said(Reaction.UNAVAILABLE))
def test_what_stays_as_it_is_is_503_and_not_asked_again(
    build_router: BuildRouter, generate: dict[str, Any], sentence: str
) -> None:
    with saying(sentence) as (url, asked):
        reply = build_router(REDIS_URL=url).post("/v1/jobs", generate)

    assert_unavailable(reply)
    assert sentence.split(maxsplit=1)[0][1:] not in reply.body
    assert [len(questions) for questions in asked] == [1]


def test_a_full_memory_is_a_full_queue_and_not_asked_again(build_router: BuildRouter, generate: dict[str, Any]) -> None:
    with saying(SENTENCES["OOM"]) as (url, asked):
        reply = build_router(REDIS_URL=url).post("/v1/jobs", generate)

    assert_out_of_memory(reply)
    assert [len(questions) for questions in asked] == [1]


def test_a_server_without_the_script_is_sent_it_on_the_same_connection(
    build_router: BuildRouter, generate: dict[str, Any]
) -> None:
    with saying(SENTENCES["NOSCRIPT"]) as (url, asked):
        build_router(REDIS_URL=url).post("/v1/jobs", generate)

    ((first, *rest),) = asked
    assert b"EVALSHA\r\n" in first
    assert b"EVAL\r\n" in b"".join(rest)


@pytest.mark.parametrize("sentence", (said(Reaction.BUG) | UNLISTED).values(), ids=said(Reaction.BUG) | UNLISTED)
def test_our_own_bugs_are_500_and_counted_for_the_alarm_and_not_asked_again(
    build_router: BuildRouter,
    generate: dict[str, Any],
    log_lines: Lines,
    capsys: pytest.CaptureFixture[str],
    sentence: str,
) -> None:
    with saying(sentence) as (url, asked):
        reply = build_router(REDIS_URL=url).post("/v1/jobs", generate)

    assert reply.status == 500
    assert reply.json["type"] == "urn:problem-type:lambda-router:internal-error"
    assert sentence.split(" ", 1)[1] not in reply.body
    assert [trace["level"] for trace in tracebacks(log_lines())] == ["ERROR"]
    assert [len(questions) for questions in asked] == [1]
    metrics = metric_lines(capsys.readouterr().out)
    assert [line["reason"] for line in metrics if "RequestsRefused" in line] == ["internal-error"]


def test_a_server_of_another_protocol_is_503(build_router: BuildRouter, generate: dict[str, Any]) -> None:
    with saying("HTTP/1.1 400 Bad Request") as (url, _):
        assert_unavailable(build_router(REDIS_URL=url).post("/v1/jobs", generate))
