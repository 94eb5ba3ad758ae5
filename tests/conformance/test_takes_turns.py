"""Who goes first: priorities by weight, callers by lanes, workers side by side."""

import time
from collections import Counter

import pytest

from lambda_router_queue.lua_scripts import load_script
from lambda_router_queue.queue_keys import GROUP
from tests.conformance.kit import ROOT, Bench
from tests.patience import eventually


def test_of_ten_jobs_six_are_high_three_normal_and_one_low(bench: Bench):
    prompts = {
        priority: [bench.prompt(f"echo {priority}") for _ in range(10)] for priority in ("low", "normal", "high")
    }
    for priority, some in prompts.items():
        bench.submit_all(some, priority=priority)
    bench.worker()

    every = [prompt for some in prompts.values() for prompt in some]
    assert eventually(lambda: len(bench.model.order(every)) >= 10), bench.said("not all were worked")
    assert Counter(prompt.split()[1] for prompt in bench.model.order(every)[:10]) == {"high": 6, "normal": 3, "low": 1}


def test_a_callers_single_job_does_not_wait_behind_anothers_many(bench: Bench):
    many = [bench.prompt("echo") for _ in range(40)]
    bench.submit_all(many, owner="alice")
    single = bench.prompt("echo")
    bench.submit(single, owner="bob")
    bench.worker()
    bench.reached(single)

    # Behind alice's first in the same lane, while each of the other three lanes had two turns.
    assert bench.model.order([*many, single]).index(single) < 8


def test_what_another_worker_gave_back_goes_first(bench: Bench):
    """Leases are long, so that who leaves it to the next sweep is seen to."""
    given_back, others = bench.prompt("echo"), [bench.prompt("echo") for _ in range(8)]
    bench.submit(given_back, priority="low")
    stream = bench.keys.stream("low", 0)
    bench.db.xgroup_create(stream, GROUP, id="0")
    ((_, ((entry_id, _),)),) = bench.db.xreadgroup(GROUP, "ill", {stream: ">"})
    bench.worker(lease_seconds=30)
    busy = bench.prompt("slow 1")
    bench.submit(busy)
    bench.reached(busy)
    bench.submit_all(others, owner="bob", priority="high")
    release = load_script("release", folder=ROOT / "lambda_router_worker/queue/lua").text
    assert bench.db.eval(release, 2, stream, bench.keys.flow, "ill", entry_id) == 1
    bench.reached(given_back)

    assert bench.model.order([given_back, *others])[0] == given_back


@pytest.mark.conformance_full
def test_an_idle_worker_works_what_is_put_in_at_once_without_a_pause(bench: Bench):
    bench.worker(lease_seconds=30)
    bench.final(bench.submit(bench.prompt("echo")))
    time.sleep(0.3)  # it waits now
    prompts = [bench.prompt("echo") for _ in range(6)]
    jobs = bench.submit_all(prompts, priority=["high", "normal", "low"] * 2)

    assert {bench.final(job_id, seconds=3).status for job_id in jobs} == {"completed"}


@pytest.mark.conformance_full
def test_two_workers_share_the_work_and_ask_for_nothing_twice(bench: Bench):
    bench.worker()
    bench.worker()
    prompts = [bench.prompt("slow 0.4") for _ in range(12)]
    jobs = bench.submit_all(prompts)

    assert {bench.final(job_id).attempts for job_id in jobs} == {1}
    assert len({bench.record(job_id)["worker"] for job_id in jobs}) == 2
    assert [len(bench.model.times(prompt)) for prompt in prompts] == [1] * 12


@pytest.mark.conformance_full
def test_a_job_longer_than_the_lease_stays_with_its_worker(bench: Bench):
    bench.worker()
    bench.worker()
    prompt = bench.prompt("slow 5")
    job = bench.final(bench.submit(prompt))

    assert (job.status, job.attempts, len(bench.model.times(prompt))) == ("completed", 1, 1)
