"""What whoever approves a plan reads on the run's page."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, override

import pytest
from click.testing import CliRunner

from tools.deploy.plan_summary import MOST_CHARACTERS, main, summary
from tools.stack.terraform import Terraform


@dataclass(frozen=True)
class Planned(Terraform):
    """A folder with a plan, whose contents are given: each resource's address and what would be done to it."""

    changes: Sequence[tuple[str, list[str]]] = ()
    text: str = "Terraform will perform the following actions"

    @override
    def shown(self, plan: Path) -> dict[str, Any]:
        return {"resource_changes": [{"address": at, "change": {"actions": done}} for at, done in self.changes]}

    @override
    def read(self, plan: Path) -> str:
        return self.text


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "it.tfplan").touch()
    return tmp_path


def test_it_counts_and_lists_what_would_change_and_nothing_else(folder: Path) -> None:
    changes = [
        ("a.read", ["no-op"]),
        ("a.new", ["create"]),
        ("a.other", ["delete", "create"]),
        ("a.gone", ["delete"]),
        ("a.changed", ["update"]),
        ("a.second", ["update"]),
    ]
    (folder / "deployment.zip.sha256").write_text("abc123  deployment.zip\n")

    text = summary(Planned(folder, changes))

    assert text.startswith("### Plan: 2 to change, 1 to create, 1 to destroy, 1 to replace\n")
    assert "| replace | `a.other` |" in text
    assert "a.read" not in text
    assert "sha256 is `abc123`" in text
    assert "````text\nTerraform will perform the following actions\n````" in text


def test_a_plan_without_changes_says_so(folder: Path) -> None:
    assert summary(Planned(folder)).startswith("### Plan: no changes\n")


def test_a_plan_that_github_would_not_take_is_cut_and_says_so(folder: Path) -> None:
    text = summary(Planned(folder, text="x" * (MOST_CHARACTERS + 1)))

    assert len(text) < MOST_CHARACTERS + 1_000
    assert "The first 200,000 of 200,001 characters. `terraform show it.tfplan` prints them all." in text


def test_without_a_plan_the_page_says_who_gets_none(tmp_path: Path) -> None:
    page = tmp_path / "summary.md"
    page.write_text("before\n")

    ran = CliRunner().invoke(main, ["--folder", str(tmp_path)], env={"GITHUB_STEP_SUMMARY": str(page)})

    assert (ran.exit_code, ran.output) == (0, "")
    assert page.read_text().startswith("before\n### No plan\n")
    assert "PLAN_ROLE_ARN" in page.read_text()


def test_outside_of_github_it_is_printed(tmp_path: Path) -> None:
    ran = CliRunner().invoke(main, ["--folder", str(tmp_path)], env={"GITHUB_STEP_SUMMARY": None})

    assert ran.output.startswith("### No plan\n")


def test_a_file_that_is_no_plan_ends_with_terraforms_words(tmp_path: Path) -> None:
    (tmp_path / "it.tfplan").write_text(json.dumps({}))

    ran = CliRunner().invoke(main, ["--folder", str(tmp_path)])

    assert ran.exit_code == 1
    assert "summary: terraform show ended with status 1" in ran.output
