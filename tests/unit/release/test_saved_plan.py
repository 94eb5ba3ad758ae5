"""Only the planned zip is applied."""

from pathlib import Path
from typing import Any

import pytest

from tools.deploy.saved_plan import SavedPlan
from tools.package.writer import sums_of
from tools.stack.options import Refused
from tools.stack.repository import SUMS, ZIP


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A package."""
    folder = tmp_path / "terraform"
    folder.mkdir()
    (folder / ZIP).write_bytes(b"one zip")
    (folder / SUMS).write_text(sums_of(folder / ZIP).text(ZIP))
    return folder


def plan_of(folder: Path) -> SavedPlan:
    return SavedPlan(sums_of(folder / ZIP).code_sha256, "0.1.0+g1f98489c0a1b", moves_alias=True)


def _shown(move_alias: Any = False, **resource: Any) -> dict[str, Any]:
    return {
        "planned_values": {"root_module": {"resources": [resource] if resource else []}},
        "variables": {"move_alias": {"value": move_alias}},
    }


def test_the_planned_zip_is_taken(folder: Path) -> None:
    plan_of(folder).refuse_another_zip(folder)


def test_another_zip_is_refused_with_both_sums(folder: Path) -> None:
    planned = plan_of(folder)
    (folder / ZIP).write_bytes(b"another")

    with pytest.raises(Refused) as why:
        planned.refuse_another_zip(folder)

    assert str(why.value) == (
        f"terraform/deployment.zip has the sha256 {sums_of(folder / ZIP).code_sha256} but the plan was made with"
        f" {planned.code_sha256}: the reviewed plan is not for the code that would run: make package && make plan"
    )


def test_a_sum_of_another_zip_is_refused(folder: Path) -> None:
    (folder / SUMS).write_text(sums_of(folder / SUMS).text(ZIP))

    with pytest.raises(Refused, match=r"^terraform/deployment.zip.sha256 says .*: make package && make plan$"):
        plan_of(folder).refuse_another_zip(folder)


@pytest.mark.parametrize("name", [ZIP, SUMS])
def test_a_missing_file_is_refused(folder: Path, name: str) -> None:
    planned = plan_of(folder)
    (folder / name).unlink()

    with pytest.raises(
        Refused, match=r"^there is no terraform/deployment.zip with its deployment.zip.sha256: make pack"
    ):
        planned.refuse_another_zip(folder)


def test_a_build_with_changes_that_are_in_no_commit_is_refused() -> None:
    SavedPlan("abc=", "0.1.0+g1f98489c0a1b", moves_alias=True).refuse_dirty()

    with pytest.raises(Refused, match=r"of build 0\.1\.0\+g1f98489c0a1b\.dirty, .*git commit.*make apply DIRTY=1$"):
        SavedPlan("abc=", "0.1.0+g1f98489c0a1b.dirty", moves_alias=True).refuse_dirty()


def test_a_plan_to_destroy_is_refused() -> None:
    with pytest.raises(Refused, match=r"so it would destroy the stack: make destroy$"):
        SavedPlan.shown(_shown())


@pytest.mark.parametrize(("given", "moves"), [(True, True), (False, False), ("true", True), ("false", False)])
def test_a_plan_says_its_zip_and_whether_callers_move(given: Any, moves: bool) -> None:
    values = {"source_code_hash": "abc=", "description": "0.1.0"}
    shown = _shown(given, address="aws_lambda_function.api_handler", values=values)

    assert SavedPlan.shown(shown) == SavedPlan("abc=", "0.1.0", moves_alias=moves)
