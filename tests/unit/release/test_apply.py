"""What ``make apply`` makes of a Terraform that stops half-way, and of a build that is in no commit."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import pytest

from tests.unit.release.clock import Clock
from tests.unit.release.fake_function import FakeFunction
from tests.unit.tools.fake_state import FakeS3
from tools.deploy.saved_plan import PLAN
from tools.package.writer import sums_of
from tools.release.apply import apply
from tools.release.live_alias import Traffic
from tools.stack.backend import Backend
from tools.stack.deployed import DeployedStack
from tools.stack.findings import Finding, Status
from tools.stack.options import Refused
from tools.stack.repository import SUMS, ZIP
from tools.stack.terraform import Terraform

OUTPUTS = {each.name: each.name for each in fields(DeployedStack)}


@dataclass(frozen=True)
class FakeTerraform(Terraform):
    """Has a plan of the zip in the folder; applying it does something and ends with a status."""

    applied: Callable[[], int] = lambda: 0
    build: str = "0.1.0+g1f98489c0a1b"
    known: dict[str, Any] = field(default_factory=lambda: dict(OUTPUTS))

    @property
    def backend(self) -> Backend:
        return Backend("octo-state", "prod.tfstate", "eu-central-1", lambda *_: FakeS3({}))

    def outputs(self) -> dict[str, Any]:
        return self.known

    def shown(self, plan: Path) -> dict[str, Any]:
        values = {"source_code_hash": sums_of(self.folder / ZIP).code_sha256, "description": self.build}
        function = {"address": "aws_lambda_function.api_handler", "values": values}
        return {
            "planned_values": {"root_module": {"resources": [function]}},
            "variables": {"move_alias": {"value": True}},
        }

    def run(self, *arguments: str) -> int:
        return self.applied()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A package and its plan."""
    (tmp_path / ZIP).write_bytes(b"one zip")
    (tmp_path / SUMS).write_text(sums_of(tmp_path / ZIP).text(ZIP))
    (tmp_path / PLAN).touch()
    return tmp_path


def _applied(terraform: Terraform, function: FakeFunction, **options: Any) -> Status:
    found = Finding("code", ok=True)
    return apply(terraform, lambda _: [found], Clock().patience(), alias_of=lambda _: function.live(), **options)


def test_a_terraform_that_stops_after_it_moved_the_alias_is_taken_back(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    function = FakeFunction("1")

    def moved() -> int:
        function.live().send(Traffic("2"))
        return 1

    assert _applied(FakeTerraform(folder, moved), function) is Status.TAKEN_BACK
    assert (function.alias["FunctionVersion"], function.told) == ("1", "1")
    said = capsys.readouterr().out
    assert "apply: terraform failed; its output above says why. Fix that, then make plan && make apply\n" in said
    assert "alias live: taken back from version 2 to version 1." in said


def test_a_terraform_that_stops_before_it_moved_the_alias_leaves_it_alone(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    function = FakeFunction("1")

    assert _applied(FakeTerraform(folder, lambda: 1), function) is Status.FAILED
    assert function.sent == []
    assert "was already at version 1 before, so there is nothing to take back" in capsys.readouterr().out


def test_a_first_apply_that_stops_half_way_has_no_alias_to_take_back(folder: Path) -> None:
    function = FakeFunction("1")

    assert _applied(FakeTerraform(folder, lambda: 1, known={}), function) is Status.FAILED
    assert function.sent == []


def test_a_plan_that_was_applied_is_gone_and_one_that_failed_is_kept(folder: Path) -> None:
    _applied(FakeTerraform(folder, lambda: 1), FakeFunction("1"))
    assert (folder / PLAN).exists()

    assert _applied(FakeTerraform(folder), FakeFunction("1")) is Status.OK
    assert not (folder / PLAN).exists()


def test_a_build_that_is_in_no_commit_is_applied_only_when_that_is_asked_for(folder: Path) -> None:
    terraform = FakeTerraform(folder, build="0.1.0+g1f98489c0a1b.dirty")

    with pytest.raises(Refused, match="make apply DIRTY=1"):
        _applied(terraform, FakeFunction("1"))
    assert (folder / PLAN).exists()
    assert _applied(terraform, FakeFunction("1"), dirty=True) is Status.OK
