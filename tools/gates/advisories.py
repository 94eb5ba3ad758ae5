"""``python -m tools.gates.advisories``: known vulnerabilities of the packages that serve callers or process jobs.

pip-audit (https://github.com/pypa/pip-audit) queries OSV (https://osv.dev), which has the advisories of PyPI and
GitHub.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import click

from tools.stack.findings import Finding, or_well, report
from tools.stack.repository import ROOT

PIP_AUDIT = ROOT / ".local/audit/bin/pip-audit"
#: The packages that ship to Lambda, and those that workers and callers install.
LOCKS = ("requirements.txt", "requirements/worker.txt", "requirements/client.txt")
OSV = "https://api.osv.dev/v1/query"
_WHY = "the advisory shows attackers how to exploit the deployment"
_UNKNOWN = "the deployment may have a known vulnerability"


@click.command()
@click.option("--osv-url", default=OSV, show_default=True, help="Service to query.")
@click.option("--json", "as_json", is_flag=True, help="One object for programs.")
def main(osv_url: str, as_json: bool) -> None:
    """Look up the advisories of each locked package.

    Exit status 0: none is known; 3: at least one is; 1: the lookup failed.
    """
    sys.exit(report(found_by(osv_url), as_json=as_json))


def found_by(osv_url: str) -> Iterator[Finding]:
    """Yield a finding for each advisory, or one with the number of packages that have none."""
    if not PIP_AUDIT.exists():
        yield Finding("pip-audit", False, "it is not installed", "", _UNKNOWN, "make audit-tools", seen=False)
        return
    options = ["--vulnerability-service", "osv", "--osv-url", osv_url, "--disable-pip", "--progress-spinner", "off"]
    locks = [word for lock in LOCKS for word in ("--requirement", lock)]
    command = [str(PIP_AUDIT), *options, "--format", "json", *locks]
    ran = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    try:
        packages = json.loads(ran.stdout)["dependencies"]
    except ValueError:
        last = ran.stderr.strip().splitlines()[-1:] or ["no output"]
        again = "make audit, on a machine that can reach that host"
        yield Finding("advisories", False, f"the query to {osv_url} failed: {last[0]}", "", _UNKNOWN, again, seen=False)
        return
    found = [finding for package in packages for finding in _advisories(package)]
    yield from or_well(found, "advisories", f"none for {len(packages)} packages of {' and '.join(LOCKS)}")


def _advisories(package: dict[str, Any]) -> Iterator[Finding]:
    if "skip_reason" in package:
        yield Finding(package["name"], False, package["skip_reason"], "", _UNKNOWN, "make lock UPGRADE=1", seen=False)
    for advisory in package.get("vulns", ()):
        names = ", ".join([advisory["id"], *advisory["aliases"]])
        fixed = " or ".join(advisory["fix_versions"])
        found = f"{names}, fixed in {fixed}" if fixed else f"{names}, not fixed yet"
        fix = "make lock UPGRADE=1, then make test and a release"
        yield Finding(f"{package['name']} {package['version']}", False, found, "no known vulnerability", _WHY, fix)


if __name__ == "__main__":
    main()
