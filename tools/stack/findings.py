"""Findings of the checking programs: lines for people, one JSON object for programs, an exit status for both."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import IntEnum

import click


class Status(IntEnum):
    """Exit statuses of every program that checks or releases: docs/deploy.md, Exit statuses.

    click uses 2 for an unknown option. ``make`` itself ends with 2 for every failed command, so a script that has to
    tell these apart calls ``python -m tools.…``.
    """

    OK = 0
    FAILED = 1  # nothing was seen to be wrong, but not all could be checked or done; also Python's after an exception
    DIFFERS = 3  # something was seen to be wrong
    TAKEN_BACK = 4  # and callers are back where they were before the release


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        thing: what was checked, such as ``alias live``.
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


def compared(thing: str, found: str, wanted: str, *, why: str, fix: str) -> Finding:
    """Return a finding that is ok if both are equal."""
    if found == wanted:
        return Finding(thing, ok=True, found=found)
    return Finding(thing, ok=False, found=found, wanted=wanted, why=why, fix=fix)


def or_well(findings: Iterable[Finding], thing: str, found: str) -> Iterator[Finding]:
    """Yield the findings that are wrong, or one that says that all is well."""
    wrong = [finding for finding in findings if not finding.ok]
    yield from wrong or [Finding(thing, ok=True, found=found)]


def status_of(findings: Iterable[Finding]) -> Status:
    """Return the exit status; a fault that was seen outweighs anything that could not be checked."""
    wrong = [finding for finding in findings if not finding.ok]
    if any(finding.seen for finding in wrong):
        return Status.DIFFERS
    return Status.FAILED if wrong else Status.OK


def report(findings: Iterable[Finding], *, as_json: bool) -> Status:
    """Print each finding at once, or all of them as JSON; return the exit status."""
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
    """Yield ``ok`` with what was found; or the fault, and below it the consequence and the fix."""
    if finding.ok:
        yield f"ok    {finding.thing}" + (f": {finding.found}" if finding.found else "")
        return
    wanted = f", wanted {finding.wanted}" if finding.wanted else ""
    yield f"{'WRONG' if finding.seen else 'UNSEEN'} {finding.thing}: {finding.found}{wanted}"
    for label, text in (("why", finding.why), ("fix", finding.fix)):
        if text:
            yield f"      {label}: {text}"
