"""``"store": false`` as a caller meets it: one GET has the result, and nothing that is written may name it."""

from typing import Any

import pytest

from tests.conftest import Reply, Router
from tests.integration.worker.worker_hand import finish_job

KEY = {"Idempotency-Key": "once"}
RESULT = {"text": "for one reader"}


@pytest.fixture
def not_kept(router: Router, generate: dict[str, Any], redis_url: str) -> str:
    """Location of a completed job whose result is not kept."""
    reply = router.post("/v1/jobs", generate | {"store": False}, headers=KEY)
    assert (reply.status, reply.json["store"]) == (202, False)
    finish_job(redis_url, result=RESULT)
    return reply.headers["location"]


def test_the_result_is_read_once(router: Router, not_kept: str):
    replies = [router.get(not_kept) for _ in range(2)]

    assert [reply.status for reply in replies] == [200, 200]
    assert [(reply.json["status"], reply.json["result"]) for reply in replies] == [
        ("completed", RESULT),
        ("completed", None),
    ]


def test_a_wait_for_the_final_state_is_the_first_read(router: Router, not_kept: str):
    assert router.get(not_kept, headers={"Prefer": "wait=5"}).json["result"] == RESULT
    assert router.get(not_kept, headers={"Prefer": "wait=5"}).json["result"] is None


def test_reading_before_the_job_is_final_takes_nothing(router: Router, generate: dict[str, Any], redis_url: str):
    location = router.post("/v1/jobs", generate | {"store": False}).headers["location"]
    assert router.get(location).json["status"] == "queued"

    finish_job(redis_url, result=RESULT)

    assert router.get(location).json["result"] == RESULT


@pytest.mark.parametrize("headers", [{}, {"If-None-Match": '"another"'}, {"Prefer": "wait=5"}], ids=str)
def test_head_takes_no_result_from_its_reader(router: Router, not_kept: str, headers: dict[str, str]):
    assert router.call("HEAD", not_kept, headers=headers).status == 200
    assert router.get(not_kept).json["result"] == RESULT


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(lambda router, _, __: router.get("/v1/jobs").json["data"][0], id="the list"),
        pytest.param(lambda router, at, _: router.delete(at).json, id="DELETE"),
        pytest.param(
            lambda router, _, body: router.post("/v1/jobs", body | {"store": False}, headers=KEY).json, id="a repeat"
        ),
    ],
)
def test_nothing_but_get_shows_the_result_or_uses_it_up(
    router: Router, not_kept: str, generate: dict[str, Any], ask: Any
):
    job = ask(router, not_kept, generate)

    assert (job["id"], job["status"], job["result"]) == (not_kept.rpartition("/")[2], "completed", None)
    assert router.get(not_kept).json["result"] == RESULT


def test_an_answer_without_a_body_takes_nothing(router: Router, not_kept: str):
    unchanged = router.get(not_kept, headers={"If-None-Match": "*"})
    still = router.get(not_kept, headers={"If-None-Match": unchanged.headers["etag"]})

    assert [unchanged.status, still.status] == [304, 304]
    assert router.get(not_kept).json["result"] == RESULT


def test_whoever_knows_an_older_state_gets_the_result(router: Router, not_kept: str):
    reply = router.get(not_kept, headers={"If-None-Match": 'W/"older"'})

    assert (reply.status, reply.json["result"]) == (200, RESULT)
    assert router.get(not_kept).json["result"] is None


def test_the_job_has_the_same_tag_with_and_without_its_result(router: Router, not_kept: str):
    tags = [router.get(not_kept).headers["etag"] for _ in range(2)]

    assert tags[0] == tags[1]


def test_a_batch_says_it_job_by_job(router: Router, generate: dict[str, Any]):
    reply = router.post("/v1/jobs/batch", {"jobs": [generate, generate | {"store": False}]})

    assert [item["job"]["store"] for item in reply.json["data"]] == [True, False]


def test_another_store_is_another_body(router: Router, not_kept: str, generate: dict[str, Any]):
    assert router.post("/v1/jobs", generate | {"store": True}, headers=KEY).status == 422


def test_keeping_written_out_is_the_same_body_as_leaving_it_to_the_default(router: Router, generate: dict[str, Any]):
    first, second = (router.post("/v1/jobs", body, headers=KEY) for body in (generate, generate | {"store": True}))

    assert second.json["id"] == first.json["id"]


@pytest.mark.parametrize("value", ["false", 0, None, []], ids=repr)
def test_store_is_true_or_false(router: Router, generate: dict[str, Any], value: Any):
    reply: Reply = router.post("/v1/jobs", generate | {"store": value})

    assert reply.status == 422
    assert [fault["pointer"] for fault in reply.json["errors"]] == ["/store"]
