"""The worker's wheel and source distribution: the same bytes each time, and nothing in them but the worker."""

import email
import importlib
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

import lambda_router_worker
from chalicelib import __version__
from tests.box.installed import PYTHONS
from tests.contract.repository import ROOT, files, name_of, page, table_column
from tests.deploy.kit.clone import Clone
from tools.publish import wheels
from tools.stack.refusal import Refusal

#: Names in site-packages that are ours. Others, such as ``worker``, could be anybody's.
TOP_LEVEL = {"lambda_router_queue", "lambda_router_worker", f"lambda_router_worker-{__version__}.dist-info"}
#: Beside site-packages, in the environment's own folder.
_SHARED = f"lambda_router_worker-{__version__}.data/data/share/lambda-router-worker/"
_NOT_CODE = re.compile(r"^[^/]+\.(dist-info|data)/")


class Built(NamedTuple):
    wheel: Path
    sdist: Path

    def names(self) -> set[str]:
        with zipfile.ZipFile(self.wheel) as archive:
            return set(archive.namelist())

    def metadata(self) -> Message:
        with zipfile.ZipFile(self.wheel) as archive:
            return email.message_from_bytes(archive.read(f"lambda_router_worker-{__version__}.dist-info/METADATA"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return Built(*wheels.build(tmp_path_factory.mktemp("dist")))


def test_another_folder_umask_hash_seed_and_time_make_the_same_bytes(built: Built, tmp_path: Path) -> None:
    clone = Clone.into(tmp_path / "of the router")
    ran = clone.make("wheels", environ={"PYTHONHASHSEED": "77", "SOURCE_DATE_EPOCH": "1700000000", "TZ": "Asia/Tokyo"})

    assert ran.status == 0, ran.err
    kit = wheels.build(tmp_path / "kit", project=wheels.KIT)
    assert {path.name: path.read_bytes() for path in (clone.root / "dist").iterdir()} == {
        path.name: path.read_bytes() for path in (*built, *kit)
    }


def test_the_source_distribution_builds_the_same_wheel(built: Built, tmp_path: Path) -> None:
    with tarfile.open(built.sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path / "out")]
    subprocess.run(build, cwd=tmp_path / f"lambda_router_worker-{__version__}", check=True, capture_output=True)

    (again,) = (tmp_path / "out").iterdir()
    assert again.read_bytes() == built.wheel.read_bytes()


def test_the_wheel_has_every_file_of_both_packages_as_it_is_in_the_repository(built: Built) -> None:
    wanted = {
        name_of(path).removeprefix("vendor/"): path.read_bytes()
        for path in files()
        if name_of(path).startswith(("lambda_router_worker/", "vendor/lambda_router_queue/"))
    }
    with zipfile.ZipFile(built.wheel) as archive:
        found = {name: archive.read(name) for name in archive.namelist() if not _NOT_CODE.search(name)}

    assert found == wanted
    assert {name for name in found if name.endswith("claim.lua")}
    assert {f"{each}/py.typed" for each in ("lambda_router_queue", "lambda_router_worker")} <= set(found)


def test_nothing_else_lands_in_site_packages(built: Built) -> None:
    assert {name.split("/")[0] for name in built.names() if not name.startswith(_SHARED)} == TOP_LEVEL


def test_the_wheel_brings_the_units_and_the_compose_file(built: Built) -> None:
    """They land in the environment's share/, where docs/worker.md takes them from."""
    wanted = {
        path.name
        for path in files()
        if name_of(path) == "packages/worker/compose.yaml" or name_of(path).startswith("packages/worker/systemd/")
    }

    assert {name.removeprefix(_SHARED) for name in built.names() if name.startswith(_SHARED)} == wanted
    assert {"compose.yaml", "lambda-router-worker@.service", "gpu.conf"} <= wanted


def test_a_file_that_git_does_not_know_stops_the_build(tmp_path: Path) -> None:
    clone = Clone.into(tmp_path / "clone")
    (clone.root / "vendor/lambda_router_queue/mine.py").touch()

    with pytest.raises(Refusal, match=r"mine\.py is not tracked"):
        list(wheels.build(tmp_path / "dist", clone.root))
    assert not (tmp_path / "dist").exists()


def test_metadata_that_cannot_be_built_stops_it_with_hatchlings_reason(tmp_path: Path) -> None:
    clone = Clone.into(tmp_path / "clone")
    metadata = clone.root / "packages/worker/pyproject.toml"
    metadata.write_text(metadata.read_text().replace('license = "MIT"', 'license = "Nobody-1.0"'))

    with pytest.raises(Refusal, match=r"project\.license.*nobody-1\.0"):
        list(wheels.build(tmp_path / "dist", clone.root))


# Metadata


def test_the_version_is_the_projects(built: Built) -> None:
    assert built.metadata()["Version"] == __version__
    assert built.sdist.name == f"lambda_router_worker-{__version__}.tar.gz"


def test_a_wheel_wants_what_the_lock_was_made_from_and_no_next_major_version(built: Built) -> None:
    wanted = [Requirement(text) for text in built.metadata().get_all("Requires-Dist", ())]
    listed = [line for line in page("requirements/worker.in").splitlines() if re.match(r"\w", line)]
    locked = dict(re.findall(r"^([\w-]+)==(\S+)", page("requirements/worker.txt"), re.MULTILINE))

    base = {each.name: each.specifier for each in wanted if each.marker is None}
    assert {name: _floor(bounds) for name, bounds in base.items()} == {
        each.name: _floor(each.specifier) for each in map(Requirement, listed)
    }
    for name, bounds in base.items():
        assert locked[name] in bounds
        assert f"{int(locked[name].split('.')[0]) + 1}.0" not in bounds


def _floor(bounds: SpecifierSet) -> set[str]:
    return {str(each) for each in bounds if each.operator == ">="}


def test_the_extra_for_encryption_brings_what_the_locks_have(built: Built) -> None:
    wanted = [Requirement(text) for text in built.metadata().get_all("Requires-Dist", ())]
    locked = dict(re.findall(r"^([\w-]+)==(\S+)", page("requirements/dev.txt"), re.MULTILINE))
    extra = {each.name: each.specifier for each in wanted if each.marker and 'extra == "kms"' in str(each.marker)}

    assert set(extra) == {"boto3", "cryptography"}
    assert all(locked[name] in bounds for name, bounds in extra.items())


def test_the_metadata_claims_the_pythons_on_which_it_is_run_and_no_others(built: Built) -> None:
    bounds = SpecifierSet(built.metadata()["Requires-Python"])
    classified = re.findall(r"Python :: (3\.\d+)", str(built.metadata().get_all("Classifier")))

    assert tuple(classified) == PYTHONS
    assert [f"3.{minor}" for minor in range(30) if f"3.{minor}.1" in bounds] == list(PYTHONS)


def test_the_command_is_the_workers(built: Built) -> None:
    scripts = tomllib.loads(page("packages/worker/pyproject.toml"))["project"]["scripts"]
    (name, target), module_function = *scripts.items(), scripts["lambda-router-worker"].split(":")

    assert name == "lambda-router-worker"
    assert callable(getattr(importlib.import_module(module_function[0]), module_function[1])), target


# The surface


def test_the_surface_is_what_the_page_lists() -> None:
    listed = table_column(page("docs/operations.md").partition("<!-- surface -->")[2], "")

    assert sorted(listed) == sorted(lambda_router_worker.__all__)


def test_handlers_of_pages_and_examples_import_the_surface_only() -> None:
    allowed = set(lambda_router_worker.__all__)
    for path in files(".md"):
        for names in re.findall(r"^from lambda_router_worker import (.+)$", path.read_text(), re.MULTILINE):
            assert set(names.split(", ")) <= allowed, name_of(path)
    assert not [name_of(path) for path in files(".md") if re.search(r"^(from|import) lambda_router_(worker\.|queue)",
                path.read_text(), re.MULTILINE)]  # fmt: skip


@pytest.mark.parametrize("name", [name for name in lambda_router_worker.__all__ if name != "Delta"])
def test_each_class_of_the_surface_has_a_docstring(name: str) -> None:
    assert getattr(lambda_router_worker, name).__doc__


def test_the_surface_is_all_that_the_module_has() -> None:
    """Anything else would be taken for a part of it."""
    code = "import lambda_router_worker as it; print(*(n for n in vars(it) if not n.startswith('_')))"
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout

    modules = {path.stem for path in files() if path.is_relative_to(ROOT / "lambda_router_worker")}
    assert set(said.split()) - modules == set(lambda_router_worker.__all__)
