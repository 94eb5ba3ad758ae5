"""Requests that OpenAI's clients repeat by themselves, and those with a key: one job each."""

import redis

from tests.conftest import LambdaContext, Reply, Router
from tests.integration.openai.openai_calls import answering, error_of, output_text, queued, response
from tests.integration.worker.worker_hand import finish_job

SHORT = 2_300


def records(db: redis.Redis) -> int:
    return len(list(db.scan_iter("*:job:*")))


def held(router: Router, tries: int, text: str = "hello", **members: object) -> int:
    return response(router, text, tries=tries, context=LambdaContext(remaining_ms=SHORT), **members).status


def test_three_tries_of_one_call_are_one_job(router: Router, redis_url: str, db: redis.Redis) -> None:
    assert [held(router, 0), held(router, 1)] == [503, 503]
    with answering(redis_url):
        last = response(router, tries=2)
    assert (last.status, output_text(last.json)) == (200, "HELLO")
    assert records(db) == 1


def test_parallel_twins_keep_a_job_each(router: Router, db: redis.Redis) -> None:
    twins = [queued(router, tries=0) for _ in range(2)]
    again = [queued(router, tries=1) for _ in range(2)]
    assert set(again) == set(twins)
    assert {queued(router, tries=2) for _ in range(2)} == set(twins)
    assert records(db) == 2


def test_a_third_repeat_of_two_calls_is_a_job_of_its_own(router: Router, db: redis.Redis) -> None:
    [queued(router, tries=0) for _ in range(2)]
    assert len({queued(router, tries=1) for _ in range(3)}) == 3
    assert records(db) == 3


def test_first_tries_join_nothing(router: Router) -> None:
    assert len({queued(router, tries=0) for _ in range(3)}) == 3


def test_a_repeat_of_another_body_or_of_another_caller_joins_nothing(router: Router, bob: Router) -> None:
    first = queued(router, tries=0)
    assert queued(router, "other", tries=1) != first
    assert queued(bob, tries=1) != first


def test_a_repeat_whose_first_try_never_arrived_is_joined_by_the_next(router: Router) -> None:
    assert queued(router, tries=1) == queued(router, tries=2)


def test_a_client_that_counts_no_tries_gets_a_job_each(router: Router) -> None:
    assert queued(router) != queued(router)


def test_an_old_try_is_not_joined(router: Router, db: redis.Redis) -> None:
    first = queued(router, tries=0)
    (key,) = db.scan_iter("*:tries:*")
    assert 0 < db.pttl(key) <= 120_000
    line = str(db.get(key)).split()
    line[1] = str(int(line[1]) - 121_000)
    db.set(key, " ".join(line))
    assert queued(router, tries=1) != first


def test_an_idempotency_key_joins_the_job_that_is_there(router: Router, redis_url: str, db: redis.Redis) -> None:
    key = {"Idempotency-Key": "k"}
    first = response(router, headers=key, context=LambdaContext(remaining_ms=SHORT))
    assert first.status == 503
    with answering(redis_url):
        assert output_text(response(router, headers=key).json) == "HELLO"
    assert records(db) == 1
    assert error_of(response(router, "other", headers=key)) == (422, "idempotency_key_reused", None)


def test_a_key_whose_response_is_gone_is_404(router: Router, redis_url: str) -> None:
    def keyed(key: str, **members: object) -> Reply:
        return response(router, background=True, headers={"Idempotency-Key": key}, **members)

    deleted = keyed("a").json["id"]
    assert router.delete(f"/v1/responses/{deleted}").status == 200
    read_once = keyed("b", store=False).json["id"]
    finish_job(redis_url, result="x")
    assert router.get(f"/v1/responses/{read_once}").status == 200
    assert error_of(keyed("a"))[:2] == error_of(keyed("b", store=False))[:2] == (404, "not_found")


def test_a_try_whose_job_was_deleted_is_made_again(router: Router) -> None:
    first = queued(router, tries=0)
    assert router.delete(f"/v1/responses/{first}").status == 200
    assert queued(router, tries=1) != first


def test_an_answer_that_was_lost_and_is_not_kept_is_made_again(router: Router, redis_url: str, db: redis.Redis) -> None:
    lost = queued(router, tries=0, store=False)
    finish_job(redis_url, result={"text": "lost", "message": {"role": "assistant", "content": "lost"}})
    assert router.get(f"/v1/responses/{lost}").status == 200
    assert queued(router, tries=1, store=False) != lost
    assert records(db) == 2
