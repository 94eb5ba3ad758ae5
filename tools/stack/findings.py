"""What a program that checks has found: a line each for people, one object for machines, a status for both."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import IntEnum

import click


class Status(IntEnum):
    """Exit statuses of every program that checks or releases: docs/deploy.md, Exit statuses.

    2 is click's, for an option that does not exist.

    ``make`` itself ends with 2 whatever its command's status was, so a script that has to tell these apart calls
    ``python -m tools.…``.
    """

    OK = 0
    FAILED = 1  # nothing was seen to be wrong, but not all could be looked at or done; also Python's after an exception
    DIFFERS = 3  # something was seen to be wrong
    TAKEN_BACK = 4  # and callers are back where they were before it was released


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        thing: what was looked at, such as ``alias live``.
        ok: whether it is as it should be.
        found: what it is.
        wanted: what it should be; empty where ``ok`` says all.
        why: what goes wrong while it is so; empty when ok.
        fix: the command that mends it; empty when ok.
        seen: False when it could not be looked at, and ``found`` says why.
    """

    thing: str
    ok: bool
    found: str = ""
    wanted: str = ""
    why: str = ""
    fix: str = ""
    seen: bool = True


def compared(thing: str, found: str, wanted: str, *, why: str, fix: str) -> Finding:
    """Well where both are equal."""
    if found == wanted:
        return Finding(thing, ok=True, found=found)
    return Finding(thing, ok=False, found=found, wanted=wanted, why=why, fix=fix)


def or_well(findings: Iterable[Finding], thing: str, found: str) -> Iterator[Finding]:
    """Only what is wrong of many, or one line that says that all is well."""
    wrong = [finding for finding in findings if not finding.ok]
    yield from wrong or [Finding(thing, ok=True, found=found)]


def status_of(findings: Iterable[Finding]) -> Status:
    """What was seen to be wrong counts most: it is wrong whatever else could not be looked at."""
    wrong = [finding for finding in findings if not finding.ok]
    if any(finding.seen for finding in wrong):
        return Status.DIFFERS
    return Status.FAILED if wrong else Status.OK


def report(findings: Iterable[Finding], *, as_json: bool) -> Status:
    """Print each finding as soon as it is there, or all of them as JSON; the exit status."""
    seen: list[Finding] = []
    for finding in findings:
        seen.append(finding)
        if not as_json:
            click.echo("\n".join(lines(finding)))
    status = status_of(seen)
    if as_json:
        click.echo(json.dumps({"status": status.name.lower(), "findings": [asdict(finding) for finding in seen]}))
    return status


def lines(finding: Finding) -> Iterator[str]:
    """``ok`` with what was found; or what is wrong, and below it why that matters and what mends it."""
    if finding.ok:
        yield f"ok    {finding.thing}" + (f": {finding.found}" if finding.found else "")
        return
    wanted = f", wanted {finding.wanted}" if finding.wanted else ""
    yield f"{'WRONG' if finding.seen else 'UNSEEN'} {finding.thing}: {finding.found}{wanted}"
    for label, text in (("why", finding.why), ("fix", finding.fix)):
        if text:
            yield f"      {label}: {text}"
