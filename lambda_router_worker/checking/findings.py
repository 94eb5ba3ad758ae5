"""Findings of ``check``: a line for people, a JSON object for programs, an exit status for both.

They have the form of ``make doctor``, which the worker's package lacks (``docs/decisions/0080-checks-by-layer.md``).
"""

import json
import re
from collections.abc import AsyncIterable, Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import IntEnum

import click

from lambda_router_queue.eviction import is_forbidden
from lambda_router_queue.redis.troubles import explain, trouble_of
from lambda_router_queue.redis.wire import Refused
from lambda_router_worker.terminal import visible

#: Longest quotation of a server.
_MOST_WORDS = 200
_COMMAND = re.compile(r"'([\w|-]+)' (?:sub)?command")
_WHY = "no job can be processed"
#: Of servers that do not know the flags in a script's first line.
_UNCOMPILED = re.compile("compiling script|script flags", re.IGNORECASE)
_NO_FLAGS = "use Redis or Valkey, 7.2 or newer: KeyDB and Dragonfly do not run scripts with '#!lua' flags"


class Status(IntEnum):
    """Exit statuses of ``check``. click uses 2 for an invalid option."""

    OK = 0
    FAILED = 1  # nothing was seen to be wrong, but not all could be checked
    DIFFERS = 3  # something was seen to be wrong


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        thing: what was checked, such as ``TLS``; the table of checks names it.
        ok: whether it is as it should be.
        found: its actual state.
        wanted: its wanted state; empty if ``ok`` says it all.
        why: the consequence of the fault; empty if ok.
        fix: the command that fixes it; empty if ok.
        seen: False if it could not be checked; ``found`` then says why.
    """

    thing: str
    ok: bool
    found: str = ""
    wanted: str = ""
    why: str = ""
    fix: str = ""
    seen: bool = True


def well(found: str) -> Finding:
    return Finding("", ok=True, found=found)


def wrong(found: str, *, why: str, fix: str, wanted: str = "") -> Finding:
    return Finding("", ok=False, found=found, wanted=wanted, why=why, fix=fix)


def unseen(found: str, *, why: str = "", fix: str = "") -> Finding:
    return Finding("", ok=False, found=found, why=why, fix=fix, seen=False)


def status_of(findings: Iterable[Finding]) -> Status:
    """Return the exit status; a fault that was seen outweighs anything that could not be checked."""
    faults = [finding for finding in findings if not finding.ok]
    if any(finding.seen for finding in faults):
        return Status.DIFFERS
    return Status.FAILED if faults else Status.OK


async def report(findings: AsyncIterable[Finding], *, as_json: bool) -> Status:
    """Print each finding at once, or all of them as JSON; return the exit status."""
    seen: list[Finding] = []
    async for finding in findings:
        seen.append(finding)
        for line in () if as_json else lines(finding):
            click.echo(visible(line))
    status = status_of(seen)
    if as_json:
        click.echo(json.dumps({"status": status.name.lower(), "findings": [asdict(finding) for finding in seen]}))
    return status


def lines(finding: Finding) -> Iterator[str]:
    """Yield ``ok`` with what was found; or the fault, and below it the consequence and the fix."""
    if finding.ok:
        yield f"ok    {finding.thing}" + (f": {finding.found}" if finding.found else "")
        return
    wanted = f", wanted {finding.wanted}" if finding.wanted else ""
    yield f"{'WRONG' if finding.seen else 'UNSEEN'} {finding.thing}: {finding.found}{wanted}"
    for label, text in (("why", finding.why), ("fix", finding.fix)):
        if text:
            yield f"      {label}: {text}"


def in_short(words: object) -> str:
    """Return a server's words on one line, cut if they are long."""
    text = " ".join(str(words).split())
    return text if len(text) <= _MOST_WORDS else f"{text[:_MOST_WORDS]}…"


def trouble(error: BaseException, where: str = "", why: str = _WHY) -> Finding:
    """Return the finding about an error, in the words of the worker's log."""
    fault, _, fix = explain(error).partition(": ")
    return wrong(_at(where, fault), why=why, fix=fix.rstrip("."))


def refusal(error: Refused, queue: str, where: str = "") -> Finding:
    """Return the finding about an error reply: the permission that is missing, if it is about one."""
    if is_forbidden(error):
        return _forbidden(error, queue, where)
    if trouble_of(error) is not None:
        return trouble(error, where)
    is_old = _UNCOMPILED.search(str(error)) is not None
    return wrong(_at(where, in_short(error)), why=_WHY, fix=_NO_FLAGS if is_old else "look at the server's log")


def _forbidden(error: Refused, queue: str, where: str) -> Finding:
    command = _COMMAND.search(str(error))
    rule = f"+{command[1].lower()}" if command else f"~lr:{{{queue}}}:*"
    lacking = f"the Redis user lacks {rule}" if command else f"the Redis user may not use the keys {rule[1:]}"
    return wrong(_at(where, lacking), why=_WHY, fix=f"{allowing(rule)}; docs/operations.md#users lists all rules")


def allowing(rule: str) -> str:
    """Return the command that adds a rule of ACL to the worker's user."""
    return f"as a user who may change users: valkey-cli ACL SETUSER <user> '{rule}'"


def _at(where: str, found: str) -> str:
    return f"{where}: {found}" if where else found
