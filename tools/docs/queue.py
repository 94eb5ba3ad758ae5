"""The tables of ``docs/queue.md``: keys from ``QueueKeys``, scripts from their top comments."""

import inspect
import itertools
import re
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from lambda_router_queue.flow import FIGURES
from lambda_router_queue.queue_keys import LANES, PRIORITIES, QueueKeys, lane_bound
from tools.docs.markdown import code, first_sentence, table
from tools.stack.repository import ROOT

FOLDERS = ("chalicelib/jobs/lua", "vendor/lambda_router_queue/lua", "lambda_router_worker/queue/lua")
#: Prepended to other scripts, never run by themselves.
SHARED = frozenset({"record.lua", "life.lua", "lease.lua", "tries.lua"})

#: What every key begins with. ``QueueKeys`` has lists and a tag, too.
_PREFIX = "lr:"
_PLACEHOLDERS = {
    "priority": "<priority>",
    "lane": "<lane>",
    "job_id": "<id>",
    "owner": "<owner>",
    "key": "<key>",
    "digest": "<digest>",
}
#: The required beginning of a key's docstring.
_TYPE_AND_CONTENT = re.compile(r"(String|Hash|Stream|Sorted set)(?:: | of )(.*?)\.?")


def keys() -> str:
    """Return a table of every key in ``QueueKeys``, with type and content from its docstring."""
    example, rows = QueueKeys("<queue>"), []
    for name, member in vars(QueueKeys).items():
        if name.startswith("_"):
            continue
        key = getattr(example, name)
        if inspect.isfunction(member):
            placeholders = [_PLACEHOLDERS[parameter] for parameter in inspect.signature(key).parameters]
            rows.append(_row(key(*placeholders), member))
        elif isinstance(member, cached_property) and str(key).startswith(_PREFIX):
            rows.append(_row(key, member.func))
    return table(("Key", "Type", "Holds"), rows)


def _row(key: str, described: Callable[..., Any]) -> tuple[str, str, str]:
    words = _TYPE_AND_CONTENT.fullmatch(first_sentence(described.__doc__))
    if words is None:
        name = described.__qualname__
        raise ValueError(f"{name}: its docstring must begin with 'String', 'Hash', 'Stream' or 'Sorted set'")
    return code(key), words[1].lower(), words[2]


def scripts() -> str:
    """Return the top comment of each script: its purpose, arguments and reply."""
    names = {path: code(path.relative_to(ROOT).as_posix()) for path in script_files()}
    return "\n\n".join(f"#### {name}\n\n```text\n{top_comment(path)}\n```" for path, name in names.items())


def script_files() -> list[Path]:
    """Return the path of every script that is run, the router's first."""
    found = [path for folder in FOLDERS for path in sorted((ROOT / folder).glob("*.lua"))]
    return [path for path in found if path.name not in SHARED]


def top_comment(path: Path) -> str:
    """Return the comment at the top of a script, after a ``#!lua`` line if any, without its dashes."""
    source = path.read_text(encoding="utf-8").splitlines()
    behind = itertools.dropwhile(lambda line: line.startswith("#!"), source)
    lines = itertools.takewhile(lambda line: line.startswith("--"), behind)
    return "\n".join(line.removeprefix("--").removeprefix(" ") for line in lines)


def topology() -> str:
    """Return the layout of the streams as Lua, for the scripts."""
    first_lanes = ", ".join(f"{priority} = {place * LANES}" for place, priority in enumerate(PRIORITIES))
    lanes = "".join(f"open < {lane_bound(lane)} and {lane} or " for lane in range(LANES - 1))
    fields = [f"'{name}'" for name in FIGURES]
    named = ",\n    ".join(", ".join(line) for line in itertools.batched(fields, 6, strict=False))
    return f"""\

local LANES = {LANES}

local PRIORITIES = {len(PRIORITIES)}

local STREAMS = LANES * PRIORITIES

-- The first stream of each priority, from 0.
local FIRST_LANES = {{{first_lanes}}}

-- The lane of a caller's next job, by how many open jobs the caller has: its first job never stands behind another
-- caller's hundredth.
local function lane_of(open)
  return {lanes}{LANES - 1}
end

-- How many fields say how the queue moves.
local FIGURES = {len(FIGURES)}

-- How the queue moves: for each stream the jobs added to its line and those that left it, then service_ms, slots and
-- slots_at, and then what else is asked for; 0 for what was never counted.
local function figures(flow_key, ...)
  local values = redis.call('HMGET', flow_key,
    {named}, ...)
  for i = 1, #values do values[i] = values[i] or '0' end
  return values
end
"""
