"""What ``make doctor`` and ``make verify`` say about Redis: whether it answers, and whether it keeps every job."""

from chalicelib.jobs.eviction import shortcoming
from lambda_router_queue.eviction import SAFE
from tools.stack.findings import Finding

_KEEP = (
    f'valkey-cli -u "$REDIS_URL" CONFIG SET maxmemory-policy {SAFE}'
    "  # a managed service has it in its parameter group or console"
)
_ALLOW = 'valkey-cli -u "$REDIS_URL" ACL SETUSER router +info  # as a user who may change users'
_WHY_KEEP = "when its memory is full it deletes jobs that callers were promised: 202, and later 404"
_WHY_UNSEEN = "a policy that deletes jobs would go unnoticed"


def policy_finding(thing: str, policy: str | None) -> Finding:
    """About a policy as ``JobQueue.eviction_policy`` tells it."""
    if policy is None:
        return unknown(thing, shortcoming(None) or "")
    reason = shortcoming(policy)
    return evicts(thing, reason) if reason else Finding(thing, ok=True, found=policy or "the server does not tell")


def evicts(thing: str, reason: str) -> Finding:
    """Redis deletes jobs, in those words."""
    return Finding(thing, False, reason, f"maxmemory-policy {SAFE}", _WHY_KEEP, _KEEP)


def unknown(thing: str, reason: str) -> Finding:
    """This user may not ask."""
    return Finding(thing, ok=False, found=reason, why=_WHY_UNSEEN, fix=_ALLOW, seen=False)
