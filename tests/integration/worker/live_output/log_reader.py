"""Handlers that emit, and the log of its job as tests read it."""

import json
from typing import Any

import redis

from lambda_router_worker.job import Job
from tests.integration.in_redis import KEYS


def log_of(db: "redis.Redis", job_id: str) -> list[tuple[str, dict[str, Any] | str]]:
    """The log's entries: id, and the delta or the kind of another entry."""
    rows = db.xrange(KEYS.events(job_id))
    return [(entry, json.loads(row["delta"]) if "delta" in row else next(iter(row))) for entry, row in rows]


def deltas_of(db: "redis.Redis", job_id: str) -> list[dict[str, Any]]:
    return [shown for _, shown in log_of(db, job_id) if isinstance(shown, dict)]


def text_of(db: "redis.Redis", job_id: str, member: str = "text") -> str:
    return "".join(shown.get(member, "") for shown in deltas_of(db, job_id))


def calls_of(db: "redis.Redis", job_id: str) -> list[dict[str, Any]]:
    """The tool calls that the deltas are together, as a result has them."""
    calls: dict[int, dict[str, Any]] = {}
    for piece in (shown["tool_call"] for shown in deltas_of(db, job_id) if "tool_call" in shown):
        call = calls.setdefault(piece["index"], {"id": piece.get("id"), "name": piece.get("name"), "arguments": ""})
        call["arguments"] += piece["arguments"]
    return [
        {"id": call["id"], "type": "function", "function": {"name": call["name"], "arguments": call["arguments"]}}
        for call in calls.values()
    ]


async def spell(job: Job) -> Any:
    """Emit the prompt letter by letter."""
    for letter in str(job.input["prompt"]):
        await job.emit(letter)
    return {"text": job.input["prompt"]}


def spell_plainly(job: Job) -> Any:
    for letter in str(job.input["prompt"]):
        job.emit_from_thread(letter)
    return {"text": job.input["prompt"]}
