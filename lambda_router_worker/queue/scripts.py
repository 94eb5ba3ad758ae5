"""The worker's Lua scripts, and the keys that those about one job share."""

from pathlib import Path

from lambda_router_queue.lua_scripts import SHARED, LuaScript, assembled, load_script
from lambda_router_queue.queue_keys import QueueKeys

LUA = Path(__file__).parent / "lua"


def joined(name: str, *parts: str) -> LuaScript:
    """Load ``<name>.lua``, in which each ``<part>.lua`` is a function of that name with KEYS and ARGV of its own.

    So several calls become one, and what they do still stands in one place.
    """
    flags, own = _lines_of(name)
    functions = [f"local function {part}(KEYS, ARGV)\n{_lines_of(part)[1]}end\n" for part in parts]
    return assembled("\n".join([flags, *functions, own]), *(file.read_text() for file in SHARED))


def _lines_of(name: str) -> tuple[str, str]:
    """Return a script's first line, and the others."""
    flags, _, rest = (LUA / f"{name}.lua").read_text().partition("\n")
    return flags, rest


CLAIM, RELEASE, SWEEP, BEAT, TIDY, FORGET, EMIT, STATS, LETTERS = (
    load_script(name, folder=LUA)
    for name in ("claim", "release", "sweep", "beat", "tidy", "forget", "emit", "stats", "letters")
)
START, RENEW, FINISH, RETRY, GIVE_BACK, REJECT, PROMOTE, REVIVE = (
    load_script(name, "lease", folder=LUA)
    for name in ("start", "renew", "finish", "retry", "give_back", "reject", "promote", "revive")
)
TURN = joined("turn", "claim", "sweep", "beat")


def lease_keys(keys: QueueKeys, job_id: str, stream: str, owner: str) -> list[str]:
    """Return the ``KEYS`` of every script about one job."""
    own = [keys.job(job_id), stream, keys.open_jobs(owner)]
    shared = [keys.scheduled, keys.flow, keys.dead, keys.owner(owner), keys.retrying, keys.stored_bytes(owner)]
    return [*own, *shared, keys.events(job_id)]
