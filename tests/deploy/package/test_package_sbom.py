"""The list of what is in the zip (CycloneDX) is whole, true, valid and the same each time; no secret is in the zip."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.contract.repository import ROOT
from tests.contract.test_logs_hold_no_secrets import TOKEN, URL
from tests.deploy.kit.artefact import built
from tests.file_secrets import secrets_below
from tools.package.sbom import sbom
from tools.package.wheels import locked
from tools.package.writer import sums_of, unpack
from tools.stack.refusal import Refusal
from tools.stack.repository import SBOM

pytestmark = [pytest.mark.package, pytest.mark.timeout(300)]

REQUIREMENTS = (ROOT / "requirements.txt").read_text()
#: Modules of packages that are called otherwise.
MODULE_OF = {"pyjwt": "jwt", "cffi": "_cffi_backend"}
#: Files of others' whose documentation shows what a URL of Redis looks like.
EXAMPLES = ("redis/", "pydantic/networks.", "pydantic_core/core_schema.")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return dict(json.loads((built().zip.parent / SBOM).read_text()))


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """Chalice's own package, unpacked."""
    unpack(built().original, tmp_path / "whole")
    return tmp_path / "whole"


def test_it_is_valid_cyclonedx(document: dict[str, Any]) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(document)) is None


def test_the_validator_refuses_what_is_not(document: dict[str, Any]) -> None:
    wrong = document | {"components": [{"type": "library"}]}

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(wrong)) is not None


def test_it_lists_every_package_of_the_lock_file_that_is_in_the_zip_and_chalice(document: dict[str, Any]) -> None:
    pins = dict(pin.split("==") for pin in locked(REQUIREMENTS))
    shipped = {path.name.split(".")[0] for path in built().task.iterdir()}
    there = {name for name in pins if MODULE_OF.get(name, name.replace("-", "_")) in shipped}

    assert {part["name"] for part in document["components"]} == {*there, "chalice"}
    assert {part["name"]: part["version"] for part in document["components"] if part["name"] in pins} == {
        name: pins[name] for name in there
    }


def test_it_is_bound_to_the_zip(document: dict[str, Any]) -> None:
    described = document["metadata"]["component"]

    assert described["hashes"] == [{"alg": "SHA-256", "content": sums_of(built().zip).hexadecimal}]


def test_the_same_zip_has_the_same_list(whole: Path) -> None:
    first, second = (sbom(whole, built().task, REQUIREMENTS, "1.0.0", "0" * 64) for _ in range(2))

    assert first == second
    assert "timestamp" not in first


def test_what_no_package_brought_is_refused(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(built().task, tmp_path / "task", copy_function=shutil.copyfile)
    (tmp_path / "task").chmod(0o755)
    (tmp_path / "task/stray.py").write_text("")

    with pytest.raises(Refusal, match=r"stray\.py is in the package, but no package of requirements\.txt contains it"):
        sbom(whole, tmp_path / "task", REQUIREMENTS, "1.0.0", "0" * 64)


def test_no_secret_is_in_the_zip() -> None:
    found = secrets_below(built().task)

    of_others = {name for name, kinds in found.items() if name.startswith(EXAMPLES) and kinds == ["a Redis URL"]}
    assert {name: kinds for name, kinds in found.items() if name not in of_others} == {}


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("chalicelib/a.py", f'TOKEN = "{TOKEN}"', "a token"),
        ("chalicelib/a.py", f'URL = "{URL}"', "a Redis URL"),
        ("deep/er/a.bin", "\0\x01 AKIA" + "IOSFODNN7EXAMPLE", "an AWS access key"),
        ("a", "-----BEGIN " + "PRIVATE KEY-----\n" + "A" * 64, "a private key"),
        ("a", "ghp_" + "a" * 36, "a token of GitHub's"),
        (".env", "", "a file for secrets"),
        ("x/server.pem", "", "a file for secrets"),
        ("terraform.tfstate", "{}", "a file for secrets"),
    ],
)
def test_the_search_finds_what_is_planted(tmp_path: Path, name: str, text: str, kind: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(text)

    assert secrets_below(tmp_path) == {name: [kind]}
