"""What waits in the queue, and who works on it."""

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import redis

from lambda_router_queue.encryption.data_keys import DataKeys
from lambda_router_queue.encryption.sealing import Place, Sealer
from lambda_router_queue.queue_keys import QueueKeys
from tests import servers
from tests.integration.conftest import Submit
from tests.integration.worker.check.checking import DEMO, is_wrong, look, run_check
from tests.integration.worker.check.lying_redis import lying
from tests.integration.worker.worker_program import log_of, worker_process
from tests.kms import KeyService, key_service, take_role
from tests.patience import eventually

KEYS = QueueKeys("tinyllama")


@pytest.fixture(scope="module")
def service() -> Any:
    with key_service() as service:
        yield service


def add(db: redis.Redis, job: Any) -> None:
    db.xadd(KEYS.streams[5], {"id": "job_1", "job": json.dumps(job) if isinstance(job, dict) else job})


def test_a_queue_that_nobody_has_used_is_right_and_the_others_are_named(redis_url: str, db: redis.Redis) -> None:
    db.hset(QueueKeys("llava").flow, "slots", 1)

    finding = look("queue", redis_url=redis_url, queue="lava")

    assert finding.ok
    assert "llava" in finding.found


def test_jobs_that_wait_are_counted_and_not_shown(redis_url: str, submit: Submit) -> None:
    for _ in range(3):
        submit("a secret prompt")

    finding = look("queue", redis_url=redis_url)

    assert finding.ok
    assert "3 waiting" in finding.found
    assert "secret" not in finding.found


@pytest.mark.parametrize("version", [2, "1", None])
def test_jobs_of_another_protocol_are_wrong(redis_url: str, db: redis.Redis, version: Any) -> None:
    add(db, {"v": version, "input": {"prompt": "a secret prompt"}})

    finding = look("queue", redis_url=redis_url)

    assert is_wrong(finding, f"version {version}")
    assert "secret" not in str(finding)


@pytest.mark.parametrize("job", ["no JSON", "[]", "[" * 100_000])
def test_what_anybody_else_wrote_does_not_disturb_it(redis_url: str, db: redis.Redis, job: str) -> None:
    add(db, job)

    assert look("queue", redis_url=redis_url).ok


def test_a_user_who_may_not_read_the_queue_is_wrong(redis_url: str) -> None:
    def refuse(words: Sequence[str]) -> bytes | None:
        if words[0] != "XRANGE":
            return None
        return b"-NOPERM User worker has no permissions to run the 'xrange' command\r\n"

    with redis.Redis.from_url(redis_url) as db, lying(redis_url, refuse) as url:
        db.xadd(KEYS.streams[0], {"id": "job_1", "job": '{"v": 1}'})
        assert is_wrong(look("queue", redis_url=url), "+xrange")


def test_a_worker_that_runs_is_counted_and_its_health_port_is_right(tmp_path: Path, redis_url: str) -> None:
    port = servers.free_port()
    with worker_process(tmp_path, redis_url, *DEMO, "--health-port", str(port), "--concurrency", "2"):
        assert eventually(lambda: "1 worker (2 jobs" in look("queue", redis_url=redis_url).found, seconds=20)
        assert look("health port", health_port=port, health_host="127.0.0.1").ok
        assert log_of(tmp_path)


def test_kms_is_right_if_it_is_not_used(redis_url: str) -> None:
    assert look("KMS", redis_url=redis_url).ok


def sealed(key_id: str) -> dict[str, Any]:
    place = Place(KEYS.queue, "job_1", "alice", "input")
    return {"v": 1, "encrypted_input": Sealer(DataKeys(key_id)).seal("{}", place)}


def test_encrypted_jobs_without_a_key_are_wrong(
    redis_url: str, db: redis.Redis, service: KeyService, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_role(monkeypatch, **service.variables)
    add(db, sealed(service.arn))

    assert is_wrong(look("KMS", redis_url=redis_url), "--kms-key-id is not set")


def test_the_key_of_a_job_that_waits_is_decrypted(
    redis_url: str, db: redis.Redis, service: KeyService, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_role(monkeypatch, **service.variables)
    idle = look("KMS", redis_url=redis_url, kms_key_id=service.arn)
    add(db, sealed(service.arn))
    busy = look("KMS", redis_url=redis_url, kms_key_id=service.arn)

    assert (idle.ok, busy.ok) == (True, True)
    assert "no encrypted job waits" in idle.found
    assert "decrypts" in busy.found


@pytest.mark.parametrize("data_key", ["TWFkZSB1cA", None], ids=["made up", "of another key"])
def test_a_job_of_another_key_is_wrong(
    redis_url: str, db: redis.Redis, service: KeyService, monkeypatch: pytest.MonkeyPatch, data_key: str | None
) -> None:
    take_role(monkeypatch, **service.variables)
    job = sealed(service.new_key())
    if data_key is not None:
        job["encrypted_input"] = f"A256GCM.{data_key}.AAAA.AAAA"
    add(db, job)

    assert is_wrong(look("KMS", redis_url=redis_url, kms_key_id=service.arn))


def test_kms_that_is_away_is_wrong(redis_url: str, service: KeyService, monkeypatch: pytest.MonkeyPatch) -> None:
    take_role(monkeypatch, **service.variables)
    with service.away():
        assert is_wrong(look("KMS", redis_url=redis_url, kms_key_id=service.arn), "cannot be used")


@pytest.mark.parametrize("library", ["boto3", "cryptography"])
def test_a_worker_without_a_library_for_encryption_is_told_to_install_it(
    redis_url: str, tmp_path: Path, library: str
) -> None:
    (tmp_path / f"{library}.py").write_text(f"raise ImportError(name={library!r})")
    variables = {"REDIS_URL": redis_url, "WORKER_KMS_KEY_ID": "alias/key"}
    said = run_check("check", "--no-backend", folder=tmp_path, **variables)

    assert (said.status, said.kinds["KMS"]) == (3, "WRONG")
    assert f"{library} is not installed" in said.line("KMS")


def test_a_worker_without_cryptography_is_told_to_install_it(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, service: KeyService
) -> None:
    """Its process refuses to start, whether an encrypted job waits or not."""
    take_role(monkeypatch, **service.variables)
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "cryptography" else found(name))

    assert is_wrong(look("KMS", redis_url=redis_url, kms_key_id=service.arn), "cryptography is not installed")
