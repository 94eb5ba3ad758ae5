"""Findings of ``make doctor`` and ``make verify`` about Redis: whether it answers, and whether it keeps every job."""

from chalicelib.jobs.eviction import shortcoming
from lambda_router_queue.eviction import SAFE
from tools.stack.findings import Finding

_KEEP = (
    f'valkey-cli -u "$REDIS_URL" CONFIG SET maxmemory-policy {SAFE}'
    "  # a managed service has it in its parameter group or console"
)
_ALLOW = 'valkey-cli -u "$REDIS_URL" ACL SETUSER router +info  # as a user with permission to change users'
_WHY_KEEP = "when its memory is full, it deletes accepted jobs: callers get 202, and later 404"
_WHY_UNSEEN = "a policy that deletes jobs would go unnoticed"


def policy_finding(thing: str, policy: str | None) -> Finding:
    """Return the finding about a policy that ``JobQueue.eviction_policy`` returned."""
    if policy is None:
        return unknown(thing, shortcoming(None) or "")
    reason = shortcoming(policy)
    return evicts(thing, reason) if reason else Finding(thing, ok=True, found=policy or "not reported by the server")


def evicts(thing: str, reason: str) -> Finding:
    """Return the finding that Redis deletes jobs, with this reason."""
    return Finding(thing, False, reason, f"maxmemory-policy {SAFE}", _WHY_KEEP, _KEEP)


def unknown(thing: str, reason: str) -> Finding:
    """Return the finding that this user may not read the policy."""
    return Finding(thing, ok=False, found=reason, why=_WHY_UNSEEN, fix=_ALLOW, seen=False)
