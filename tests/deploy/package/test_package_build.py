"""One commit, one zip: whoever builds it, and wherever."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.contract.repository import ROOT
from tests.deploy.kit.artefact import zip_named
from tests.deploy.kit.clone import Clone
from tools.merge.document import named
from tools.package.build import build_of
from tools.package.golden import as_text
from tools.package.writer import Sums, sums_of

pytestmark = [pytest.mark.package, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This checkout in another folder, with another time on each file."""
    return Clone.into(tmp_path_factory.mktemp("clone") / "of the router").root


@pytest.fixture(scope="module")
def said(clone: Path) -> str:
    """What ``make package`` prints there, with another hash seed and umask."""
    ran = Clone(clone, {"PYTHONHASHSEED": "77"}).make("package")
    assert ran.status == 0, ran.err
    return ran.out


@pytest.fixture(scope="module")
def expected(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Sums:
    """Of the zip of this checkout, named for the clone's commit."""
    return sums_of(zip_named(build_of(clone), tmp_path_factory.mktemp("here")))


def test_the_zip_is_the_same_to_the_byte(said: str, clone: Path, expected: Sums) -> None:
    assert sums_of(clone / "terraform/deployment.zip") == expected


def test_the_terraform_document_is_the_same_to_the_byte(said: str, clone: Path) -> None:
    golden = json.loads((ROOT / "tests/deploy/golden/chalice.tf.json").read_text())
    wanted = as_text(named(golden, build_of(clone)))

    assert (clone / "terraform/chalice.tf.json").read_text() == wanted, "fix: make golden, and read the difference"


def test_the_sum_is_printed_and_written_as_sha256sum_and_lambda_write_it(
    said: str, clone: Path, expected: Sums
) -> None:
    assert f"sha256 {expected.hexadecimal}" in said.splitlines()[-2]
    checked = subprocess.run(
        ["sha256sum", "--check", "--strict", "deployment.zip.sha256"], cwd=clone / "terraform", check=False
    )
    assert checked.returncode == 0
    assert f"# CodeSha256 {expected.code_sha256}\n" in (clone / "terraform/deployment.zip.sha256").read_text()


def test_the_build_is_printed_last(said: str, clone: Path) -> None:
    assert said.splitlines()[-1] == f"build {build_of(clone)}"


def test_the_table_says_what_is_in_it(said: str) -> None:
    assert [line.split()[0] for line in said.splitlines()[1:4]] == ["cryptography", "pydantic_core", "redis"]
