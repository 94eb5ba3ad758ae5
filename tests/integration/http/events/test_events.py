"""``GET /v1/jobs/{id}/events``: the form of what a caller reads, and how a reader goes on."""

from typing import Any

import pytest
import redis

from tests.conftest import Router
from tests.integration.answers import assert_problem
from tests.integration.conftest import BuildRouter
from tests.integration.http.events.event_reader import (
    JSON,
    Hand,
    events_of,
    everything,
    everything_there,
    text_of,
)
from tests.integration.in_redis import KEYS
from tests.integration.worker.worker_hand import finish_job

# The form


def test_a_browser_gets_the_output_as_events_and_at_last_the_job(router: Router, path: str, hand: Hand):
    hand.emit("Grüße\n", {"reasoning": "hm"}, {"progress": 0})
    hand.finish({"text": "Grüße\n"})
    token = hand.lease.token
    *deltas, last = events_of(router.get(path))
    assert deltas == [
        (f"{token}-1", "delta", {"text": "Grüße\n"}),
        (f"{token}-2", "delta", {"reasoning": "hm"}),
        (f"{token}-3", "delta", {"progress": 0}),
    ]
    assert (last.id, last.type, last.data) == ("end", "job", router.get(path.removesuffix("/events")).json)


def test_a_program_gets_the_same_as_json(router: Router, path: str, hand: Hand):
    hand.emit("a", "b")
    hand.finish()
    reply = router.get(path, headers=JSON)
    assert reply.headers["content-type"] == "application/json"
    page = reply.json
    assert (page["object"], page["has_more"]) == ("list", False)
    shown = [(event["id"], event["type"], event[event["type"]]) for event in page["data"]]
    assert shown == [tuple(event) for event in events_of(router.get(path))]


def test_a_page_of_a_running_job_says_that_there_is_more(router: Router, path: str, hand: Hand):
    hand.emit("a")
    page = router.get(path, headers=JSON).json
    assert (text_of(page["data"]), page["has_more"]) == ("a", True)


def test_a_browser_comes_back_a_second_later_and_no_sooner(router: Router, path: str, hand: Hand):
    hand.emit("a")
    assert router.get(path).body.startswith("retry: 1000\n\n")


def test_a_job_that_emits_nothing_is_shown_once_it_is_final(router: Router, path: str, hand: Hand):
    hand.finish()
    assert [event.type for event in events_of(router.get(path))] == ["job"]


@pytest.mark.parametrize("final", ["cancelled", "failed", "expired"])
def test_a_job_without_a_result_is_shown_too(
    router: Router, location: str, redis_url: str, db: redis.Redis, final: str
):
    if final == "failed":
        finish_job(redis_url, error={"code": "no", "message": "No."})
    elif final == "cancelled":
        router.delete(location)
    else:
        db.hset(KEYS.job(location.rpartition("/")[2]), "deadline_at", 1_700_000_000_000)
    [event] = events_of(router.get(f"{location}/events"))
    assert (event.id, event.data["status"]) == ("end", final)


# Going on


def test_each_id_gets_what_follows_it(router: Router, path: str, hand: Hand):
    hand.emit(*"abcdef")
    hand.finish()
    whole = everything(router, path)
    for place, event in enumerate(whole[:-1], 1):
        assert everything(router, path, event["id"]) == whole[place:]
        assert [(shown.id) for shown in events_of(router.get(path, headers={"Last-Event-ID": event["id"]}))] == [
            later["id"] for later in whole[place:]
        ]


def test_the_header_of_a_browser_that_comes_back_counts_more_than_its_address(router: Router, path: str, hand: Hand):
    hand.emit("a", "b", "c")
    token = hand.lease.token
    reply = router.get(path, headers={"Last-Event-ID": f"{token}-2"}, query={"after": [f"{token}-1"]})
    assert [event.data for event in events_of(reply)] == [{"text": "c"}]


@pytest.mark.parametrize("accept", ["text/event-stream", "application/json"])
def test_after_the_job_there_is_nothing_and_a_browser_stops(router: Router, path: str, accept: str):
    for how in ({"headers": {"Accept": accept, "Last-Event-ID": "end"}}, {"query": {"after": ["end"]}}):
        reply = router.get(path, **how)  # type: ignore[arg-type]
        assert (reply.status, reply.body) == (204, "")


WRONG_IDS = [
    "x",
    "1",
    "1-",
    "-1",
    "1-1-1",
    "1-*",
    "0x1-1",
    "$",
    "+",
    "1-1 ",
    "1" * 20 + "-1",
    "1-" + "1" * 20,
    "\u0661-\u0661",
    "END",
]


@pytest.mark.parametrize("after", WRONG_IDS)
def test_an_id_that_no_event_has_is_refused(router: Router, path: str, after: str):
    sent = router.get(path, headers={"Last-Event-ID": after})
    assert "Last-Event-ID is" in assert_problem(sent, 400)["detail"]
    asked = router.get(path, query={"after": [after]})
    assert "after is" in assert_problem(asked, 400)["detail"]


UNCLEAR: dict[str, Any] = {
    "two in the query": {"query": {"after": ["1-1", "1-2"]}},
    "two headers": {"headers": {"Last-Event-ID": ["1-1", "1-2"]}},
    "another parameter": {"query": {"since": ["1-1"]}},
}


@pytest.mark.parametrize("how", UNCLEAR.values(), ids=UNCLEAR.keys())
def test_an_ambiguous_or_unknown_query_is_refused(router: Router, path: str, how: Any):
    assert_problem(router.get(path, **how), 400)


def test_an_id_beyond_the_log_gets_only_the_job(router: Router, path: str, hand: Hand):
    hand.emit("a")
    hand.finish()
    assert [event["type"] for event in everything(router, path, "9999999999999999999-9999999999999999999")] == ["job"]


def test_a_new_attempt_tells_readers_to_start_over(router: Router, path: str, hand: Hand):
    hand.emit("old", "er")
    before = everything_there(router, path)
    hand.retry()
    hand.emit("new")
    hand.finish()
    for after in ("", *(event["id"] for event in before)):
        shown = [(event["type"], event.get("delta")) for event in everything(router, path, after)]
        assert shown == [("restarted", None), ("delta", {"text": "new"}), ("job", None)]


def test_a_new_attempt_whose_mark_is_gone_tells_readers_all_the_same(
    router: Router, path: str, hand: Hand, db: redis.Redis
):
    """The log expired, or a failover lost it."""
    hand.emit("old")
    [old] = everything_there(router, path)
    hand.retry()
    db.delete(KEYS.events(path.split("/")[3]))
    hand.emit("new")
    shown = [(event["type"], event["id"]) for event in everything_there(router, path, old["id"])]
    assert shown == [("restarted", f"{hand.lease.token}-0"), ("delta", f"{hand.lease.token}-1")]


def test_a_log_that_has_expired_leaves_the_job(router: Router, path: str, hand: Hand, db: redis.Redis):
    hand.emit("a")
    hand.finish()
    assert 0 < db.pttl(KEYS.events(path.split("/")[3])) <= 600_000
    db.delete(KEYS.events(path.split("/")[3]))
    assert [event["type"] for event in everything(router, path)] == ["job"]


def test_the_log_is_kept_for_as_long_as_the_setting_says(
    build_router: BuildRouter, generate: dict[str, Any], db: redis.Redis, redis_url: str
):
    router = build_router(ROUTER_EVENTS_SECONDS="60")
    job_id = router.post("/v1/jobs", generate).json["id"]
    hand = Hand(redis_url)
    hand.emit("a")
    hand.finish()
    assert 0 < db.pttl(KEYS.events(job_id)) <= 60_000
