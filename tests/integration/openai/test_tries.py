"""Requests that OpenAI's clients repeat by themselves, and those with a key: one job each."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
import redis

from tests.conftest import LambdaContext, Reply, Router
from tests.integration.openai.openai_calls import MODEL, answering, error_of, output_text, queued, response
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


def in_parallel(router: Router, redis_url: str, sends: Sequence[Callable[[], Reply]]) -> list[Reply]:
    """Send the requests, one after another, and let a worker answer once all are held."""
    with ThreadPoolExecutor(len(sends)) as pool:
        held_ones = []
        for send in sends:
            held_ones.append(pool.submit(send))
            time.sleep(0.2)
        with answering(redis_url):
            return [each.result() for each in held_ones]


def test_a_repeat_that_waits_beside_the_lost_try_gets_an_answer_of_its_own(router: Router, redis_url: str) -> None:
    """The function cannot see that a client has hung up. It sends the answer that is not kept to nobody."""
    tries = [partial(response, router, tries=number, store=False) for number in range(3)]

    replies = in_parallel(router, redis_url, tries)

    assert [output_text(reply.json) for reply in replies] == ["HELLO"] * 3


def test_of_parallel_requests_with_one_key_one_gets_the_answer_that_is_not_kept(router: Router, redis_url: str) -> None:
    chat = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}], "store": False}
    response_body = {"model": MODEL, "input": "hello", "store": False}
    for path, body in {"/v1/responses": response_body, "/v1/chat/completions": chat}.items():
        send = partial(router.post, path, body, headers={"Idempotency-Key": path[4:8]})

        replies = in_parallel(router, redis_url, [send] * 3)

        assert sorted(reply.status for reply in replies) == [200, 404, 404]
        assert all("HELLO" in reply.body for reply in replies if reply.status == 200)


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("keyed", [False, True])
def test_an_answer_that_was_done_between_two_tries_is_not_lost(
    router: Router, redis_url: str, db: redis.Redis, keyed: bool, background: bool
) -> None:
    def send(tries: int) -> Reply:
        again: dict[str, Any] = {"headers": {"Idempotency-Key": "k"}} if keyed else {"tries": tries}
        short = LambdaContext(remaining_ms=SHORT)
        return response(router, store=False, background=background, context=short, **again)

    assert send(0).status == (200 if background else 503)
    finish_job(redis_url, result="done")

    found = send(1)

    assert (found.status, output_text(found.json)) == (200, "done")
    assert records(db) == 1


def test_the_job_of_a_repeat_whose_first_answer_was_lost_is_joined_by_the_next(
    router: Router, redis_url: str, db: redis.Redis
) -> None:
    lost = queued(router, tries=0, store=False)
    finish_job(redis_url, result="lost")
    assert router.get(f"/v1/responses/{lost}").status == 200
    again = queued(router, tries=1, store=False)
    assert queued(router, tries=2, store=False) == again
    assert records(db) == 2
