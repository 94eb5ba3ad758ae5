"""A job whose input may be any JSON, so that the door it comes in by is all that is tested."""

import json
from typing import Any

import redis
from pydantic import JsonValue

from chalicelib.jobs.job_types import JOB_TYPES, JobType, registry
from lambda_router_queue.models import Closed
from tests.conftest import Reply
from tests.integration.in_redis import KEYS, lanes


class AnyInput(Closed):
    """Whatever JSON can say."""

    value: JsonValue


TYPES = registry(*JOB_TYPES.values(), JobType("any", AnyInput))


def job_with(value: bytes) -> bytes:
    """A legal job but for this text in the place of a value."""
    return b'{"type":"any","input":{"value":' + value + b"}}"


def stored_value(reply: Reply, db: redis.Redis) -> Any:
    """What waits in Redis as the value of the job that was accepted."""
    entries = [entry for stream in lanes() for _, entry in db.xrange(stream)]
    (envelope,) = [envelope for entry in entries if (envelope := json.loads(entry["job"]))["id"] == reply.json["id"]]
    assert db.exists(KEYS.job(reply.json["id"]))
    return envelope["input"].get("value")  # null is written as nothing, as for every member that may be left out
