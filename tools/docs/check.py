"""``python -m tools.docs.check``: report each setting that is missing, unknown or misspelt, with file and line.

``make settings`` generates what follows from ``chalicelib/settings.py``; this checks the parts written by hand.
"""

import difflib
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from chalicelib.settings import Settings
from tools.docs import stages
from tools.docs.places import Name, Place, looks_ours, places
from tools.stack.findings import Finding, report
from tools.stack.repository import ROOT

#: The similarity (0 to 1) at which one name counts as a typo of the other.
_ALIKE = 0.8

_WHY_MISSING = "the default would be used silently, or the function would refuse to start"
_WHY_BEATS = "its value would override that of the shell and of .env, where it belongs"
_WHY_UNKNOWN = "nothing reads it, so the intended setting keeps its default; the function refuses to start with it"
_WHY_TWICE = "only one of the two counts"


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One object for programs.")
def main(as_json: bool) -> None:
    """Compare every place that lists settings with chalicelib/settings.py."""
    sys.exit(report(check(ROOT), as_json=as_json))


def check(root: Path) -> Iterator[Finding]:
    """Yield a finding for each fault, and one for each list of settings without faults."""
    for place in places(root):
        faults = list(faults_of(place, root))
        yield from faults
        if not faults and place.wanted:
            yield Finding(_thing(place, place.line), ok=True, found=f"{len(place.wanted)} settings")


def faults_of(place: Place, root: Path) -> Iterator[Finding]:
    """Yield the faults of one list."""
    there = [each.name for each in place.found]
    missing = [name for name in place.wanted if name not in there]
    # Chalice would prefer the settings of stage local to those of the shell.
    beating = Settings.names() if place.part == f"stage {stages.LOCAL_STAGE}" else []
    for each in place.found:
        if each.name in beating and each.name not in place.wanted:
            fix = _removal(place, each, root)
            yield Finding(_thing(place, each.line), False, f"{each.name} is set", "", _WHY_BEATS, fix)
            continue
        meant = _meant(each.name, place, missing)
        if meant is not None:
            yield _unknown(place, each, meant, missing, root)
            missing = [name for name in missing if name != meant]
    for each in (each for at, each in enumerate(place.found) if each.name in there[:at]):
        fix = _removal(place, each, root)
        yield Finding(_thing(place, each.line), False, f"{each.name} is set twice", "once", _WHY_TWICE, fix)
    for name in missing:
        yield Finding(_thing(place, place.line), False, f"{name} is missing", "", _WHY_MISSING, "make settings")


def _meant(name: str, place: Place, missing: list[str]) -> str | None:
    """Return the setting that a wrong name stands for, or "" for none; None if the name is right or not ours."""
    known = Settings.names() if name.isupper() else [each.lower() for each in Settings.names()]
    if name in (place.wanted or known):
        return None
    near = difflib.get_close_matches(name, missing or known, n=1, cutoff=_ALIKE)
    if near:
        return near[0]
    return "" if place.closed or looks_ours(name) else None


def _unknown(place: Place, each: Name, meant: str, missing: list[str], root: Path) -> Finding:
    found = f"{each.name} is not a setting" + (f"; did you mean {meant}?" if meant else "")
    rename = f"sed -i '{each.line}s/{each.name}/{meant}/' {place.path}"
    fix = rename if meant in missing else _removal(place, each, root)
    return Finding(_thing(place, each.line), False, found, "", _WHY_UNKNOWN, fix)


def _removal(place: Place, each: Name, root: Path) -> str:
    """Return the command that deletes the line; in Terraform its block, in JSON also a comma that would remain."""
    if place.path.endswith(".tf"):
        return f"sed -i '{each.line},/^}}/d' {place.path}"
    lines = (root / place.path).read_text(encoding="utf-8").splitlines()
    is_last = place.path.endswith(".json") and not lines[each.line - 1].rstrip().endswith(",")
    comma = f"-e '{each.line - 1}s/,$//' " if is_last else ""
    return f"sed -i {comma}-e '{each.line}d' {place.path}"


def _thing(place: Place, line: int) -> str:
    return f"{place.path}:{line}" + (f" ({place.part})" if place.part else "")


if __name__ == "__main__":
    main()
