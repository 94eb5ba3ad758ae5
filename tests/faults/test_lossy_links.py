"""A link to Redis that loses, delays or cuts: what was acknowledged is there, once, and doubt is a 503 in time."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib import wiring
from chalicelib.errors import QueueUnavailable
from tests.conftest import MakeToken, Router
from tests.faults import proxy as faults
from tests.faults.conftest import Tell
from tests.faults.kit import FULL, QUEUE, Callers, Crew, Server, eventually, new_job, size
from tests.faults.proxy import Fault, LoseReplies, Proxy, proxy_to

#: Of all replies, how many are lost.
SHARES = [pytest.param(0.1, id="one in ten"), pytest.param(0.5, id="one in two")]


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    with proxy_to(server.url) as proxy:
        yield proxy


@pytest.fixture
def through_proxy(proxy: Proxy) -> Iterator[Callers]:
    """Callers whose way to Redis leads through the proxy."""
    callers = Callers(proxy.url)
    yield callers
    callers.close()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("share", SHARES)
def test_lost_replies_neither_lose_nor_double_jobs_sent_under_keys(
    server: Server, through_proxy: Callers, proxy: Proxy, share: float, tell: Tell
) -> None:
    proxy.fault = lossy = LoseReplies(share)

    ids = [through_proxy.send(key=f"key-{number}") for number in range(size(200, 1_000))]

    assert_all_there_once(server, ids, "alice")
    tell(f"replies lost: {lossy.lost} | jobs sent, with keys: {len(ids)} | lost: 0 | doubled: 0")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("share", SHARES)
def test_lost_replies_double_no_job_that_is_sent_again_under_its_id(
    server: Server, through_proxy: Callers, proxy: Proxy, share: float, tell: Tell
) -> None:
    proxy.fault = lossy = LoseReplies(share)
    acknowledged = set()
    unknown = 0
    for _ in range(size(200, 1_000)):
        job = new_job()
        while job.job_id not in acknowledged:
            try:
                through_proxy.submit([job])
                acknowledged.add(job.job_id)
            except QueueUnavailable:
                unknown += 1

    assert_all_there_once(server, list(acknowledged), "alice")
    tell(f"replies lost: {lossy.lost} | jobs sent, no keys: {len(acknowledged)} | 503: {unknown} | doubled: 0")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("share", SHARES)
def test_over_http_lost_replies_neither_lose_nor_double_jobs_of_a_caller_that_repeats_on_503(
    server: Server, proxy: Proxy, environ: dict[str, str], make_token: MakeToken, share: float, tell: Tell
) -> None:
    proxy.fault = lossy = LoseReplies(share)
    router = Router(make_token())
    verdicts: list[int] = []
    ids = []
    with wiring.use(wiring.build(environ | {"REDIS_URL": proxy.url, "ROUTER_OPEN_JOBS_CAP": "2000"})):
        for number in range(size(200, 1_000)):
            ids.append(send_until_stored(router, f"key-{number}", verdicts))

    assert set(verdicts) <= {202, 503}
    (owner,) = {key.rpartition(":")[2] for key in server.db.keys("*:owner:*")}
    assert_all_there_once(server, ids, owner)
    tell(f"replies lost: {lossy.lost} | over HTTP: {len(ids)} | 503: {verdicts.count(503)} | lost: 0 | doubled: 0")


def send_until_stored(router: Router, key: str, verdicts: list[int]) -> str:
    """POST a job, and the same again after each 503; the job's id."""
    while True:
        reply = router.post(
            "/v1/jobs", {"type": "generate", "input": {"prompt": "hello"}}, headers={"Idempotency-Key": key}
        )
        verdicts.append(reply.status)
        if reply.status != 503:
            assert reply.status == 202, reply.body
            return str(reply.json["id"])
        assert int(reply.headers["retry-after"]) >= 1


def assert_all_there_once(server: Server, ids: list[str], owner: str) -> None:
    stored = [fields["id"] for stream in QUEUE.streams for _, fields in server.db.xrange(stream)]
    envelopes = [json.loads(fields["job"]) for stream in QUEUE.streams for _, fields in server.db.xrange(stream)]
    assert sorted(stored) == sorted(ids)
    assert [envelope["id"] for envelope in envelopes] == stored
    assert set(server.db.zrange(QUEUE.owner(owner), 0, -1)) == set(ids)


@pytest.mark.timeout(200)
def test_workers_that_lose_one_reply_in_twenty_begin_and_finish_every_job_once(
    server: Server, callers: Callers, crew: Crew, proxy: Proxy, tell: Tell
) -> None:
    count = size(20, 500)
    ids = [callers.send(prompt="5") for _ in range(count)]
    proxy.fault = lossy = LoseReplies(0.05)
    crew.url = proxy.url
    for _ in range(2):
        crew.hire()

    eventually(lambda: server.entries_left() == 0, 150, "all jobs are done")

    assert {(job.status, job.attempts) for job in callers.look(ids)} == {("completed", 1)}
    assert server.final_writes() == dict.fromkeys(ids, 1)
    tell(f"replies to workers lost: {lossy.lost} | jobs: {count} | lost: 0 | begun twice: 0 | finished twice: 0")


STORED = "stored"
IN_DOUBT = "503"
#: What a caller meets, and whether it can be told that its job is stored.
LINKS: dict[str, tuple[Fault, str]] = {
    "nothing wrong": (Fault(), STORED),
    "each reply lost": (LoseReplies(1.0), IN_DOUBT),
    "each request lost": (faults.LoseRequests(), IN_DOUBT),
    "slow": (faults.Delay(0.3), STORED),
    "too slow": (faults.Delay(1.5), IN_DOUBT),
    "black hole": (faults.BlackHole(), IN_DOUBT),
    "executes and says nothing": (faults.SwallowReplies(), IN_DOUBT),
    "reset at once": (faults.Reset(), IN_DOUBT),
    "reset after the request": (faults.ResetAfterRequest(), IN_DOUBT),
    "replies in small pieces": (faults.Slice(3, 0.001), STORED),
    "replies drop by drop": (faults.Slice(20, 0.5), IN_DOUBT),
    "half a reply": (faults.HalfReply(), IN_DOUBT),
    "half closed": (faults.HalfClose(), IN_DOUBT),
}


#: The slow ones take their time at each try, so a smoke run tries less.
WARM = {"open connection": True} | ({"new connection": False} if FULL else {})
OVER_HTTP = {name: LINKS[name] for name in (LINKS if FULL else ("nothing wrong", "each reply lost", "black hole"))}


@pytest.mark.parametrize("warm", WARM.values(), ids=WARM)
@pytest.mark.parametrize(("fault", "verdict"), LINKS.values(), ids=LINKS)
def test_a_bad_link_is_an_answer_within_two_seconds_and_forgotten_once_it_heals(
    server: Server, through_proxy: Callers, proxy: Proxy, fault: Fault, verdict: str, warm: bool
) -> None:
    before = [through_proxy.send()] if warm else []
    proxy.fault = fault
    job = new_job()
    began = time.monotonic()
    try:
        through_proxy.submit([job])
        met = STORED
    except QueueUnavailable:
        met = IN_DOUBT
    took = time.monotonic() - began
    proxy.fault = Fault()

    assert (met, took < 2) == (verdict, True), f"{met} after {took:.2f} s"
    (decision,) = through_proxy.submit([job])
    assert decision.verdict == "accepted"
    assert_all_there_once(server, [*before, job.job_id], "alice")


@pytest.mark.parametrize(("fault", "verdict"), OVER_HTTP.values(), ids=OVER_HTTP)
def test_over_http_a_bad_link_is_a_202_or_a_503_within_two_seconds(
    proxy: Proxy, environ: dict[str, str], make_token: MakeToken, generate: dict[str, Any], fault: Fault, verdict: str
) -> None:
    router, headers = Router(make_token()), {"Idempotency-Key": "key"}
    with wiring.use(wiring.build(environ | {"REDIS_URL": proxy.url})):
        proxy.fault = fault
        began = time.monotonic()
        reply = router.post("/v1/jobs", generate, headers=headers)
        took = time.monotonic() - began
        proxy.fault = Fault()
        again = router.post("/v1/jobs", generate, headers=headers)

    assert (reply.status, took < 2) == (202 if verdict == STORED else 503, True), f"{reply.status} after {took:.2f} s"
    assert again.status == 202
    if reply.status == 202:
        assert again.json["id"] == reply.json["id"]
