"""The files of a release, and ``make package FROM=…``, which takes them."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from chalicelib import __version__
from tests.contract.repository import ROOT
from tests.deploy.kit.artefact import BUILD
from tests.deploy.kit.clone import Clone
from tools.merge.document import named
from tools.package.golden import as_text
from tools.package.writer import sums_of, write_zip
from tools.publish import files, index
from tools.publish.take import take
from tools.stack.refusal import Refusal
from tools.stack.repository import SBOM, SUMS, TERRAFORM, ZIP

ARCH = "x86_64"
STEM = f"lambda-router-{__version__}-{ARCH}"


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``make package`` writes, with another zip: test_workflows_run.py has the real one."""
    folder, task = tmp_path_factory.mktemp("packaged"), tmp_path_factory.mktemp("task")
    (task / "app.py").write_text("app = None\n")
    write_zip(task, folder / ZIP)
    (folder / SBOM).write_text("{}\n")
    golden = json.loads((ROOT / "tests/deploy/golden/chalice.tf.json").read_text())
    (folder / TERRAFORM).write_text(as_text(named(golden, BUILD)))
    (folder / SUMS).write_text(sums_of(folder / ZIP).text(ZIP))
    return folder


@pytest.fixture(scope="module")
def assembled(packaged: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("release") / "files"
    out.mkdir()
    (out / "of an earlier release").touch()
    files.assemble(out, __version__, {ARCH: packaged})
    return out


@pytest.fixture
def release(assembled: Path, tmp_path: Path) -> Path:
    """The files as somebody has downloaded them."""
    return Path(shutil.copytree(assembled, tmp_path / "downloaded"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The release's source as an archive: it has no history."""
    (tmp_path / "source/chalicelib").mkdir(parents=True)
    shutil.copy(ROOT / "chalicelib/__init__.py", tmp_path / "source/chalicelib")
    return tmp_path / "source"


def taken(folder: Path, out: Path, root: Path, architecture: str = ARCH) -> list[str]:
    return list(take(folder, architecture, out, root))


def test_a_release_has_package_wheel_and_what_is_in_them(assembled: Path) -> None:
    assert {path.name for path in assembled.iterdir()} == {
        f"{STEM}.zip",
        f"{STEM}.tf.json",
        f"{STEM}.cdx.json",
        f"lambda_router-{__version__}-py3-none-any.whl",
        f"lambda_router-{__version__}.tar.gz",
        f"lambda_router-{__version__}.cdx.json",
        f"lambda_router_worker-{__version__}-py3-none-any.whl",
        f"lambda_router_worker-{__version__}.tar.gz",
        f"lambda_router_worker-{__version__}.cdx.json",
        "SHA256SUMS",
    }


def test_the_index_gets_the_worker_alone(assembled: Path) -> None:
    """On the public one, the name of the callers' kit is another project's: it would refuse the upload."""
    assert {path.name for path in index.uploaded(__version__, assembled)} == {
        f"lambda_router_worker-{__version__}-py3-none-any.whl",
        f"lambda_router_worker-{__version__}.tar.gz",
    }


def test_the_index_gets_nothing_if_a_file_is_missing(release: Path) -> None:
    (release / f"lambda_router_worker-{__version__}.tar.gz").unlink()

    with pytest.raises(Refusal, match="publish-files"):
        index.uploaded(__version__, release)


def test_every_file_is_in_the_checksums(assembled: Path) -> None:
    checked = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=assembled, check=True, capture_output=True, text=True
    )

    names = {path.name for path in assembled.iterdir()} - {"SHA256SUMS"}
    assert set(checked.stdout.splitlines()) == {f"{name}: OK" for name in names}


def test_the_wheels_sbom_is_of_that_wheel_and_names_what_it_was_tested_with(assembled: Path) -> None:
    document = json.loads((assembled / f"lambda_router_worker-{__version__}.cdx.json").read_text())
    wheel = sums_of(assembled / f"lambda_router_worker-{__version__}-py3-none-any.whl")

    assert document["metadata"]["component"]["hashes"] == [{"alg": "SHA-256", "content": wheel.hexadecimal}]
    assert {"click", "httpx", "pydantic", "redis"} <= {each["name"] for each in document["components"]}


def test_a_released_package_lands_as_make_package_writes_it(
    release: Path, packaged: Path, source: Path, tmp_path: Path
) -> None:
    said = taken(release, tmp_path / "out", source)

    written = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert written == {path.name: path.read_bytes() for path in packaged.iterdir()}
    assert said[-1] == f"build {BUILD}"
    assert sums_of(packaged / ZIP).hexadecimal in said[-2]


def test_a_checkout_of_another_commit_is_refused(release: Path, tmp_path: Path) -> None:
    """Its Terraform might not fit."""
    with pytest.raises(Refusal, match=rf"build {BUILD.replace('+', '.')}.*git checkout v{__version__}"):
        taken(release, tmp_path / "out", Clone.into(tmp_path / "clone").root)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", [f"{STEM}.zip", f"{STEM}.tf.json", f"{STEM}.cdx.json", "SHA256SUMS"])
def test_a_missing_file_is_named(release: Path, source: Path, tmp_path: Path, name: str) -> None:
    (release / name).unlink()

    with pytest.raises(Refusal, match=f"{name} is not there: .* v{__version__}"):
        taken(release, tmp_path / "out", source)


@pytest.mark.parametrize("name", [f"{STEM}.zip", f"{STEM}.tf.json", f"{STEM}.cdx.json"])
def test_another_file_than_that_of_the_checksums_is_refused(
    release: Path, source: Path, tmp_path: Path, name: str
) -> None:
    with (release / name).open("ab") as file:
        file.write(b" ")

    with pytest.raises(Refusal, match=f"{name} is not the file of SHA256SUMS"):
        taken(release, tmp_path / "out", source)
    assert not (tmp_path / "out").exists()


def test_a_file_that_the_checksums_do_not_list_is_refused(release: Path, source: Path, tmp_path: Path) -> None:
    (release / "SHA256SUMS").write_text("")

    with pytest.raises(Refusal, match="is not the file of SHA256SUMS"):
        taken(release, tmp_path / "out", source)


def test_a_package_for_other_processors_is_not_there(release: Path, source: Path, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"arm64\.zip is not there"):
        taken(release, tmp_path / "out", source, "arm64")


def test_a_package_under_the_name_of_other_processors_is_refused(release: Path, source: Path, tmp_path: Path) -> None:
    lines = (release / "SHA256SUMS").read_text()
    (release / "SHA256SUMS").write_text(lines.replace(ARCH, "arm64"))
    for path in list(release.glob(f"{STEM}.*")):
        path.rename(path.with_name(path.name.replace(ARCH, "arm64")))

    with pytest.raises(Refusal, match="wanted arm64"):
        taken(release, tmp_path / "out", source, "arm64")


def test_another_cors_origin_in_the_shell_is_refused(
    release: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUTER_CORS_ORIGIN", "https://app.example.com")

    with pytest.raises(Refusal, match=r"ROUTER_CORS_ORIGIN is 'https://app\.example\.com'"):
        taken(release, tmp_path / "out", source)


def test_a_stack_with_the_pages_cannot_have_a_release(
    terraform: None, release: Path, source: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/settings.tf").write_text('variable "router_docs" {\n  default = "false"\n}\n')
    (tmp_path / "out/stack.auto.tfvars").write_text('router_docs = "true"\n')

    with pytest.raises(Refusal, match=r"^router_docs is true, and a release has no pages: make package"):
        taken(release, tmp_path / "out", source)

    assert not (tmp_path / "out/deployment.zip").exists()


def test_changes_that_are_in_no_commit_stop_a_release(tmp_path: Path) -> None:
    clone = Clone.into(tmp_path / "clone")
    files.refuse_changes(clone.root)
    (clone.root / "README.md").write_text("mine")

    with pytest.raises(Refusal, match=r"README\.md has changes"):
        files.refuse_changes(clone.root)


def test_the_release_is_refused_where_a_tag_is_another_versions(tmp_path: Path) -> None:
    ran: Any = Clone.into(tmp_path / "clone").make("publish-files", environ={"RELEASE": "v9.9.9"})

    assert ran.status == 1
    assert ran.err.startswith("files: the tag is 'v9.9.9'")
