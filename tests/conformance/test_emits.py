"""Live output: words that a caller can read before the result is there. A worker that emits none is not judged."""

import json
import signal

import pytest

from tests.conformance.kit import Bench, NewBench, WorkerProcess
from tests.patience import eventually

#: A worker may join words; the first are there long before.
FIRST_WORDS_SECONDS = 2.0


@pytest.fixture(scope="module")
def emits(new_bench: NewBench) -> None:
    """Skips the tests of a worker that emits nothing."""
    with new_bench() as bench:
        bench.worker()
        prompt = bench.prompt("tell")
        job_id = bench.submit(prompt)
        bench.reached(prompt)
        emitted = eventually(lambda: bench.output(job_id), FIRST_WORDS_SECONDS)
        bench.model.release(prompt)
        assert bench.final(job_id).status == "completed"
    if not emitted:
        pytest.skip("the worker emits nothing, which it may")


@pytest.fixture
def telling(emits: None, bench: Bench) -> tuple[Bench, WorkerProcess, str, str]:
    """A worker whose model has said all but the last word; the prompt, and the job's id."""
    worker = bench.worker()
    prompt = bench.prompt("tell me a story")
    job_id = bench.submit(prompt)
    bench.reached(prompt)
    assert eventually(lambda: said(bench, job_id) == f"{prompt} "), bench.said(f"emitted: {bench.output(job_id)}")
    return bench, worker, prompt, job_id


def said(bench: Bench, job_id: str) -> str:
    """The text of the output, which is in order and without a hole."""
    token = bench.record(job_id)["lease_token"]
    deltas = [(name, fields["delta"]) for name, fields in bench.output(job_id) if "delta" in fields]
    assert [name for name, _ in deltas] == [f"{token}-{number}" for number in range(1, len(deltas) + 1)]
    return "".join(json.loads(delta)["text"] for _, delta in deltas)


def test_words_can_be_read_while_the_model_still_speaks_and_together_are_the_result(
    telling: tuple[Bench, WorkerProcess, str, str],
):
    bench, _, prompt, job_id = telling
    assert bench.record(job_id)["status"] == "in_progress"

    bench.model.release(prompt)
    job = bench.final(job_id)

    assert said(bench, job_id) == job.result["text"] == f"{prompt} #1"
    assert bench.output(job_id)[-1][1] == {"end": "1"}
    assert bench.db.pttl(bench.keys.events(job_id)) > 0


def test_output_that_redis_lost_is_sent_again(telling: tuple[Bench, WorkerProcess, str, str]):
    bench, _, prompt, job_id = telling
    bench.db.delete(bench.keys.events(job_id))

    bench.model.release(prompt)
    job = bench.final(job_id)

    assert (job.status, job.attempts) == ("completed", 1)
    assert said(bench, job_id) == job.result["text"]


@pytest.mark.conformance_full
def test_output_that_redis_lost_after_the_last_word_is_sent_again(telling: tuple[Bench, WorkerProcess, str, str]):
    """The worker asks before it writes the result."""
    bench, worker, prompt, job_id = telling
    worker.signal(signal.SIGSTOP)
    bench.model.release(prompt)
    bench.db.delete(bench.keys.events(job_id))
    worker.signal(signal.SIGCONT)
    job = bench.final(job_id)

    assert said(bench, job_id) == job.result["text"]


@pytest.mark.conformance_full
@pytest.mark.parametrize("back", [False, True], ids=["killed", "frozen"])
def test_another_attempt_starts_over_and_the_attempt_before_adds_nothing(
    telling: tuple[Bench, WorkerProcess, str, str], back: bool
):
    bench, worker, prompt, job_id = telling
    successor = bench.worker()
    worker.signal(signal.SIGSTOP if back else signal.SIGKILL)
    bench.reached(prompt, times=2)
    bench.model.release(prompt)
    job = bench.final(job_id)
    first, *_ = output = bench.output(job_id)
    bench.stop(successor)
    if back:
        worker.signal(signal.SIGCONT)
        assert bench.final(bench.submit(bench.prompt("echo"))).status == "completed"  # so it has dealt with the old job

    assert first == (f"{bench.record(job_id)['lease_token']}-0", {"restarted": "1"})
    assert said(bench, job_id) == job.result["text"] == f"{prompt} #2"
    assert bench.output(job_id) == output
