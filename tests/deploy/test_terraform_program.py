"""``TERRAFORM=tofu`` chooses the program, in every make target and in every command that is printed."""

import ast
import json
import os
import re
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.contract.repository import ROOT, files, name_of, page
from tests.deploy.kit.clone import Clone
from tests.deploy.kit.terraform_cli import terraform_path

#: What each target asks the program first; in a folder without a state some then fail.
ASKS = {"init": "init", "summary": "show", "doctor": "version", "plan": "plan", "apply": "show", "destroy": "plan"}
#: They read the state itself, so they need no program; drift asks for one once it has.
WITHOUT_TERRAFORM = {"canary", "drift", "outputs", "reimport", "release", "releases", "rollback", "smoke", "verify"}
OTHERS = {"cost", "delete-dev", "deploy-dev", "image", "package", "wait-valkey", "wheels"}
BACKEND = {"backend": {"type": "s3", "config": {"bucket": "octo-state", "key": "k", "region": "eu-central-1"}}}
GIVEN = {"init": ("STATE_BUCKET=octo-state", "AWS_REGION=eu-central-1"), "doctor": ("OFFLINE=1",)}


@dataclass(frozen=True)
class Bench:
    """A clone, a ``tofu`` that hands on to Terraform, and a ``terraform`` that nobody may call."""

    clone: Clone
    programs: Path

    def asked(self, program: str) -> list[str]:
        """The command lines that the program got."""
        log = self.programs / f"{program}.log"
        return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def bench(terraform: None, tmp_path: Path) -> Bench:
    programs = tmp_path / "programs"
    programs.mkdir()
    _write(programs / "tofu", f'echo "$*" >>{programs}/tofu.log\nexec {terraform_path()} "$@"\n')
    _write(programs / "terraform", f'echo "$*" >>{programs}/terraform.log\nexit 97\n')
    clone = Clone.into(tmp_path / "clone")
    for name in ("chalice.tf.json", "deployment.zip", "it.tfplan"):
        (clone.root / "terraform" / name).write_text("{}")
    (clone.root / "terraform/.terraform").mkdir()
    (clone.root / "terraform/.terraform/terraform.tfstate").write_text(json.dumps(BACKEND))
    path = f"{programs}:{os.environ['PATH']}"  # noqa: TID251
    clone.environ.update({"PATH": path, "TF_CLI_ARGS_init": "-backend=false -plugin-dir=/nowhere"})
    return Bench(clone, programs)


def _write(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.mark.parametrize(("target", "first"), ASKS.items(), ids=list(ASKS))
def test_a_target_runs_the_chosen_program_and_no_other(bench: Bench, target: str, first: str) -> None:
    bench.clone.make(target, "TERRAFORM=tofu", *GIVEN.get(target, ()))

    asked = bench.asked("tofu")
    assert asked, "tofu was not called"
    assert next(word for word in asked[0].split() if not word.startswith("-")) == first
    assert bench.asked("terraform") == []


@pytest.mark.parametrize("target", sorted(WITHOUT_TERRAFORM))
def test_a_target_that_reads_the_state_runs_no_program(bench: Bench, target: str) -> None:
    ran = bench.clone.make(target, environ={"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_EC2_METADATA_DISABLED": "1"})

    assert ran.status == 1
    assert (bench.asked("tofu"), bench.asked("terraform")) == ([], [])


@pytest.mark.parametrize("chosen", [{}, {"TERRAFORM": ""}], ids=["unset", "empty"])
def test_without_a_choice_it_is_terraform(bench: Bench, chosen: dict[str, str]) -> None:
    bench.clone.make("init", *GIVEN["init"], environ=chosen)

    assert bench.asked("tofu") == []
    assert len(bench.asked("terraform")) == 1


def test_the_choice_may_be_a_file(bench: Bench) -> None:
    moved = shutil.move(bench.programs / "tofu", bench.clone.root / "my-tofu")

    bench.clone.make("summary", f"TERRAFORM=./{Path(moved).name}")

    assert bench.asked("tofu") == ["show -json it.tfplan"]


def test_a_program_that_is_missing_is_named_in_one_line(bench: Bench) -> None:
    ran = bench.clone.make("plan", "TERRAFORM=no-such-tofu")

    assert ran.status == 1
    lines = [line for line in ran.said.splitlines() if not line.startswith("make: ")]
    assert len(lines) == 1
    assert "no no-such-tofu on PATH" in lines[0]


def test_every_target_that_deploys_is_tried() -> None:
    section = page("Makefile").split("\n##@ Deploy")[1].split("\n##@ ")[0]

    assert set(re.findall(r"^\.PHONY: (\S+)$", section, re.MULTILINE)) == ASKS.keys() | WITHOUT_TERRAFORM | OTHERS


@pytest.mark.parametrize("path", [path for path in files(".py") if name_of(path).startswith("tools/")], ids=name_of)
def test_no_printed_command_names_terraform_itself(path: Path) -> None:
    constants = [node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]

    assert [text for text in constants if isinstance(text, str) and "terraform -chdir" in text] == []


def test_the_makefile_names_the_program_in_one_place() -> None:
    recipes = [line for line in page("Makefile").splitlines() if line.startswith("\t")]

    assert [line for line in recipes if re.search(r"(^|[\s@])terraform\s", line)] == []
    assert (ROOT / "Makefile").read_text().count("TERRAFORM := ") == 1
