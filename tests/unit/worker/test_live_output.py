"""lambda_router_worker.processing.live_output: when output is stored, and what becomes of it in trouble."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from lambda_router_queue.redis.wire import Broken, Refused
from lambda_router_worker.deltas import MOST_CHARACTERS
from lambda_router_worker.outcomes import JobFailed
from lambda_router_worker.processing.live_output import EVERY_SECONDS, MOST_CALL_BYTES, LiveOutput
from lambda_router_worker.queue.work_queue import Claim, Lease, Pieces
from tests.patience import soon

OOM = Refused("OOM command not allowed when used memory > 'maxmemory'.")


class Log:
    """A queue that stores output as ``emit.lua`` does, and keeps what it was asked.

    Attributes:
        stored: the pieces that are there, by the job's token.
        calls: the tokens and texts of each call.
        words: words to return instead; an exception is raised; None does what the script does.
        loses_reply: store, but raise Broken, once.
        held: set while calls may go on.
    """

    def __init__(self) -> None:
        self.stored: dict[int, list[str]] = {}
        self.calls: list[list[tuple[int, list[str]]]] = []
        self.words: list[str | Exception | None] = []
        self.loses_reply = False
        self.held = asyncio.Event()
        self.held.set()

    async def emit(self, output: Sequence[Pieces]) -> list[str]:
        self.calls.append([(job.lease.token, list(job.texts)) for job in output])
        await self.held.wait()
        word = self.words.pop(0) if self.words else None
        if isinstance(word, Exception):
            raise word
        words = [word or self._store(job) for job in output]
        if self.loses_reply:
            self.loses_reply = False
            raise Broken("lost")
        return words

    def _store(self, job: Pieces) -> str:
        there = self.stored.setdefault(job.lease.token, [])
        if job.first > len(there) + 1:
            return f"behind {len(there) + 1}"
        there += job.texts[len(there) + 1 - job.first :]
        return "stored"

    def text(self, token: int = 1) -> str:
        return "".join(json.loads(piece)["text"] for piece in self.stored.get(token, []))


def lease_of(token: int) -> Lease:
    return Lease(Claim("stream", "1-1", f"job_{token:032x}", "{}"), ["key"], token, attempts=1, crashes=0)


def play(scenario: Callable[[Log, LiveOutput], Awaitable[None]]) -> Log:
    """Run a scenario; the queue, afterwards."""

    async def run() -> Log:
        log = Log()
        queue: Any = log
        await scenario(log, LiveOutput(queue))
        return log

    return asyncio.run(run())


async def beats(count: int) -> None:
    await asyncio.sleep(count * EVERY_SECONDS)


def test_the_first_piece_is_stored_before_the_first_beat():
    async def scenario(log: Log, live: LiveOutput) -> None:
        live.of(lease_of(1)).take("a")
        for _ in range(10):  # a few turns of the loop
            await asyncio.sleep(0)
        assert log.text() == "a"

    play(scenario)


def test_further_pieces_share_calls():
    async def scenario(log: Log, live: LiveOutput) -> None:
        output = live.of(lease_of(1))
        output.take("a")
        assert await soon(lambda: log.text() == "a")
        for _ in range(200):
            output.take("b")
            await asyncio.sleep(0)
        assert await soon(lambda: log.text() == "a" + 200 * "b")
        assert len(log.calls) <= 20  # about one for each 50 ms that this took

    play(scenario)


def test_jobs_share_calls():
    async def scenario(log: Log, live: LiveOutput) -> None:
        outputs = [live.of(lease_of(token)) for token in range(1, 101)]
        for output in outputs:
            output.take("a")
        assert await soon(lambda: len(log.stored) == 100)
        for output in outputs:
            output.take("b")
        assert await soon(lambda: all(log.text(token) == "ab" for token in range(1, 101)))
        assert len(log.calls) <= 4

    play(scenario)


def test_the_first_piece_of_a_job_does_not_wait_for_the_beat_of_another():
    async def scenario(log: Log, live: LiveOutput) -> None:
        busy = live.of(lease_of(1))
        busy.take("a")
        assert await soon(lambda: log.text() == "a")
        busy.take("b")  # waits for the beat
        live.of(lease_of(2)).take("c")
        for _ in range(10):
            await asyncio.sleep(0)
        assert log.text(2) == "c"

    play(scenario)


def test_what_comes_during_a_call_is_stored_by_the_next():
    async def scenario(log: Log, live: LiveOutput) -> None:
        output = live.of(lease_of(1))
        log.held.clear()
        output.take("a")
        assert await soon(lambda: len(log.calls) == 1)
        output.take("b")
        live.of(lease_of(2)).take("c")
        log.held.set()
        assert await soon(lambda: (log.text(), log.text(2)) == ("ab", "c"))

    play(scenario)


def test_no_call_holds_more_than_it_may_and_all_is_stored():
    size = MOST_CALL_BYTES // 5

    async def scenario(log: Log, live: LiveOutput) -> None:
        for token in range(1, 9):
            live.of(lease_of(token)).take(str(token) * size)
        assert await soon(lambda: all(log.text(token) == str(token) * size for token in range(1, 9)))
        sizes = [sum(len(text) for _, texts in call for text in texts) for call in log.calls]
        assert max(sizes) <= MOST_CALL_BYTES + 2 * MOST_CHARACTERS

    play(scenario)


def test_no_call_holds_so_many_small_pieces_that_redis_would_keep_others_waiting():
    async def scenario(log: Log, live: LiveOutput) -> None:
        output = live.of(lease_of(1))
        for number in range(10_000):
            output.take({"number": number})  # an object of the handler's own is not joined with others
        await output.settled()
        assert len(log.stored[1]) == 10_000
        assert max(len(texts) for call in log.calls for _, texts in call) <= 2_048

    play(scenario)


def test_a_job_with_much_to_store_holds_up_no_other():
    async def scenario(log: Log, live: LiveOutput) -> None:
        log.held.clear()
        much, little = live.of(lease_of(1)), live.of(lease_of(2))
        for number in range(10_000):
            much.take({"number": number})
        assert await soon(lambda: len(log.calls) == 1)
        little.take("a")
        log.held.set()
        assert await soon(lambda: len(log.stored.get(1, [])) == 10_000)
        assert 2 in {token for token, _ in log.calls[1]}
        assert log.text(2) == "a"

    play(scenario)


@pytest.mark.parametrize("trouble", [Broken("away"), Refused("LOADING"), OOM, OSError()], ids=repr)
def test_an_outage_costs_no_piece(trouble: Exception):
    async def scenario(log: Log, live: LiveOutput) -> None:
        log.words = [trouble, trouble, trouble]
        output = live.of(lease_of(1))
        output.take("a")
        await beats(1)
        output.take("b")
        assert await soon(lambda: log.text() == "ab")

    play(scenario)


def test_a_lost_reply_doubles_no_piece():
    async def scenario(log: Log, live: LiveOutput) -> None:
        log.loses_reply = True
        output = live.of(lease_of(1))
        output.take("a")
        await beats(1)
        output.take("b")
        await output.settled()
        assert log.text() == "ab"

    play(scenario)


def test_pieces_that_redis_lost_are_stored_again():
    async def scenario(log: Log, live: LiveOutput) -> None:
        output = live.of(lease_of(1))
        for piece in "abc":
            output.take(piece)
            await beats(2)
        del log.stored[1][1:]
        output.take("d")
        await output.settled()
        assert log.text() == "abcd"

    play(scenario)


def test_a_redis_that_came_back_empty_gets_the_whole_log_again():
    async def scenario(log: Log, live: LiveOutput) -> None:
        output = live.of(lease_of(1))
        output.take("a")
        assert await soon(lambda: log.text() == "a")
        log.stored.clear()
        output.take("b")
        assert await soon(lambda: log.text() == "ab")

    play(scenario)


# The end


def test_settled_stores_what_is_left():
    async def scenario(log: Log, live: LiveOutput) -> None:
        output = live.of(lease_of(1))
        output.take("a\ud83d")
        await output.settled()
        assert log.text() == "a\ufffd"

    play(scenario)


def test_settled_asks_nothing_about_a_job_that_emitted_nothing():
    async def scenario(log: Log, live: LiveOutput) -> None:
        await live.of(lease_of(1)).settled()
        assert log.calls == []

    play(scenario)


def test_settled_stores_many_bytes_in_several_calls():
    text = "x" * (3 * MOST_CALL_BYTES)

    async def scenario(log: Log, live: LiveOutput) -> None:
        output = live.of(lease_of(1))
        output.take(text)
        await output.settled()
        assert log.text() == text
        assert len(log.calls) > 3

    play(scenario)


def test_settled_waits_for_a_redis_that_is_away():
    async def scenario(log: Log, live: LiveOutput) -> None:
        output = live.of(lease_of(1))
        output.take("a")
        log.words = [Broken("away")]
        with pytest.raises(Broken):
            await output.settled()
        await output.settled()
        assert log.text() == "a"

    play(scenario)


@pytest.mark.parametrize(
    "refusal", [OOM, Refused("NOPERM this user has no permissions"), Refused("ERR script")], ids=str
)
def test_a_refusal_that_lasts_does_not_keep_a_result_from_being_written(refusal: Exception):
    """A full memory accepts results, and a worker's user may be older than live output."""

    async def scenario(log: Log, live: LiveOutput) -> None:
        output = live.of(lease_of(1))
        output.take("a")
        log.words = [refusal]
        await output.settled()
        await output.settled()
        assert log.stored == {}

    play(scenario)


def test_a_task_that_a_handler_left_behind_does_not_hold_up_its_result():
    async def scenario(log: Log, live: LiveOutput) -> None:
        output = live.of(lease_of(1))
        output.take("a")

        async def go_on() -> None:
            while True:
                output.take("b")
                await asyncio.sleep(0)

        task = asyncio.create_task(go_on())
        await output.settled()
        await beats(2)
        task.cancel()
        assert log.text().strip("b") == "a"
        count = len(log.calls)
        await beats(2)
        assert len(log.calls) == count

    play(scenario)


def test_settled_mends_a_log_that_lost_pieces_since_they_were_stored():
    async def scenario(log: Log, live: LiveOutput) -> None:
        output = live.of(lease_of(1))
        for piece in "ab":
            output.take(piece)
            await beats(2)
        for lost in (1, 2):  # the second time, a result was written meanwhile, and lost as well
            del log.stored[1][-lost:]
            await output.settled()
            assert log.text() == "ab"

    play(scenario)


def test_output_that_has_grown_too_large_fails_the_job():
    async def scenario(log: Log, live: LiveOutput) -> None:
        output = live.of(lease_of(1))
        log.words = ["full"]
        output.take("a")
        assert await soon(lambda: len(log.calls) == 1)
        await asyncio.sleep(0)
        for end in (lambda: output.take("b"), None):
            with pytest.raises(JobFailed) as failed:
                await output.settled() if end is None else end()
            assert failed.value.code == "result_too_large"

    play(scenario)


@pytest.mark.parametrize("word", ["lost", "gone", "cancelled", "queued", "spoiled"])
def test_output_that_nobody_takes_any_more_ends_quietly(word: str):
    async def scenario(log: Log, live: LiveOutput) -> None:
        output = live.of(lease_of(1))
        log.words = [word]
        output.take("a")
        assert await soon(lambda: not output.is_behind and len(log.calls) == 1)
        output.take("b")
        await output.settled()
        await beats(2)
        assert len(log.calls) == 1

    play(scenario)


def test_an_end_of_one_job_does_not_touch_another():
    async def scenario(log: Log, live: LiveOutput) -> None:
        ended, other = live.of(lease_of(1)), live.of(lease_of(2))
        for output in (ended, other):
            output.take("a")
        ended.stop("over")
        assert await soon(lambda: log.text(2) == "a")
        assert log.text(1) == ""

    play(scenario)


def test_a_thread_that_outlives_its_job_stores_nothing():
    async def scenario(log: Log, live: LiveOutput) -> None:
        output = live.of(lease_of(1))
        output.stop("over")
        for _ in range(100):
            output.take("x" * 1024 * 1024)  # beyond every limit: it is not even kept
        await beats(2)
        assert log.calls == []

    play(scenario)


def test_each_piece_is_sealed_for_its_place():
    def seal(text: str, part: str) -> str:
        return json.dumps({"text": f"[{part} {json.loads(text)['text']}]"})

    async def scenario(log: Log, live: LiveOutput) -> None:
        output = live.of(lease_of(7), seal)
        output.take("a")
        assert await soon(lambda: 7 in log.stored)
        output.take("b")
        await output.settled()
        assert log.text(7) == "[event 7-1 a][event 7-2 b]"

    play(scenario)
