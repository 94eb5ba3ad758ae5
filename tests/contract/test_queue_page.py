"""docs/queue.md is enough to write a worker: its example works, and its tables hold what Redis holds."""

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import redis

from lambda_router_queue.models import PROTOCOL_VERSION
from lambda_router_queue.queue_keys import GROUP, QueueKeys
from lambda_router_worker.queue import connection
from lambda_router_worker.queue.work_queue import Lease, Pieces, WorkQueue
from tests.contract.repository import ROOT, page, table_column

QUEUE = "tinyllama"


@pytest.fixture
def work_one(monkeypatch: pytest.MonkeyPatch) -> Callable[..., bool]:
    """The page's own worker."""
    pattern = r"<!-- example: worker -->\n```python\n(.*?)^```"
    example = re.search(pattern, page("docs/queue.md"), re.DOTALL | re.MULTILINE)
    assert example is not None
    monkeypatch.chdir(ROOT)
    names: dict[str, Any] = {}
    exec(example[1], names)
    work: Callable[..., bool] = names["work_one"]
    return work


@pytest.fixture
def waiting(router: Any, db: "redis.Redis", generate: dict[str, Any]) -> str:
    """A job that waits, and the groups that workers make."""
    for stream in QueueKeys(QUEUE).streams:
        db.xgroup_create(stream, GROUP, id="0", mkstream=True)
    job_id: str = router.post("/v1/jobs", generate, headers={"Idempotency-Key": "k"}).json["id"]
    return job_id


def test_the_worker_on_the_page_works_a_job(
    work_one: Callable[..., bool], waiting: str, router: Any, db: "redis.Redis"
) -> None:
    assert work_one(db, QUEUE, "page-1", lambda job: {"text": job["input"]["prompt"].upper()})
    assert not work_one(db, QUEUE, "page-1", lambda job: None)

    job = router.get(f"/v1/jobs/{waiting}").json
    assert (job["status"], job["attempts"]) == ("completed", 1)
    assert job["result"]["text"].startswith("HELLO")


def test_the_worker_on_the_page_rejects_a_job_of_another_version(
    work_one: Callable[..., bool], waiting: str, router: Any, db: "redis.Redis"
) -> None:
    stream = QueueKeys(QUEUE).streams[int(str(db.hget(QueueKeys(QUEUE).job(waiting), "stream")))]
    [(entry_id, fields)] = db.xrange(stream)
    db.xdel(stream, entry_id)
    newer = json.dumps(json.loads(fields["job"]) | {"v": 2})
    db.hset(QueueKeys(QUEUE).job(waiting), "stream_id", str(db.xadd(stream, fields | {"job": newer})))

    assert work_one(db, QUEUE, "page-1", lambda job: "worked all the same")

    assert router.get(f"/v1/jobs/{waiting}").json["error"]["code"] == "unreadable"


async def whole_life(url: str, job_id: str, read: Callable[[], dict[str, str]]) -> set[str]:
    """Every field of a delayed job's record: abandoned, tried again and given back once each, given up on at last."""
    client = connection.connect(url)
    queue = WorkQueue(client, QUEUE, "page-2", lease_ms=0)
    seen = set(read())
    for step in ("abandon", "retry", "give back", "give up"):
        await client.execute("ZADD", queue.keys.scheduled, "XX", 1, job_id)
        await queue.promote()
        (claim,) = await queue.claim(1) or await queue.reclaim(1)
        lease = await queue.start(claim, read()["owner"])
        assert isinstance(lease, Lease)
        assert await queue.emit([Pieces(lease, 1, ['{"text":"a"}'])]) == ["stored"]
        seen |= set(read())
        if step == "retry":
            assert await queue.retry(lease, 0, 9, "busy", "Busy.") == "scheduled"
        elif step == "give back":
            assert await queue.give_back(lease, "crashed") == "given back"
        elif step == "give up":
            assert await queue.retry(lease, 0, 1, "no", "No.") == "dead"
        seen |= set(read())
    await client.aclose()
    return seen


def test_every_field_of_a_record_is_documented(
    work_one: Callable[..., bool],
    waiting: str,
    router: Any,
    db: "redis.Redis",
    redis_url: str,
    generate: dict[str, Any],
) -> None:
    work_one(db, QUEUE, "page-1", lambda job: None)
    delayed: str = router.post("/v1/jobs", generate | {"delay_seconds": 60, "store": False}).json["id"]
    keys: Any = db

    written = set(keys.hgetall(QueueKeys(QUEUE).job(waiting)))
    written |= asyncio.run(whole_life(redis_url, delayed, lambda: keys.hgetall(QueueKeys(QUEUE).job(delayed))))
    response: str = router.post("/v1/responses", {"model": QUEUE, "input": "hello", "background": True}).json["id"]
    written |= set(keys.hgetall(QueueKeys(QUEUE).job(response.replace("resp_", "job_"))))

    assert written == set(table_column(page("docs/queue.md"), "## The record"))


def test_every_key_is_documented(waiting: str, db: "redis.Redis") -> None:
    documented = [_pattern(key) for key in table_column(page("docs/queue.md"), "## Keys")]
    written: Any = db.scan_iter()

    assert not [key for key in written if not any(re.fullmatch(pattern, key) for pattern in documented)]


#: Words that a worker need not know: all of them mean to emit nothing further.
_STOP = {"spoiled", "lost", "gone"}


def test_every_word_of_emit_is_documented() -> None:
    source = (ROOT / "lambda_router_worker/queue/lua/emit.lua").read_text()
    words = {word.split()[0] for word in re.findall(r"return '(.+?)'", source)}

    assert (
        words
        == {
            word.split()[0]
            for word in table_column(
                page("docs/queue.md"), "What to do at each word that `emit.lua` returns for a job:"
            )
        }
        | _STOP
    )


def _pattern(key: str) -> str:
    return re.sub(r"<\w+>", "[^:]+", re.escape(key))


def test_the_page_and_the_code_are_of_one_version() -> None:
    assert f"# The queue, protocol version {PROTOCOL_VERSION}\n" in page("docs/queue.md")
