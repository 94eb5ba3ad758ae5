"""``tools/stack/deployed.py``: what Terraform's outputs say of the stack."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from tests.contract.repository import ROOT
from tests.unit.tools.fake_state import FakeS3
from tools.stack.deployed import DeployedFunction, DeployedStack, NoStack, outputs_of
from tools.stack.terraform import Terraform

NAMES = [field.name for field in dataclasses.fields(DeployedStack)]
#: Outputs that came later.
LATER = {"custom_domain": {}, "default_endpoint": True, "stream_function": None}
OUTPUTS: dict[str, Any] = {name: name for name in NAMES} | {"stage_arn": "not a field"}


def test_the_fields_are_the_outputs_of_those_names() -> None:
    assert dataclasses.asdict(DeployedStack.from_outputs(OUTPUTS)) == {name: name for name in NAMES}


def test_every_field_is_an_output_of_the_root_module() -> None:
    declared = re.findall(r'^output "(\w+)"', (ROOT / "terraform/outputs.tf").read_text(), re.MULTILINE)

    assert set(NAMES) <= set(declared)


def test_a_state_without_outputs_is_refused_by_its_address_with_the_way_to_deploy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = FakeS3({}).backend()
    monkeypatch.setattr(Terraform, "backend", empty)

    with pytest.raises(NoStack, match=f"{empty} has no outputs: .* make package && make plan && make apply"):
        outputs_of(Terraform(tmp_path))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in LATER])
def test_a_state_of_an_older_checkout_is_refused_with_the_output_it_lacks(name: str) -> None:
    with pytest.raises(NoStack, match=rf"no output {name}, .*make package"):
        DeployedStack.from_outputs({key: value for key, value in OUTPUTS.items() if key != name})


def test_a_state_from_before_there_was_streaming_has_one_function() -> None:
    stack = DeployedStack.from_outputs({key: value for key, value in OUTPUTS.items() if key not in LATER})

    assert stack.streaming is None
    assert stack.function.function_name == OUTPUTS["function_name"]


def test_the_output_about_the_streaming_function_has_the_names_of_those_about_the_first() -> None:
    told = {field.name: f"stream's {field.name}" for field in dataclasses.fields(DeployedFunction)}
    declared = (ROOT / "terraform/outputs.tf").read_text().partition('output "stream_function"')[2].partition("\n}")[0]

    stack = DeployedStack.from_outputs(OUTPUTS | {"stream_function": told})

    assert stack.streaming == DeployedFunction(**told)
    assert set(re.findall(r"^      (\w+) +=", declared, re.MULTILINE)) == told.keys()


def test_a_state_from_before_there_were_custom_domains_has_none() -> None:
    stack = DeployedStack.from_outputs({key: value for key, value in OUTPUTS.items() if key not in LATER})

    assert {name: getattr(stack, name) for name in LATER} == LATER
