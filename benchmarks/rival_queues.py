"""Submit to and process the queues of other libraries; runs in ``.venv-bench``, started by ``queue_rivals``.

Usage: ``rival_queues.py LIBRARY URL COUNT``. It submits COUNT jobs of 1 kB one by one, then lets one process with a
no-op handler process them all. It prints JSON with these members:

- ``sent``: seconds of each submission
- ``worked``: jobs per second from the first to the last
- ``hand_over``: seconds from submission to start, of single jobs on an idle worker
- ``waiting`` and ``finished``: bytes of the server's memory per job
"""

import asyncio
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import redis

LIBRARY, URL, COUNT = sys.argv[1], sys.argv[2], int(sys.argv[3])
PAYLOAD = "x" * 1_000
#: Jobs at a time, for libraries with such an option. The one-process workers of RQ and Celery run one.
CONCURRENCY = 10
HAND_OVERS = min(COUNT, 50)

db: Any = redis.Redis.from_url(URL)
times: list[float] = []


def done(_: str = PAYLOAD) -> str:
    """The handler: record the time."""
    times.append(time.perf_counter())
    return "done"


def bytes_used() -> int:
    db.execute_command("MEMORY PURGE")
    return int(db.info("memory")["used_memory"])


def wait_for(count: int, seconds: float = 300) -> None:
    until = time.monotonic() + seconds
    while len(times) < count:
        if time.monotonic() > until:
            raise TimeoutError(f"{LIBRARY} worked {len(times)} of {count} jobs")
        time.sleep(0.001)


def timed(send: Callable[[], Any]) -> list[float]:
    spent = []
    for _ in range(COUNT):
        began = time.perf_counter()
        send()
        spent.append(time.perf_counter() - began)
    return spent


def figures(spent: list[float], empty: int, full: int, after: int, hand_over: list[float]) -> dict[str, Any]:
    worked = (COUNT - 1) / (times[COUNT - 1] - times[0]) if COUNT > 1 else 0
    return {
        "sent": spent,
        "worked": worked,
        "hand_over": hand_over,
        "waiting": (full - empty) / COUNT,
        "finished": (after - empty) / COUNT,
    }


def run_threaded(send: Callable[[], Any], start: Callable[[], Any]) -> dict[str, Any]:
    """Measure a library whose worker runs in threads, or in a thread that we start for it."""
    send()  # the first submission opens connections and loads scripts
    empty = bytes_used()
    spent = timed(send)
    full = bytes_used()
    start()
    wait_for(COUNT + 1)
    time.sleep(0.3)
    after = bytes_used()
    hand_over = []
    for number in range(HAND_OVERS):
        time.sleep(0.01)
        began = time.perf_counter()
        send()
        wait_for(COUNT + 2 + number)
        hand_over.append(times[-1] - began)
    return figures(spent, empty, full, after, hand_over)


def use_rq() -> dict[str, Any]:
    from rq import Queue, SimpleWorker
    from rq.timeouts import TimerDeathPenalty

    class Worker(SimpleWorker):
        death_penalty_class = TimerDeathPenalty  # the default uses signals, which need the main thread

        def _install_signal_handlers(self) -> None:
            pass

    queue = Queue("bench", connection=db)
    worker = Worker([queue], connection=redis.Redis.from_url(URL))
    start = threading.Thread(target=lambda: worker.work(logging_level="ERROR"), daemon=True).start
    return run_threaded(lambda: queue.enqueue("rival_queues.done", PAYLOAD), start)


def use_celery() -> dict[str, Any]:
    from celery import Celery
    from celery.contrib.testing.worker import start_worker

    app = Celery("bench", broker=URL, backend=URL)
    app.conf.update(worker_hijack_root_logger=False, broker_connection_retry_on_startup=True)
    task = app.task(name="done")(done)
    context = start_worker(app, concurrency=1, pool="solo", perform_ping_check=False, loglevel="ERROR")
    return run_threaded(lambda: task.delay(PAYLOAD), context.__enter__)


def use_dramatiq() -> dict[str, Any]:
    import dramatiq
    from dramatiq.brokers.redis import RedisBroker
    from dramatiq.results import Results
    from dramatiq.results.backends import RedisBackend

    broker = RedisBroker(url=URL)
    broker.add_middleware(Results(backend=RedisBackend(url=URL)))
    dramatiq.set_broker(broker)
    actor = dramatiq.actor(done, broker=broker, store_results=True)
    return run_threaded(lambda: actor.send(PAYLOAD), dramatiq.Worker(broker, worker_threads=CONCURRENCY).start)


async def run_async(send: Callable[[], Any], work: Callable[[], Any]) -> dict[str, Any]:
    await send()
    empty = bytes_used()
    spent = []
    for _ in range(COUNT):
        began = time.perf_counter()
        await send()
        spent.append(time.perf_counter() - began)
    full = bytes_used()
    worker = asyncio.create_task(work())
    while len(times) < COUNT + 1:
        await asyncio.sleep(0.002)
    await asyncio.sleep(0.3)
    after = bytes_used()
    hand_over = []
    for number in range(HAND_OVERS):
        await asyncio.sleep(0.01)
        began = time.perf_counter()
        await send()
        while len(times) < COUNT + 2 + number:
            await asyncio.sleep(0.001)
        hand_over.append(times[-1] - began)
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
    return figures(spent, empty, full, after, hand_over)


async def use_arq() -> dict[str, Any]:
    from arq import Worker, create_pool, func
    from arq.connections import RedisSettings

    async def task(_: Any, payload: str) -> str:
        return done(payload)

    settings = RedisSettings.from_dsn(URL)
    pool = await create_pool(settings)
    worker = Worker([func(task, name="task")], redis_settings=settings, max_jobs=CONCURRENCY, handle_signals=False)
    return await run_async(lambda: pool.enqueue_job("task", PAYLOAD), worker.async_run)


async def use_bullmq() -> dict[str, Any]:
    from bullmq import Queue, Worker

    async def task(job: Any, token: str) -> str:
        return done(job.data["payload"])

    queue = Queue("bench", {"connection": URL})

    async def work() -> None:
        worker = Worker("bench", task, {"connection": URL, "concurrency": CONCURRENCY, "autorun": False})
        await worker.run()

    return await run_async(lambda: queue.add("done", {"payload": PAYLOAD}), work)


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    sys.modules["rival_queues"] = sys.modules["__main__"]  # RQ finds the handler by this name
    said, sys.stdout = sys.stdout, sys.stderr
    use = {"rq": use_rq, "celery": use_celery, "dramatiq": use_dramatiq, "arq": use_arq, "bullmq": use_bullmq}[LIBRARY]
    outcome: Any = use()
    said.write(json.dumps(asyncio.run(outcome) if asyncio.iscoroutine(outcome) else outcome) + "\n")
    said.flush()
    os._exit(0)  # some workers' threads never end
