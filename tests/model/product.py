"""The commands that the product itself would send: its own code runs over a connection that only notes them."""

import json
from collections.abc import Callable, Coroutine, Iterable, Sequence
from copy import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from chalicelib import jobs
from chalicelib.api.body import parse_job
from chalicelib.jobs import job_queue, waits
from chalicelib.jobs.admission import Caller, NewJob, Submission
from chalicelib.jobs.job_types import JOB_TYPES
from lambda_router_queue import lua_scripts
from lambda_router_queue.lua_scripts import LuaScript
from lambda_router_worker.queue import scripts
from tests.model.server import QUEUE
from tests.wide import WIDE

POLICY = replace(WIDE, store_result_seconds=60, idempotency_seconds=100)
_FOLDERS = (Path(lua_scripts.__file__).parent / "lua", jobs.LUA, scripts.LUA)
#: The files of the scripts, by name.
LUA = {path.stem: path.read_text() for folder in _FOLDERS for path in folder.glob("*.lua")}
#: The scripts as they are sent, with their names, by SHA-1.
SCRIPTS = {
    value.sha: (name.strip("_").lower(), value.text)
    for module in (scripts, job_queue, waits)
    for name, value in vars(module).items()
    if isinstance(value, LuaScript)
}


class _Asked(BaseException):
    """The next command of a call."""


class _Recorder:
    """Stands for the connection of either side: gives the replies to the commands so far, and raises the next one."""

    def __init__(self, replies: Iterable[Any]) -> None:
        self._replies = iter(replies)

    def run(self, script: LuaScript, keys: Sequence[str], args: Sequence[object]) -> Any:
        return self._next("EVALSHA", script.sha, len(keys), *keys, *args)

    async def execute(self, *parts: object) -> Any:
        return self._next(*parts)

    def _next(self, *parts: object) -> Any:
        for reply in self._replies:
            return reply
        raise _Asked(*parts)


class Call(NamedTuple):
    """``does``: calls the product, given a connection. ``read``: what it is answered first, read maybe long ago."""

    does: Callable[[Any], Any]
    read: Sequence[Any] = ()

    def command(self) -> tuple[Any, ...]:
        """Its command, or another where it sends none."""
        try:
            self.answer()
        except _Asked as asked:
            return asked.args
        return ("PING",)

    def answer(self, *replies: Any) -> Any:
        try:
            answer = self.does(_Recorder([*self.read, *replies]))
            return answer.send(None) if isinstance(answer, Coroutine) else answer
        except StopIteration as end:  # its connection answers at once, so a coroutine ends at once
            return end.value


@cache
def submission(owner: str, body: str, key: str | None, *job_ids: str) -> Submission:
    raw = json.dumps({"type": "generate", "input": {"prompt": "p"}} | json.loads(body)).encode()
    parsed = parse_job(raw, "application/json", JOB_TYPES)
    jobs = [NewJob(job_id, parsed.request, parsed.job_type, key) for job_id in job_ids]
    return Submission(jobs, QUEUE, Caller(owner, "request", "00-a-b-01"))
