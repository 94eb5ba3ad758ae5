"""The commands that the product itself would send: its own code runs over a connection that only notes them."""

import json
from collections.abc import Callable, Coroutine, Sequence
from copy import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from chalicelib import job_queue, lua_scripts
from chalicelib.admission import Caller, NewJob, QueuePolicy, Submission
from chalicelib.body import parse_job
from chalicelib.job_queue import JobQueue
from chalicelib.job_types import JOB_TYPES
from chalicelib.lua_scripts import LuaScript, assembled
from tests.model.server import QUEUE, Server, packed
from tests.wide import WIDE
from worker import operations, work_queue
from worker.operations import Operations
from worker.work_queue import Lease, WorkQueue

POLICY = replace(WIDE, store_result_seconds=60, idempotency_seconds=100)
_FOLDERS = (Path(lua_scripts.__file__).parent / "lua", work_queue.LUA)
LUA = {path.stem: path.read_text() for folder in _FOLDERS for path in folder.glob("*.lua")}
_MODULES = (work_queue, operations, job_queue)
_SCRIPTS = {value.sha: value for module in _MODULES for value in vars(module).values() if isinstance(value, LuaScript)}


def _own(text: str) -> str:
    """Without the first line, which the loader puts in front of the shared parts."""
    return text.split("\n", 1)[1] if text.startswith("#!") else text


#: A script's name by the SHA-1 that the product calls it by.
NAMES = {
    sha: next(n for n, text in LUA.items() if script.text.endswith(_own(text))) for sha, script in _SCRIPTS.items()
}

#: What stands in front of a script.
_SHARED = (("record",), ("record", "lease"))

#: A call of the product: given the replies to its commands so far, it answers or raises Asked.
type Call = Callable[[Sequence[Any]], Any]


class Asked(BaseException):
    """The next command of a call."""


class _Recorder:
    """Stands for the connection of either side."""

    def __init__(self, replies: Sequence[Any]) -> None:
        self._replies = iter(replies)

    def run(self, script: LuaScript, keys: Sequence[str], args: Sequence[object]) -> Any:
        return self._next("EVALSHA", script.sha, len(keys), *keys, *args)

    async def execute(self, *parts: object) -> Any:
        return self._next(*parts)

    def _next(self, *parts: object) -> Any:
        for reply in self._replies:
            return reply
        raise Asked(*map(str, parts))


def next_command(call: Call, replies: Sequence[Any]) -> tuple[str, ...]:
    """Empty when the call has its answer."""
    try:
        call(replies)
    except Asked as asked:
        return asked.args
    return ()


def worker(name: str, lease_ms: int, deaths: int, method: str, *args: Any) -> Call:
    def call(replies: Sequence[Any]) -> Any:
        side: Any = WorkQueue(_Recorder(replies), QUEUE.queue, name, lease_ms, deaths)  # type: ignore[arg-type]
        answer = _driven(getattr(side, method)(*args))
        return answer._replace(keys=tuple(answer.keys)) if isinstance(answer, Lease) else answer

    return call


def caller(policy: QueuePolicy, method: str, *args: Any) -> Call:
    return lambda replies: getattr(JobQueue(_Recorder(replies), policy, [QUEUE.queue]), method)(*args)  # type: ignore[arg-type]


def operator(method: str, job_id: str) -> Call:
    async def does(side: Any) -> Any:
        letter = await side.letter(job_id)
        return await getattr(side, method)(letter) if letter else "no letter"

    return lambda replies: _driven(does(Operations(_Recorder(replies), QUEUE.queue)))  # type: ignore[arg-type]


@cache
def submission(owner: str, body: str, key: str | None, *job_ids: str) -> Submission:
    raw = json.dumps({"type": "generate", "input": {"prompt": "p"}} | json.loads(body)).encode()
    parsed = parse_job(raw, "application/json", JOB_TYPES)
    jobs = [NewJob(job_id, parsed.request, parsed.job_type, key) for job_id in job_ids]
    return Submission(jobs, QUEUE, Caller(owner, "request", "00-a-b-01"))


def _driven(call: Coroutine[Any, Any, Any]) -> Any:
    """Its connection answers at once, so it ends at once."""
    try:
        call.send(None)
    except StopIteration as end:
        return end.value


@cache
def _text(sha: str, changed: tuple[tuple[str, str], ...]) -> str:
    """A script's text; of its own file and the shared parts, the changed texts if there are any."""
    lua, name = LUA | dict(changed), NAMES[sha]
    shared = next(parts for parts in _SHARED if assembled(LUA[name], *(LUA[part] for part in parts)).sha == sha)
    return assembled(lua[name], *(lua[part] for part in shared)).text


@lru_cache(maxsize=100_000)
def command(parts: tuple[str, ...], server: Server, changed: tuple[tuple[str, str], ...] = ()) -> bytes:
    """A command for the wire; ``changed`` are scripts' texts by name, for those that are not run as shipped."""
    if parts[0] == "EVALSHA":
        parts = ("EVALSHA", server.load(_text(parts[1], changed)), *parts[2:])
    return packed(*parts)
