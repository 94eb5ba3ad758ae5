"""A login whose token is over, and lies about logins."""

import base64
import json
import time
from collections.abc import Callable
from dataclasses import replace

from lambda_router import servers, store, tokens
from lambda_router.store import Credentials
from tools.local.pool.messages import Reply, Request, json_reply


def expire() -> Credentials:
    """Make the stored token one that is over, and drop it from memory."""
    server = servers.find()
    found = store.load(server.name)
    assert found
    old = replace(found, received_at=time.time() - 7_200, expires_at=time.time() - 3_600)
    store.save(server.name, old)
    tokens.forget(server)
    return old


def id_token(claims: dict[str, object]) -> str:
    return f"eyJhbGciOiJub25lIn0.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.x"


def with_member(name: str, value: object) -> Callable[[Request, Reply], Reply]:
    return lambda _, reply: json_reply(json.loads(reply.body) | {name: value})
