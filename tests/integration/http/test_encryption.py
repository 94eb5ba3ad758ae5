"""Jobs encrypted with a KMS key, from the caller's POST to its GET; Valkey never holds a word of theirs."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, aclosing
from pathlib import Path
from typing import Any

import pytest
import redis

from chalicelib import wiring
from lambda_router_queue.models import Envelope
from lambda_router_worker.operations.operations import Operations
from lambda_router_worker.processing.encryption import Encryption
from lambda_router_worker.queue.connection import connect
from tests.conftest import MakeToken, Router
from tests.integration.conftest import TYPES
from tests.integration.in_redis import (
    KEYS,
    QUEUE,
    dead_letters,
    entries,
    every_text,
    everything,
    redis_url_of,
    stored_jobs,
)
from tests.integration.processes import clean_environment
from tests.integration.worker.worker_hand import working
from tests.kms import KeyService, forms_of, key_service, take_role
from tests.patience import eventually, soon

PROMPT = "What is said here stays between us: 42 Grüße"
BODY: dict[str, Any] = {"type": "once", "input": {"prompt": PROMPT}}
ENCRYPTION_UNAVAILABLE = "urn:problem-type:lambda-router:encryption-unavailable"

type Work = Callable[..., str]
type StartRouter = Callable[..., Router]


@pytest.fixture(scope="module")
def kms() -> Iterator[KeyService]:
    with key_service() as service:
        yield service


@pytest.fixture(autouse=True)
def role(kms: KeyService, monkeypatch: pytest.MonkeyPatch) -> None:
    take_role(monkeypatch, **kms.variables)


@pytest.fixture
def start_router(environ: dict[str, str], make_token: MakeToken) -> Iterator[StartRouter]:
    """A new process of the app, from now on the one that alice reaches: with that key, and a cold cache."""
    with ExitStack() as stack:

        def start(key: str | None, **settings: str) -> Router:
            services = wiring.build(environ | {"ROUTER_KMS_KEY_ID": key or ""} | settings, TYPES)
            stack.callback(services.queue._redis.close)
            stack.enter_context(wiring.use(services))
            return Router(make_token())

        yield start


@pytest.fixture
def router(start_router: StartRouter, kms: KeyService) -> Router:
    """The app as alice reaches it, with encryption on."""
    return start_router(kms.arn)


async def shout(job: Envelope) -> Any:
    assert job.encrypted_input is None
    messages: Any = job.input.get("messages") or [{"content": job.input["prompt"]}]
    return {"text": messages[-1]["content"].upper()}


@pytest.fixture
def work(redis_url: str, router: Router, kms: KeyService, db: "redis.Redis") -> Work:
    """Has one job worked by a worker with that key; its status then. Nobody reads the result."""

    def status(location: str) -> str:
        return str(db.hget(KEYS.job(location.rpartition("/")[2]), "status"))

    def work_one(location: str, key: str | None = kms.arn, accept_plain_text: bool = False) -> str:
        async def scenario() -> None:
            async with working(redis_url, shout, encryption=Encryption(key, accept_plain_text)):
                assert await soon(lambda: status(location) in {"completed", "failed"})

        asyncio.run(scenario())
        return status(location)

    return work_one


def words_in(db: "redis.Redis") -> list[bytes]:
    """Forms of prompt or result that are in Valkey: in any key or value, or in the bytes that it would save to disk."""
    written = every_text(db).encode() + b"".join(dump for _, dump in everything(db).values())
    words = [form for text in (PROMPT, PROMPT.upper(), "stays between") for form in forms_of(text)]
    return [form.pattern for form in words if form.search(written)]


def test_valkey_never_holds_a_word_of_prompt_or_result(router: Router, work: Work, db: "redis.Redis"):
    location = router.post("/v1/jobs", BODY, headers={"Idempotency-Key": "k"}).headers["location"]
    router.post("/v1/jobs", BODY | {"delay_seconds": 60})
    while_it_waits = words_in(db)

    assert work(location) == "completed"

    assert router.get(location).json["result"] == {"text": PROMPT.upper()}
    assert while_it_waits == []
    assert words_in(db) == []


def test_valkey_never_holds_a_word_of_a_response_or_of_its_conversation(router: Router, work: Work, db: "redis.Redis"):
    def say(**members: Any) -> Any:
        body = {"model": "tinyllama", "background": True, "instructions": PROMPT} | members
        reply = router.post("/v1/responses", body)
        assert reply.status == 200, reply.body
        assert work("/v1/jobs/" + reply.json["id"].replace("resp_", "job_")) == "completed"
        return router.get(f"/v1/responses/{reply.json['id']}").json

    first = say(input=PROMPT)
    second = say(input="And?", previous_response_id=first["id"])

    assert first["instructions"] == PROMPT
    assert [item["content"][0]["text"] for item in first["output"]] == [PROMPT.upper()]
    assert second["output"][0]["content"][0]["text"] == "AND?"
    assert words_in(db) == []


def test_the_search_for_words_finds_those_of_a_job_in_the_clear(start_router: StartRouter, db: "redis.Redis"):
    start_router(None).post("/v1/jobs", BODY)

    assert words_in(db)


def test_lists_repeats_and_batches_show_results_in_the_clear(router: Router, work: Work):
    key = {"Idempotency-Key": "k"}
    location = router.post("/v1/jobs", BODY, headers=key).headers["location"]
    work(location)

    assert router.get("/v1/jobs").json["data"][0]["result"] == {"text": PROMPT.upper()}
    assert router.post("/v1/jobs", BODY, headers=key).json["result"] == {"text": PROMPT.upper()}
    batch = router.post("/v1/jobs/batch", {"jobs": [BODY, BODY]}).json["data"]
    assert [item["status"] for item in batch] == [202, 202]


def test_two_routers_read_each_others_results(start_router: StartRouter, router: Router, work: Work, kms: KeyService):
    location = router.post("/v1/jobs", BODY).headers["location"]
    work(location)

    assert start_router(kms.arn).get(location).json["result"] == {"text": PROMPT.upper()}


def test_jobs_in_the_clear_are_worked_in_the_clear_where_nobody_has_a_key(start_router: StartRouter, work: Work):
    router = start_router(None)
    location = router.post("/v1/jobs", BODY).headers["location"]

    work(location, key=None)

    assert router.get(location).json["result"] == {"text": PROMPT.upper()}


def test_a_kms_that_is_away_is_a_503_and_nothing_is_stored(router: Router, kms: KeyService, db: "redis.Redis"):
    with kms.away():
        reply = router.post("/v1/jobs", BODY, headers={"Idempotency-Key": "k"})

    assert (reply.status, reply.json["type"], reply.headers["retry-after"]) == (503, ENCRYPTION_UNAVAILABLE, "2")
    assert kms.arn not in reply.body
    assert db.dbsize() == 0
    assert router.post("/v1/jobs", BODY, headers={"Idempotency-Key": "k"}).status == 202


def test_a_batch_says_503_job_by_job(router: Router, kms: KeyService, db: "redis.Redis"):
    with kms.away():
        reply = router.post("/v1/jobs/batch", {"jobs": [BODY, BODY]})

    assert (reply.status, [item["status"] for item in reply.json["data"]]) == (200, [503, 503])
    assert stored_jobs(db) == 0


def test_a_result_that_is_not_kept_is_not_lost_while_kms_is_away(
    start_router: StartRouter, router: Router, work: Work, kms: KeyService
):
    location = router.post("/v1/jobs", BODY | {"store": False}).headers["location"]
    assert work(location) == "completed"
    with_cold_cache = start_router(kms.arn)
    with kms.away():
        refused = with_cold_cache.get(location)

    assert (refused.status, refused.json["type"]) == (503, ENCRYPTION_UNAVAILABLE)
    assert with_cold_cache.get(location).json["result"] == {"text": PROMPT.upper()}
    assert with_cold_cache.get(location).json["result"] is None


def test_a_worker_without_the_key_fails_the_job_with_a_code_and_it_can_be_sent_round_again(
    router: Router, work: Work, db: "redis.Redis"
):
    location = router.post("/v1/jobs", BODY).headers["location"]

    assert work(location, key=None) == "failed"

    job = router.get(location).json
    assert job["error"]["code"] == "key_unavailable"
    assert len(dead_letters(db)) == 1
    assert words_in(db) == []
    assert send_round_again(redis_url_of(db), job["id"]) == "queued"
    assert work(location) == "completed"
    assert router.get(location).json["result"] == {"text": PROMPT.upper()}


def send_round_again(url: str, job_id: str) -> str:
    async def retry() -> str:
        async with aclosing(connect(url)) as client:
            operations = Operations(client, QUEUE)
            letter = await operations.letter(job_id)
            assert letter is not None
            return await operations.retry(letter)

    return asyncio.run(retry())


def test_a_worker_with_another_key_fails_the_job_with_a_code(router: Router, work: Work, kms: KeyService):
    location = router.post("/v1/jobs", BODY).headers["location"]

    assert work(location, key=kms.new_key()) == "failed"

    assert router.get(location).json["error"]["code"] in {"key_unavailable", "cannot_decrypt"}


def test_an_input_moved_to_another_job_does_not_open(router: Router, work: Work, db: "redis.Redis"):
    """Somebody who can write to Redis tries to have the first job's prompt answered to the second one's caller."""
    router.post("/v1/jobs", BODY)
    location = router.post("/v1/jobs", BODY | {"input": {"prompt": "mine"}}).headers["location"]
    (first_id, first), (second_id, second) = entries(db)
    for stream in KEYS.streams:
        db.xdel(stream, first_id, second_id)
    swapped = Envelope.model_validate(second | {"encrypted_input": first["encrypted_input"]})
    stream = KEYS.streams[int(str(db.hget(KEYS.job(swapped.id), "stream")))]
    entry_id = db.xadd(stream, {"id": swapped.id, "job": swapped.model_dump_json(exclude_unset=True)})
    db.hset(KEYS.job(swapped.id), "stream_id", str(entry_id))

    assert work(location) == "failed"

    assert router.get(location).json["error"]["code"] == "cannot_decrypt"


def test_a_result_moved_to_another_job_does_not_open(router: Router, work: Work, db: "redis.Redis"):
    victim, thief = (router.post("/v1/jobs", BODY).headers["location"] for _ in range(2))
    for location in (victim, thief):
        work(location)
    stolen = db.hget(KEYS.job(victim.rpartition("/")[2]), "result")
    db.hset(KEYS.job(thief.rpartition("/")[2]), "result", str(stolen))

    job = router.get(thief).json

    assert (job["result"], job["error"]["code"]) == (None, "cannot_decrypt")
    assert router.get(victim).json["result"] == {"text": PROMPT.upper()}


FORGED = '{"text":"forged"}'


def test_a_plain_result_that_somebody_wrote_into_redis_is_not_believed(router: Router, work: Work, db: "redis.Redis"):
    location = router.post("/v1/jobs", BODY).headers["location"]
    work(location)
    db.hset(KEYS.job(location.rpartition("/")[2]), "result", FORGED)

    reply, listed = router.get(location), router.get("/v1/jobs")

    for job in (reply.json, listed.json["data"][0]):
        assert (job["result"], job["error"]["code"]) == (None, "cannot_decrypt")
    assert "forged" not in reply.body + listed.body


def test_a_plain_entry_that_somebody_wrote_into_redis_is_not_worked(
    start_router: StartRouter, router: Router, work: Work, kms: KeyService
):
    location = start_router(None).post("/v1/jobs", BODY).headers["location"]

    assert work(location) == "failed"

    assert start_router(kms.arn).get(location).json["error"]["code"] == "cannot_decrypt"


def test_on_the_day_of_a_migration_one_setting_on_each_side_takes_plain_text(
    start_router: StartRouter, router: Router, work: Work, kms: KeyService
):
    location = start_router(None).post("/v1/jobs", BODY).headers["location"]

    assert work(location, accept_plain_text=True) == "completed"

    migrating = start_router(kms.arn, ROUTER_PLAIN_TEXT="accepted")
    assert migrating.get(location).json["result"] == {"text": PROMPT.upper()}
    assert start_router(kms.arn).get(location).json["error"]["code"] == "cannot_decrypt"


def test_a_router_without_the_key_says_so_and_shows_no_ciphertext(
    start_router: StartRouter, router: Router, work: Work
):
    location = router.post("/v1/jobs", BODY).headers["location"]
    work(location)

    reply = start_router(None).get(location)

    assert (reply.json["result"], reply.json["error"]["code"]) == (None, "cannot_decrypt")
    assert "A256GCM" not in reply.body


def test_the_workers_command_takes_the_key(
    router: Router, kms: KeyService, redis_url: str, tmp_path: Path, db: "redis.Redis"
):
    location = router.post("/v1/jobs", BODY).headers["location"]
    (tmp_path / "shouting.py").write_text("def shout(job):\n    return {'text': job.input['prompt'].upper()}\n")
    command = [sys.executable, "-m", "lambda_router_worker", "--handler", "shouting:shout", "--kms-key-id", kms.arn]
    environment = clean_environment(REDIS_URL=redis_url, **kms.variables)
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    ) as run:
        done = eventually(lambda: router.get(location).json["status"] == "completed", 30)
        run.terminate()
        said = b"".join(part or b"" for part in run.communicate())

    assert done, said
    assert router.get(location).json["result"] == {"text": PROMPT.upper()}
    assert words_in(db) == []
    assert not re.search(rb"stays between|A256GCM", said, re.IGNORECASE)
