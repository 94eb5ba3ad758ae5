"""A worker of plain commands and the shipped Lua, one job at a time; docs/queue.md explains each step."""

import json
import threading
import time
from os import environ, urandom  # noqa: TID251 (shares nothing with this repository)
from pathlib import Path
from signal import SIGTERM, signal

import redis
from plain_model import Asking, is_well

KEY, NAME, LEASE_MS = f"lr:{{{environ['QUEUE']}}}:", f"plain-{urandom(8).hex()}", int(environ["LEASE_SECONDS"]) * 1000
STREAMS = [f"{KEY}jobs:{priority}:{lane}" for priority in ("high", "normal", "low") for lane in range(4)]
SCHEDULED, FLOW, DEAD, RETRYING, WORKERS = (KEY + name for name in ("scheduled", "flow", "dead", "retrying", "workers"))
PARTS = (
    "vendor/lambda_router_queue/lua/record.lua",
    "vendor/lambda_router_queue/lua/life.lua",
    "lambda_router_worker/queue/lua/lease.lua",
)
SHARED = "\n".join(Path(name).read_text() for name in PARTS)
MAKE_GROUPS = "for _, stream in ipairs(KEYS) do redis.pcall('XGROUP', 'CREATE', stream, 'workers', 0, 'MKSTREAM') end"
FOR_EVER = redis.retry.Retry(redis.backoff.ExponentialBackoff(1), -1)
db = redis.Redis.from_url(environ["REDIS_URL"], decode_responses=True, retry=FOR_EVER)
stopping = threading.Event()
TOO_LARGE = "finish", "failed", "error", '{"code": "result_too_large", "message": "The output is too large."}'


def run(name, keys, *args):
    flags, _, own = Path(f"lambda_router_worker/queue/lua/{name}.lua").read_text().partition("\n")
    return db.execute_command("EVAL", f"{flags}\n{SHARED}\n{own}", len(keys), *keys, *args)


def keep_moving(trouble=""):
    run("beat", [WORKERS, FLOW], NAME, 1, 15_000, trouble)
    soonest = db.execute_command("ZRANGE", SCHEDULED, 0, 99)
    run("promote", [SCHEDULED, FLOW, DEAD, RETRYING, *STREAMS, *(f"{KEY}job:{job_id}" for job_id in soonest)], *soonest)


class Output:
    """The live output of one attempt: all of its pieces, how many of them Redis has, and why no more are stored."""

    def __init__(self, token, *keys):
        self.token, self.keys, self.pieces, self.heard, self.stored, self.stopped = token, keys, [], 0, 0, ""

    def store(self, heard, is_end=False):
        """Store what was heard since the last time. At the end ask whether Redis still has all of it."""
        new = heard[self.heard :]
        self.heard += len(new)
        self.pieces += [json.dumps({"text": "".join(new)})] if any(new) else []
        while not self.stopped and (self.stored < len(self.pieces) or is_end):
            is_end, texts = False, self.pieces[self.stored :]
            try:
                (answer,) = run("emit", self.keys, self.token, self.stored + 1, len(texts), *texts)
            except redis.ResponseError:  # such as a full memory: the job can be ended all the same
                return
            word, _, number = answer.partition(" ")
            self.stored = len(self.pieces) if word == "stored" else int(number or 1) - 1
            self.stopped = "" if word in ("stored", "behind") else word


def work(stream, entry_id, fields):
    job = json.loads(dict(zip(fields[::2], fields[1::2], strict=True))["job"])
    own = [f"{KEY}job:{job['id']}", stream, f"{KEY}open:{job['owner']}"]
    keys = [*own, SCHEDULED, FLOW, DEAD, f"{KEY}owner:{job['owner']}", RETRYING, f"{KEY}bytes:{job['owner']}"]
    keys += [f"{KEY}events:{job['id']}"]
    if job["v"] != 1 or "encrypted_input" in job:
        return run("reject", keys, job["id"], entry_id, "unreadable", "This worker cannot read this job.", LEASE_MS)
    verdict, *numbers = run("start", keys, job["id"], entry_id, NAME, LEASE_MS, 3, urandom(8).hex())
    if verdict != "run":
        return verdict
    asking = Asking(job, *numbers)
    output = Output(asking.token, keys[0], keys[9])
    while asking.is_alive() and run("renew", keys, job["id"], asking.token, entry_id, NAME, LEASE_MS) == "run":
        renew_at = time.monotonic() + 0.5
        while asking.is_alive() and time.monotonic() < renew_at:
            asking.join(0.05)
            output.store(asking.heard)
        keep_moving()
    if not asking.outcome:
        return "stopped"
    output.store(asking.heard, is_end=True)
    outcome = TOO_LARGE if output.stopped == "full" else asking.outcome
    return run(outcome[0], keys, job["id"], asking.token, *outcome[1:])


signal(SIGTERM, lambda *_: stopping.set())
db.execute_command("EVAL", MAKE_GROUPS, len(STREAMS), *STREAMS)
well = False
while not stopping.wait(0.1):
    keep_moving("" if well else "its model server is in trouble")
    well = well or is_well()
    claims = (run("sweep", STREAMS, NAME, LEASE_MS, 1) or run("claim", [*STREAMS, FLOW], NAME, 1)) if well else ()
    for claimed in claims:
        well = work(*claimed) != "given back"
run("beat", [WORKERS, FLOW, *STREAMS], NAME, 0, 15_000)
