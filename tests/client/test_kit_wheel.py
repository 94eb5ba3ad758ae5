"""The callers' kit as a wheel: the same bytes each time, its own code only, and a small surface."""

import email
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.message import Message
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import lambda_router
from chalicelib import __version__
from tests.box.installed_kit import PYTHONS
from tests.contract.repository import ROOT, files, name_of, page, table_column
from tools.publish import wheels

_DIST_INFO = f"lambda_router-{__version__}.dist-info"


class Built(NamedTuple):
    wheel: Path
    sdist: Path

    def metadata(self) -> Message:
        with zipfile.ZipFile(self.wheel) as archive:
            return email.message_from_bytes(archive.read(f"{_DIST_INFO}/METADATA"))

    def wanted(self) -> list[Requirement]:
        return [Requirement(text) for text in self.metadata().get_all("Requires-Dist", ())]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return Built(*wheels.build(tmp_path_factory.mktemp("dist"), project=wheels.KIT))


def test_the_source_distribution_builds_the_same_wheel(built: Built, tmp_path: Path) -> None:
    """That another folder and time make the same bytes is in tests/contract/test_wheel.py."""
    with tarfile.open(built.sdist) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path / "out")]
    folder = tmp_path / f"unpacked/lambda_router-{__version__}"
    subprocess.run(build, cwd=folder, check=True, capture_output=True)

    assert next((tmp_path / "out").iterdir()).read_bytes() == built.wheel.read_bytes()


def test_files_of_another_version_are_removed_and_nothing_else(tmp_path: Path) -> None:
    """``dist/lambda_router-*.whl`` in docs/callers.md would install the older of two."""
    old = ["lambda_router-0.0.9-py3-none-any.whl", "lambda_router-0.0.9.tar.gz"]
    kept = [
        "lambda_router-1.2.3-py3-none-any.whl",
        "lambda_router_worker-0.0.9-py3-none-any.whl",
        "lambda_router-notes.txt",
    ]
    for name in old + kept:
        (tmp_path / name).touch()
    wheels.remove_others(tmp_path, wheels.KIT, [tmp_path / kept[0]])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


def test_the_wheel_has_the_kits_files_and_nothing_else(built: Built) -> None:
    wanted = {
        name_of(path).removeprefix("client/"): path.read_bytes()
        for path in files()
        if name_of(path).startswith("client/lambda_router/")
    }
    with zipfile.ZipFile(built.wheel) as archive:
        found = {name: archive.read(name) for name in archive.namelist() if not name.startswith(_DIST_INFO)}

    assert found == wanted
    assert "lambda_router/py.typed" in found


def test_a_wheel_wants_what_the_lock_was_made_from_and_no_next_major_version(built: Built) -> None:
    listed = [line for line in page("requirements/client.in").splitlines() if re.match(r"\w", line)]
    locked = dict(re.findall(r"^([\w-]+)==(\S+)", page("requirements/client.txt"), re.MULTILINE))

    assert {each.name: _floor(each.specifier) for each in built.wanted()} == {
        each.name: _floor(each.specifier) for each in map(Requirement, listed)
    }
    assert all(locked[each.name] in each.specifier for each in built.wanted())
    # cryptography has a major version every few weeks, and Fernet has been the same since 2013.
    for each in built.wanted():
        next_major = f"{int(locked[each.name].split('.')[0]) + 1}.0"
        assert (next_major in each.specifier) == (each.name == "cryptography")


def _floor(bounds: SpecifierSet) -> set[str]:
    return {str(each) for each in bounds if each.operator == ">="}


def test_the_server_of_the_proxy_is_an_extra(built: Built) -> None:
    extra = {each.name for each in built.wanted() if each.marker and 'extra == "proxy"' in str(each.marker)}
    assert extra == {"starlette", "uvicorn"}


def test_the_metadata_claims_the_pythons_on_which_it_is_run_and_no_others(built: Built) -> None:
    bounds = SpecifierSet(built.metadata()["Requires-Python"])
    classified = re.findall(r"Python :: (3\.\d+)", str(built.metadata().get_all("Classifier")))

    assert tuple(classified) == PYTHONS
    assert [f"3.{minor}" for minor in range(30) if f"3.{minor}.1" in bounds] == list(PYTHONS)


def test_version_and_command_are_the_projects(built: Built) -> None:
    scripts = tomllib.loads(page("client/pyproject.toml"))["project"]["scripts"]
    assert built.metadata()["Version"] == __version__
    assert scripts == {"lambda-router": "lambda_router.cli:main"}


def test_the_surface_is_what_the_page_lists() -> None:
    listed = table_column(page("docs/callers.md").partition("<!-- surface -->")[2], "")
    assert sorted(listed) == sorted(lambda_router.__all__)


def test_a_token_costs_no_import_of_what_only_a_login_needs() -> None:
    dear = {"asyncio", "authlib", "cryptography", "filelock", "httpx", "keyring", "platformdirs"}
    code = "import sys; from lambda_router import cli; from lambda_router.commands import token; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert not dear & set(ran.stdout.split())
