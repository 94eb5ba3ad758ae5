"""``POST /v1/jobs/batch``: one verdict each, in order."""

from typing import Any

import pytest

from chalicelib import wiring
from chalicelib.jobs.job_types import JobType, generate_input, registry
from tests.conftest import MakeToken, Router
from tests.integration.answers import QUEUE_FULL
from tests.integration.in_redis import stored_jobs


def batch(router: Router, *jobs: Any, **options: Any) -> list[dict[str, Any]]:
    reply = router.post("/v1/jobs/batch", {"jobs": list(jobs)}, **options)
    assert reply.status == 200, reply.body
    return list(reply.json["data"])


def test_each_job_gets_its_own_verdict_in_order(router: Router, generate: dict[str, Any]) -> None:
    verdicts = batch(router, generate, {"type": "nope"}, generate | {"ttl_seconds": 1}, generate | {"priority": "high"})

    assert [verdict["status"] for verdict in verdicts] == [202, 422, 422, 202]
    assert [bool(verdict["job"]) for verdict in verdicts] == [True, False, False, True]
    assert verdicts[1]["problem"]["errors"][0]["pointer"] == "/jobs/1/type"
    assert verdicts[2]["problem"]["errors"][0]["pointer"] == "/jobs/2/ttl_seconds"
    assert verdicts[3]["job"]["priority"] == "high"


def test_a_hundred_jobs_are_one_round_trip(router: Router, generate: dict[str, Any], db: Any) -> None:
    batch(router, generate)
    db.config_resetstat()

    verdicts = batch(router, *[generate] * 100)

    assert {verdict["status"] for verdict in verdicts} == {202}
    assert len({verdict["job"]["id"] for verdict in verdicts}) == 100
    assert db.info("commandstats")["cmdstat_evalsha"]["calls"] == 1


def test_a_repeated_batch_gives_the_same_jobs(router: Router, generate: dict[str, Any], db: Any) -> None:
    headers = {"Idempotency-Key": "batch-1"}
    first, again = (batch(router, generate, generate, headers=headers) for _ in (1, 2))

    assert [verdict["job"]["id"] for verdict in first] == [verdict["job"]["id"] for verdict in again]
    assert sum(db.xlen(key) for key in db.keys("*:jobs:*")) == 2


def test_a_key_of_a_batch_is_not_a_key_of_a_single_job(router: Router, generate: dict[str, Any]) -> None:
    (verdict,) = batch(router, generate, headers={"Idempotency-Key": "k"})

    single = router.post("/v1/jobs", generate, headers={"Idempotency-Key": "k"})

    assert single.json["id"] != verdict["job"]["id"]
    assert "idempotency-replayed" not in single.headers


def test_caps_hold_within_a_batch(
    environ: dict[str, str], make_token: MakeToken, generate: dict[str, Any], db: Any
) -> None:
    with wiring.use(wiring.build(environ | {"ROUTER_OPEN_JOBS_CAP": "2"})):
        verdicts = batch(Router(make_token()), *[generate] * 4)

    assert [verdict["status"] for verdict in verdicts] == [202, 202, 429, 429]
    assert verdicts[2]["problem"]["violated-policies"] == ["open-jobs"]


def test_the_rate_holds_within_a_batch(
    environ: dict[str, str], make_token: MakeToken, generate: dict[str, Any]
) -> None:
    limits = {"ROUTER_RATE_PER_MINUTE": "20", "ROUTER_RATE_BURST": "5"}
    with wiring.use(wiring.build(environ | limits)):
        verdicts = batch(Router(make_token()), *[generate] * 6)

    assert [verdict["status"] for verdict in verdicts] == [202] * 5 + [429]


def test_jobs_of_two_queues_go_each_to_its_own(
    environ: dict[str, str], make_token: MakeToken, generate: dict[str, Any], db: Any
) -> None:
    types = registry(JobType("generate", generate_input), JobType("other", generate_input, queue="other"))
    with wiring.use(wiring.build(environ, types)):
        router = Router(make_token())
        verdicts = batch(router, generate, generate | {"type": "other"}, generate)
        assert [verdict["job"]["queue"] for verdict in verdicts] == ["tinyllama", "other", "tinyllama"]
        assert len(router.get("/v1/jobs").json["data"]) == 3
        for verdict in verdicts:
            assert router.get(f"/v1/jobs/{verdict['job']['id']}").status == 200


def test_a_type_that_asks_for_another_scope_is_refused_alone(
    environ: dict[str, str], make_token: MakeToken, generate: dict[str, Any]
) -> None:
    types = registry(JobType("generate", generate_input), JobType("big", generate_input, scope="lambda-router/big"))
    with wiring.use(wiring.build(environ, types)):
        plain, scoped = Router(make_token()), Router(make_token(scope="lambda-router/jobs lambda-router/big"))
        big = generate | {"type": "big"}
        assert [verdict["status"] for verdict in batch(plain, generate, big)] == [202, 403]
        assert [verdict["status"] for verdict in batch(scoped, generate, big)] == [202, 202]
        assert plain.post("/v1/jobs", big).status == 403


def test_a_full_memory_is_a_verdict_each_and_stores_nothing(
    breakable: Router, generate: dict[str, Any], own_db: Any
) -> None:
    own_db.config_set("maxmemory", 1)
    verdicts = batch(breakable, generate, {"type": "nope"})
    own_db.config_set("maxmemory", 0)

    assert [(verdict["status"], verdict["retry_after"]) for verdict in verdicts] == [(503, 30), (422, None)]
    assert verdicts[0]["problem"]["type"] == QUEUE_FULL
    assert stored_jobs(own_db) == 0


def test_a_queue_that_cannot_be_reached_is_a_503_verdict_each(
    environ: dict[str, str], make_token: MakeToken, generate: dict[str, Any]
) -> None:
    with wiring.use(wiring.build(environ | {"REDIS_URL": "redis://127.0.0.1:1/0"})):
        verdicts = batch(Router(make_token()), generate, {"type": "nope"})

    assert [verdict["status"] for verdict in verdicts] == [503, 422]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"jobs": []}, 422),
        ({"jobs": [{}] * 101}, 422),
        ({"jobs": {}}, 422),
        ({}, 422),
        ({"jobs": [{}], "more": 1}, 422),
        ([], 422),
        (b"{", 400),
        (b'{"jobs":[],"jobs":[]}', 400),
        (b" " * (2 * 1024 * 1024 + 1), 413),
    ],
    ids=["empty", "101", "object", "no jobs", "unknown member", "array", "not JSON", "twice", "over 2 MiB"],
)
def test_a_batch_that_is_none_is_refused_as_a_whole(router: Router, body: Any, status: int) -> None:
    reply = router.post("/v1/jobs/batch", body)

    assert reply.status == status
    assert reply.headers["content-type"] == "application/problem+json"


def test_a_batch_needs_a_token(router: Router, generate: dict[str, Any]) -> None:
    assert router.as_caller(None).post("/v1/jobs/batch", {"jobs": [generate]}).status == 401


def test_a_refused_job_says_when_to_come_back(
    environ: dict[str, str], make_token: MakeToken, generate: dict[str, Any]
) -> None:
    limits = {"ROUTER_RATE_PER_MINUTE": "20", "ROUTER_RATE_BURST": "1"}
    with wiring.use(wiring.build(environ | limits)):
        stored, refused = batch(Router(make_token()), generate, generate)

    assert stored["retry_after"] is None
    assert refused["retry_after"] == 3


def test_a_repeated_batch_leaves_results_to_be_fetched(router: Router, generate: dict[str, Any], db: Any) -> None:
    headers = {"Idempotency-Key": "batch-2"}
    first = batch(router, generate, generate, headers=headers)
    job_id = first[0]["job"]["id"]
    db.hset(f"lr:{{tinyllama}}:job:{job_id}", mapping={"status": "completed", "result": '"' + "x" * 1_000_000 + '"'})

    again = batch(router, generate, generate, headers=headers)

    assert (again[0]["job"]["status"], again[0]["job"]["result"]) == ("completed", None)
    assert len(router.get(f"/v1/jobs/{job_id}").json["result"]) == 1_000_000
