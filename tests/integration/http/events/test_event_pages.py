"""``GET /v1/jobs/{id}/events``: how much a page holds, and how long a request waits for it."""

import json
from typing import Any

import pytest
import redis

from chalicelib.api.job_events import BESIDE_JOB_BYTES, MAX_PAGE_BYTES
from lambda_router_queue.metrics import Metric
from tests.conftest import LambdaContext, MakeToken, Router
from tests.emf import metric_lines, metrics_of
from tests.integration.conftest import BuildRouter
from tests.integration.http.events.event_reader import JSON, Hand, asking, everything, pages_of, text_of
from tests.integration.http.test_waits import places_taken
from tests.integration.worker.test_worker_results import LAMBDA_ANSWER_BYTES
from tests.patience import eventually

# Size


def test_a_page_has_a_mebibyte_and_the_next_goes_on(router: Router, path: str, hand: Hand):
    piece = "x" * 60_000
    for number in range(6):
        hand.emit(*(f"{number}-{place} {piece}" for place in range(8)))
    hand.finish()
    pages = list(pages_of(router, path))
    assert text_of([event for page in pages for event in page]) == "".join(
        f"{number}-{place} {piece}" for number in range(6) for place in range(8)
    )
    sizes = [len(json.dumps(page)) for page in pages]
    assert max(sizes) < MAX_PAGE_BYTES + 100_000
    assert [page[-1]["type"] for page in pages] == ["delta"] * (len(pages) - 1) + ["job"]


HARD = {
    "small": {"n": 1},
    "quotes": {"text": '"' * 16_000},
    "wide": {"text": "😀" * 16_000},
    "control": {"text": "\x01" * 10_000},
}


@pytest.mark.parametrize("delta", HARD.values(), ids=HARD.keys())
@pytest.mark.parametrize("accept", ["text/event-stream", "application/json"])
def test_every_page_fits_through_lambda(router: Router, path: str, hand: Hand, delta: dict[str, Any], accept: str):
    """Lambda's own answer is JSON, with the body as a string in it."""
    for _ in range(20):
        hand.emit(*[delta] * (2_000 if delta == {"n": 1} else 8))
    reply = router.get(path, headers={"Accept": accept})
    assert len(json.dumps(reply.body, ensure_ascii=False).encode()) < LAMBDA_ANSWER_BYTES / 2


@pytest.mark.parametrize("accept", ["text/event-stream", "application/json"])
def test_a_piece_that_another_worker_did_not_split_costs_nobody_the_page(
    router: Router, path: str, hand: Hand, accept: str
):
    """Its writers can send up to 16 MiB in one, and no page with that would ever come through Lambda."""
    hand.emit("a", "x" * LAMBDA_ANSWER_BYTES, "b")
    reply = router.get(path, headers={"Accept": accept})
    assert len(json.dumps(reply.body, ensure_ascii=False).encode()) < LAMBDA_ANSWER_BYTES / 2
    hand.finish()
    assert text_of(everything(router, path)) == "ab"


def test_a_long_output_comes_before_the_job_and_a_large_result_alone(router: Router, path: str, hand: Hand):
    hand.emit("x" * 60_000, "y" * 60_000)
    hand.finish("z" * 4_000_000)
    first, second = pages_of(router, path)
    assert [event["type"] for event in first] == ["delta", "delta"]
    assert [event["type"] for event in second] == ["job"]


def test_a_short_output_and_a_large_result_fit_through_lambda_together(router: Router, path: str, hand: Hand):
    hand.emit('"' * (BESIDE_JOB_BYTES // 2 - 200))
    hand.finish('"' * 1_400_000)
    [page] = pages_of(router, path)
    assert [event["type"] for event in page] == ["delta", "job"]
    reply = router.get(path)
    assert len(json.dumps(reply.body, ensure_ascii=False).encode()) < LAMBDA_ANSWER_BYTES


# Waiting


def test_a_request_waits_until_something_comes(router: Router, path: str, hand: Hand, db: redis.Redis):
    with asking(router, path) as replies:
        assert eventually(lambda: db.info("clients")["blocked_clients"])
        assert (places_taken(db), replies) == (1, [])
        hand.emit("a")
    assert text_of(replies[0].json["data"]) == "a"
    assert places_taken(db) == 0


@pytest.mark.parametrize("how", ["finished", "cancelled"])
def test_a_request_waits_until_the_job_is_final(
    router: Router, path: str, hand: Hand, db: redis.Redis, make_token: MakeToken, how: str
):
    """A cancelled job writes nothing into its log."""
    with asking(router, path) as replies:
        assert eventually(lambda: db.info("clients")["blocked_clients"])
        hand.finish() if how == "finished" else router.delete(path.removesuffix("/events"))
    assert [event["type"] for event in replies[0].json["data"]] == ["job"]


def test_a_wait_ends_before_the_function_does(router: Router, path: str, hand: Hand, db: redis.Redis):
    reply = router.get(path, headers=JSON, context=LambdaContext(remaining_ms=2_300))
    assert (reply.status, reply.json["data"], reply.json["has_more"]) == (200, [], True)
    assert "retry-after" not in reply.headers
    assert places_taken(db) == 0


def test_without_a_place_the_answer_comes_at_once_and_says_when_to_come_again(
    build_router: BuildRouter, generate: dict[str, Any], redis_url: str, capsys: pytest.CaptureFixture[str]
):
    router = build_router(ROUTER_CALLER_WAITS_CAP="0")
    path = router.post("/v1/jobs", generate).headers["location"] + "/events"
    hand = Hand(redis_url)
    for _ in range(3):
        reply = router.get(path, headers=JSON)
        assert (reply.status, reply.json["data"], reply.headers["retry-after"]) == (200, [], "2")
    assert router.get(path).body == "retry: 2000\n\n"
    hand.emit("a")
    reply = router.get(path, headers=JSON)
    assert (text_of(reply.json["data"]), reply.headers.get("retry-after")) == ("a", None)
    measured = [metrics_of(line) for line in metric_lines(capsys.readouterr().out)]
    assert sum(Metric.WAITS_REFUSED in metrics for metrics in measured) == 5
