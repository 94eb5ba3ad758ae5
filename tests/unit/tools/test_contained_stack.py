"""tools/doctor/contained.py, tools/stack/backend.py: a stack that other Terraform contains, its state in a file."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.contract.repository import ROOT
from tools.doctor.contained import ContainedStack, stack_in_folder
from tools.stack.backend import StateFile, StateUnread
from tools.stack.configured import Stack
from tools.stack.options import Refused
from tools.stack.repository import package_folder
from tools.stack.terraform import Terraform, TerraformFailed

GIVEN: dict[str, Any] = {
    "app_name": "lambda-router",
    "reserved_concurrency": -1,
    "tags": {"Team": "one"},
    "vpc_config": None,
}


def applied(folder: Path, version: int = 4, **outputs: Any) -> Path:
    """A folder as ``terraform apply`` without a backend leaves it."""
    told = {name: {"value": value, "type": "dynamic"} for name, value in outputs.items()}
    (folder / "terraform.tfstate").write_text(json.dumps({"version": version, "outputs": told}))
    return folder


def test_the_outputs_of_a_contained_stack_are_those_of_its_folder(tmp_path: Path) -> None:
    applied(tmp_path, stack={"api_url": "https://x", "region": "inner"}, region="outer")

    assert Terraform(tmp_path).outputs() == {
        "api_url": "https://x",
        "region": "outer",
        "stack": {"api_url": "https://x", "region": "inner"},
    }
    assert str(Terraform(tmp_path).state) == str(tmp_path / "terraform.tfstate")


def test_a_state_file_of_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TerraformFailed, match=r"terraform\.tfstate is encrypted or has another format than 4"):
        Terraform(applied(tmp_path, version=5)).outputs()
    with pytest.raises(StateUnread):
        StateFile(tmp_path / "terraform.tfstate").outputs()


def test_a_file_that_a_backend_replaced_does_not_count(tmp_path: Path) -> None:
    """``terraform init -migrate-state`` leaves it behind."""
    (applied(tmp_path) / ".terraform").mkdir()
    (tmp_path / ".terraform/terraform.tfstate").write_text("{}")

    assert StateFile.in_folder(tmp_path, {}) is None


def test_doctor_takes_what_the_stack_was_given_and_nothing_that_the_shell_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_VAR_app_name", "another")
    monkeypatch.setenv("TF_VAR_stage_name", "another")

    stack = stack_in_folder(applied(tmp_path, stack_variables=GIVEN))

    assert {name: value for name, value in stack.environ.items() if name.startswith("TF_VAR_")} == {
        "TF_VAR_app_name": "lambda-router",
        "TF_VAR_reserved_concurrency": "-1",
        "TF_VAR_tags": '{"Team": "one"}',
    }
    assert stack.tfvars() == []
    assert stack.folder == ROOT / "terraform"
    assert stack.state_file == StateFile(tmp_path / "terraform.tfstate")


def test_a_fix_opens_the_file_with_the_block(tmp_path: Path) -> None:
    fix = ContainedStack(environ={}, container=tmp_path).setting("reserved_concurrency", -1)

    assert fix.startswith(f"${{EDITOR:-vi}} {tmp_path}/main.tf ")
    assert fix.endswith("reserved_concurrency = -1")


@pytest.mark.parametrize("outputs", [None, {}], ids=["before the first apply", "after destroy"])
def test_a_folder_that_was_not_applied_is_refused_with_the_command(
    outputs: dict[str, Any] | None, tmp_path: Path
) -> None:
    if outputs is not None:
        applied(tmp_path, **outputs)

    with pytest.raises(Refused, match=rf"-chdir={tmp_path} apply"):
        stack_in_folder(tmp_path)


def test_the_stacks_own_folder_is_as_before() -> None:
    assert type(stack_in_folder(ROOT / "terraform")) is Stack
    assert package_folder(ROOT / "terraform") == ROOT / "terraform"
    assert package_folder(ROOT / "terraform/examples/complete") == ROOT / "terraform"
