"""The Redis of ``REDIS_URL``, if this machine can reach it. ``make verify`` checks the function's own connection."""

from collections.abc import Iterator

from chalicelib.errors import QueueUnavailable
from chalicelib.jobs import eviction
from chalicelib.jobs.redis_client import RedisClient, connect
from lambda_router_queue.queue_keys import QueueKeys
from lambda_router_queue.redis.url import BadRedisURL, check_redis_url
from tools.stack.configured import Stack
from tools.stack.findings import Finding
from tools.stack.redis import policy_finding

_THING = "Redis"


def redis(stack: Stack) -> Iterator[Finding]:
    """Check Redis without writing anything or showing any part of the URL."""
    url = stack.environ.get("REDIS_URL", "")
    if not url:
        yield Finding(_THING, ok=True, found="not checked: REDIS_URL is not set; make verify checks the function's")
        return
    try:
        client = RedisClient(lambda: connect(check_redis_url(url)))
        policy = eviction.policy(client, QueueKeys(stack.text("router_queue")))
    except BadRedisURL as error:
        why = "router and worker would refuse to start with it"
        yield Finding(_THING, False, f"REDIS_URL {error}", "", why, "export REDIS_URL=redis://127.0.0.1:6379/0")
    except QueueUnavailable as problem:
        why, fix = "what was not checked may be wrong", 'valkey-cli -u "$REDIS_URL" PING'
        yield Finding(_THING, False, problem.reason or "no reply", "", why, fix, seen=False)
    else:
        yield policy_finding(_THING, policy)
