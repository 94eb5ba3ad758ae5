"""The work of every rival's handler, with unmodified libraries: PyJWT, pydantic, redis-py.

It is the same work that this project's router does for one accepted job and for one status poll: verify the token and
its claims, validate the body by the same rules, run one script on Redis, and log a line of JSON. The file is copied
beside a rival's ``app.py``.
"""

import hashlib
import json
import os
import secrets
import sys
import time
from pathlib import Path
from typing import Any, Literal

import jwt
import redis
from pydantic import BaseModel, ConfigDict, Field

HERE = Path(__file__).parent
QUEUE = "tinyllama"
PRIORITIES = ("high", "normal", "low")


class Input(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    prompt: str = Field(min_length=1, max_length=6144)
    system: str | None = None
    max_tokens: int = Field(default=256, ge=1, le=4096)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    stop: list[str] | None = Field(default=None, max_length=4)
    seed: int | None = None


class Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    type: Literal["generate"]
    input: Input
    priority: Literal["high", "normal", "low"] = "normal"
    delay_seconds: int = Field(default=0, ge=0, le=86400)
    ttl_seconds: int = Field(default=300, ge=10, le=86400)
    metadata: dict[str, str] = Field(default_factory=dict, max_length=16)


_keys = {member["kid"]: jwt.PyJWK(member) for member in json.loads(os.environ["COGNITO_JWKS"])["keys"]}
_issuer = "https://cognito-idp.{COGNITO_REGION}.amazonaws.com/{COGNITO_USER_POOL_ID}".format(**os.environ)
_redis = redis.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)
_scripts = {name: (HERE / f"{name}.lua").read_text() for name in ("admit", "settle")}
_shas = {name: hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest() for name, text in _scripts.items()}


def key(*parts: str) -> str:
    return ":".join((f"lr:{{{QUEUE}}}", *parts))


STREAMS = [key("jobs", priority, str(lane)) for priority in PRIORITIES for lane in range(4)]


#: The first arguments of ``admit.lua``: how long things are kept, rate and caps.
LIMITS = [86_400_000, 86_400_000, 0.6, 100_000, 1_000_000, 10_000_000, 0, 100, 2**40, 2**40]


def admission_keys(owner: str, job_id: str) -> list[str]:
    """Return the keys of ``admit.lua`` for one job."""
    shared = [key("scheduled"), key("owner", owner), key("open", owner), key("rate", owner), key("flow")]
    return [*shared, key("retrying"), key("bytes", owner), *STREAMS, key("job", job_id), key("job", job_id)]


def owner_of(authorization: str) -> str:
    """Return the owner that a valid token names.

    Raises:
        jwt.PyJWTError: the token is not valid.
    """
    token = authorization.removeprefix("Bearer ")
    known = _keys[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(token, known, algorithms=["RS256"], issuer=_issuer, options={"require": ["exp", "iat"]})
    if claims["token_use"] != "access" or claims["client_id"] != os.environ["COGNITO_AUD"]:
        raise jwt.InvalidTokenError
    if "lambda-router/jobs" not in claims["scope"].split():
        raise jwt.InvalidTokenError
    return hashlib.sha256(claims["sub"].encode()).hexdigest()[:32]


def submit(owner: str, request: Request) -> dict[str, Any]:
    """Submit the job with one EVALSHA, and return it."""
    job_id, trace = f"job_{secrets.token_hex(16)}", f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
    document = request.model_dump(mode="json", exclude_none=True)
    envelope = document | {
        "v": 1,
        "id": job_id,
        "queue": QUEUE,
        "owner": owner,
        "request_id": "r",
        "traceparent": trace,
    }
    place = PRIORITIES.index(request.priority)
    times = [request.ttl_seconds * 1000, request.delay_seconds * 1000, place, "none", request.type, request.priority]
    job = [job_id, json.dumps(envelope), "0" * 64, *times, json.dumps(request.metadata), 1, ""]
    reply = run("admit", admission_keys(owner, job_id), [*LIMITS, QUEUE, owner, "r", trace, *job])
    created = int(reply.split("\n")[2].split()[1])
    times_out = {"created_at": created, "expires_at": created + request.ttl_seconds * 1000}
    return {"id": job_id, "object": "job", "type": request.type, "status": "queued", "queue": QUEUE} | times_out


def look(owner: str, job_id: str) -> dict[str, Any]:
    """Return the job's record, read with one EVALSHA."""
    shared = [key("open", owner), key("scheduled"), key("flow"), key("owner", owner), key("retrying")]
    keys = [*shared, key("bytes", owner), *STREAMS, key("job", job_id)]
    (record,) = run("settle", keys, [owner, "look", job_id])[2]
    return dict(zip(record[::2], record[1::2], strict=True))


def run(name: str, keys: list[str], args: list[Any]) -> Any:
    try:
        return _redis.evalsha(_shas[name], len(keys), *keys, *args)
    except redis.exceptions.NoScriptError:
        return _redis.eval(_scripts[name], len(keys), *keys, *args)


def log(method: str, route: str, status: int, started: float) -> None:
    line = {"level": "INFO", "message": "request", "method": method, "route": route, "status": status}
    sys.stdout.write(json.dumps(line | {"latency_ms": round((time.perf_counter() - started) * 1000, 3)}) + "\n")
