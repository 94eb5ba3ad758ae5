"""What comes of a job: its result or its error, when it may be worked, and that nothing is left behind."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from lambda_router_queue.models import RetryPolicy
from tests.conformance.kit import QUICKLY, Bench, NewBench, edit
from tests.conformance.model_server import CALL
from tests.patience import eventually


@dataclass(frozen=True)
class Backlog:
    """Ids of jobs that were put in before the worker started; of those that nobody may work, their prompts before."""

    waiting: list[str]
    cancelled: tuple[str, str]
    expired: tuple[str, str]


@pytest.fixture(scope="module")
def bench_and_backlog(new_bench: NewBench) -> Iterator[tuple[Bench, Backlog]]:
    """A queue whose jobs were there before its worker."""
    with new_bench() as bench:
        kinds = ("echo", "slow 0.1", "stumble", "refuse")
        backlog = Backlog(
            waiting=bench.submit_all([bench.prompt(kind) for kind in kinds], priority=["low", "high", "normal", "low"]),
            cancelled=(prompt := bench.prompt("echo cancelled"), bench.submit(prompt)),
            expired=(prompt := bench.prompt("echo expired"), bench.submit(prompt, ttl_seconds=0)),
        )
        bench.router.cancel("alice", backlog.cancelled[1])
        bench.worker()
        yield bench, backlog


@pytest.fixture
def backlog(bench_and_backlog: tuple[Bench, Backlog]) -> Backlog:
    return bench_and_backlog[1]


@pytest.fixture
def staffed(bench_and_backlog: tuple[Bench, Backlog]) -> Bench:
    """A queue with one worker, which the tests of this module share: for promises that leave the worker alive."""
    bench, _ = bench_and_backlog
    if not any(process.alive for process in bench.processes):
        bench.worker()
    return bench


def test_jobs_that_wait_when_the_worker_starts_are_worked(staffed: Bench, backlog: Backlog):
    assert [staffed.final(job_id).status for job_id in backlog.waiting] == ["completed"] * 3 + ["failed"]


def test_a_cancelled_job_that_waits_never_reaches_the_model(staffed: Bench, backlog: Backlog):
    prompt, job_id = backlog.cancelled

    assert (staffed.final(job_id).status, staffed.model.times(prompt)) == ("cancelled", [])


def test_an_expired_job_never_reaches_the_model(staffed: Bench, backlog: Backlog):
    prompt, job_id = backlog.expired
    record = eventually(lambda: (found := staffed.record(job_id))["status"] != "queued" and found)

    assert (record["status"], record["finished_at"]) == ("expired", record["deadline_at"])
    assert staffed.model.times(prompt) == []


def test_jobs_that_are_done_with_leave_nothing_behind(staffed: Bench, backlog: Backlog):
    for job_id in backlog.waiting:
        staffed.final(job_id)

    assert eventually(lambda: not staffed.left_behind()), staffed.left_behind()


def test_a_job_is_completed_and_its_record_says_when(staffed: Bench):
    prompt = staffed.prompt("echo")
    job_id = staffed.submit(prompt)
    job = staffed.final(job_id)

    assert (job.status, job.attempts, job.error) == ("completed", 1, None)
    assert job.result["text"] == f"{prompt} #1"
    assert job.created_at <= (job.started_at or "") <= (job.finished_at or "")


def test_the_model_is_told_the_jobs_trace_context(staffed: Bench):
    prompt = staffed.prompt("echo")
    job_id = staffed.submit(prompt)
    staffed.final(job_id)

    assert staffed.model.traceparents[prompt] == staffed.record(job_id)["traceparent"]


def test_a_chat_is_passed_on_whole_and_its_whole_message_comes_back(staffed: Bench):
    prompt = staffed.prompt("call")
    question = {"role": "user", "content": prompt}
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    chat = {
        "messages": [{"role": "developer", "content": [{"type": "text", "text": "Be brief."}]}, question],
        "tools": [tool],
        "tool_choice": "required",
        "response_format": {"type": "json_object"},
        "stop": "END",
        "max_tokens": 16,
    }
    job_id = staffed.submit(prompt, change=edit(type="chat", input=chat))
    result = staffed.final(job_id).result

    assert staffed.model.bodies[prompt].items() >= chat.items()
    assert (result["message"]["role"], result["message"]["tool_calls"]) == ("assistant", [CALL])


def test_a_living_worker_shows_among_the_living(staffed: Bench):
    job_id = staffed.submit(staffed.prompt("echo"))
    staffed.final(job_id)

    ((member, seen_at),) = staffed.db.zrange(staffed.keys.workers, 0, -1, withscores=True)
    concurrency, _, consumer = member.partition(" ")
    assert (concurrency, consumer) == ("1", staffed.record(job_id)["worker"])
    assert staffed.now_ms() - seen_at < 2_600
    assert staffed.db.hget(staffed.keys.flow, "slots") == "1"


def test_the_list_of_a_caller_lives_as_long_as_a_job_that_its_worker_ends(staffed: Bench):
    """Which takes the right key `owner`, seventh of those that every script about a job is sent."""
    owner = staffed.queue
    job_id = staffed.submit(staffed.prompt("slow 0.5"), owner=owner)
    record, listing = staffed.keys.job(job_id), staffed.keys.owner(owner)
    assert eventually(lambda: staffed.record(job_id)["status"] == "in_progress")
    # As after days at work: what admission foresaw is over.
    staffed.db.hset(record, mapping={"deadline_at": 1, "keep_until": 1})
    staffed.db.pexpire(listing, 60_000)
    staffed.final(job_id, owner=owner)

    listed, kept = map(staffed.db.pttl, (listing, record))
    assert listed >= kept - 1_000 > 60_000


def test_unknown_members_of_an_envelope_are_ignored(staffed: Bench):
    retry = QUICKLY.model_dump() | {"moon_phase": "waxing"}
    job_id = staffed.submit(staffed.prompt("echo"), change=edit(colour="green", retry=retry, later={"a": [1]}))

    assert staffed.final(job_id).status == "completed"


def test_an_envelope_of_another_version_goes_to_the_dead_letters_unworked(staffed: Bench):
    prompt = staffed.prompt("echo")
    job_id = staffed.submit(prompt, change=edit(v=2))
    job = staffed.final(job_id)

    assert job.status == "failed"
    assert job.error is not None
    letter = staffed.dead_letter(job_id)
    assert (letter["code"], json.loads(letter["job"])["v"]) == (job.error.code, 2)
    assert staffed.model.times(prompt) == []


def test_an_encrypted_job_without_its_key_goes_to_the_dead_letters_as_it_came(staffed: Bench):
    def encrypt(envelope: str) -> str:
        job = json.loads(envelope)
        return json.dumps(
            {name: job[name] for name in job if name != "input"} | {"encrypted_input": "A256GCM.AA.AA.AA"}
        )

    prompt = staffed.prompt("echo")
    job_id = staffed.submit(prompt, change=encrypt)
    job = staffed.final(job_id)

    assert job.status == "failed"
    assert job.error is not None
    letter = staffed.dead_letter(job_id)
    assert (letter["code"], json.loads(letter["job"])["encrypted_input"]) == (job.error.code, "A256GCM.AA.AA.AA")
    assert staffed.model.times(prompt) == []


def test_a_delayed_job_starts_not_before_its_time_and_soon_after(staffed: Bench):
    job_id = staffed.submit(staffed.prompt("echo"), delay_seconds=1)
    staffed.final(job_id)

    record = staffed.record(job_id)
    waited = int(record["started_at"]) - int(record["created_at"])
    assert 1_000 <= waited <= 3_000


def test_a_failed_attempt_is_made_again_within_the_bounds_of_its_policy(staffed: Bench):
    prompt = staffed.prompt("stumble")
    job_id = staffed.submit(prompt, retry=RetryPolicy(attempts=3, first_delay_ms=60_000, longest_delay_ms=300))
    job = staffed.final(job_id, seconds=5)

    assert (job.status, job.attempts, job.error) == ("completed", 2, None)
    assert job.result["text"] == f"{prompt} #2"


def test_delays_between_attempts_are_spread_over_the_whole_range(staffed: Bench):
    patient = RetryPolicy(attempts=9, first_delay_ms=60_000, longest_delay_ms=600_000)
    jobs = staffed.submit_all([staffed.prompt("broken") for _ in range(10)], retry=patient)
    records = [eventually(lambda job=job: (found := staffed.record(job)).get("due") and found) for job in jobs]
    for job_id in jobs:
        staffed.router.cancel("alice", job_id)

    # One or two may have drawn so short a delay that they were at work again.
    delays = sorted(int(one["due"]) - int(one["attempt_at"]) for one in records if one and one["attempts"] == "1")
    assert len(delays) >= 8
    assert delays[-1] <= 60_000 + 1_000
    assert delays[-1] - delays[0] >= 6_000


def test_after_its_last_attempt_a_job_goes_to_the_dead_letters(staffed: Bench):
    prompt = staffed.prompt("broken")
    job_id = staffed.submit(prompt, retry=RetryPolicy(attempts=2, first_delay_ms=100, longest_delay_ms=100))
    job = staffed.final(job_id)

    assert (job.status, job.attempts, len(staffed.model.times(prompt))) == ("failed", 2, 2)
    assert job.error is not None
    letter = staffed.dead_letter(job_id)
    assert (letter["code"], letter["message"], letter["attempts"]) == (job.error.code, job.error.message, "2")
    assert json.loads(letter["job"])["input"]["prompt"] == prompt


def test_a_job_that_the_model_refuses_fails_at_once(staffed: Bench):
    prompt = staffed.prompt("refuse")
    job_id = staffed.submit(prompt)
    job = staffed.final(job_id)

    assert (job.status, job.attempts, len(staffed.model.times(prompt))) == ("failed", 1, 1)
    assert job.error is not None
    assert job_id not in {letter["id"] for letter in staffed.dead_letters()}


def test_retry_after_is_waited_for(staffed: Bench):
    prompt = staffed.prompt("busy 1")
    job_id = staffed.submit(prompt)

    assert staffed.final(job_id).attempts == 2
    first, second = staffed.model.times(prompt)
    assert second - first >= 1


def test_forgotten_scripts_are_loaded_again(staffed: Bench):
    (worker,) = [process for process in staffed.processes if process.alive]
    staffed.db.script_flush()

    assert staffed.final(staffed.submit(staffed.prompt("stumble"))).status == "completed"
    assert worker.alive


@pytest.mark.conformance_full
def test_an_answer_cut_off_is_asked_for_again_and_costs_no_attempt(staffed: Bench):
    """A broken connection is the worker's trouble: the job is given back, with a crash to its name."""
    job_id = staffed.submit(staffed.prompt("drop"))
    job = staffed.final(job_id)

    assert (job.status, job.attempts) == ("completed", 1)
    assert staffed.record(job_id)["crashes"] == "1"


@pytest.mark.conformance_full
def test_an_answer_that_is_none_fails_the_job(staffed: Bench):
    job = staffed.final(staffed.submit(staffed.prompt("nonsense")))

    assert (job.status, job.result) == ("failed", None)
    assert job.error is not None


@pytest.mark.conformance_full
def test_an_attempt_ends_when_the_jobs_time_is_up(staffed: Bench):
    prompt = staffed.prompt("hang")
    job_id = staffed.submit(prompt, timeout=1, retry=RetryPolicy(attempts=1))
    job = staffed.final(job_id, seconds=4)
    staffed.model.release(prompt)

    assert (job.status, job.attempts) == ("failed", 1)
    assert staffed.dead_letter(job_id)["attempts"] == "1"


@pytest.mark.conformance_full
def test_cancelling_a_running_job_frees_its_worker_and_discards_its_result(staffed: Bench):
    prompt = staffed.prompt("hang")
    job_id = staffed.submit(prompt)
    staffed.reached(prompt)
    staffed.router.cancel("alice", job_id)
    assert staffed.final(staffed.submit(staffed.prompt("echo")), seconds=4).status == "completed"

    before = staffed.record(job_id)
    staffed.model.release(prompt)
    time.sleep(0.5)
    assert (before["status"], staffed.record(job_id)) == ("cancelled", before)
