"""The name of a build: which commits make a new one, and when there is none."""

import subprocess
from pathlib import Path

import pytest

from tools.package.build import build_of, stamp
from tools.stack.refusal import Refusal


class Repository:
    """A repository with as much as a build's name depends on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.git("init", "-q")
        self.write("chalicelib/__init__.py", '"""What ships."""\n\n__version__ = "1.2.3"\n')

    def git(self, *arguments: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.com")
        ran = subprocess.run(["git", *who, *arguments], cwd=self.folder, check=True, capture_output=True, text=True)
        return ran.stdout.strip()

    def write(self, name: str, text: str) -> None:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(text)

    def commit(self) -> str:
        """The new commit's name, as a build has it."""
        self.git("add", ".")
        self.git("commit", "-qm", "a change")
        return "g" + self.git("rev-parse", "HEAD")[:12]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository")


def test_a_build_is_version_and_commit(repository: Repository) -> None:
    commit = repository.commit()

    assert build_of(repository.folder) == f"1.2.3+{commit}"


def test_with_the_pages_it_has_another_name(repository: Repository) -> None:
    commit = repository.commit()
    repository.write("app.py", "something")

    assert build_of(repository.folder, has_pages=True) == f"1.2.3+{commit}.pages.dirty"


@pytest.mark.parametrize(
    "name",
    [
        "app.py",
        "chalicelib/jobs/lua/admit.lua",
        ".chalice/config.json",
        "tools/package/contents.py",
        "requirements/dev.txt",
    ],
)
def test_what_changes_the_package_makes_another_build(repository: Repository, name: str) -> None:
    first = repository.commit()
    repository.write(name, "something")

    second = repository.commit()

    assert first != second
    assert build_of(repository.folder) == f"1.2.3+{second}"


@pytest.mark.parametrize(
    "name", ["README.md", "docs/deploy.md", "tests/test_app.py", "terraform/main.tf", "tools/docs/__main__.py"]
)
def test_documents_and_tests_make_no_other_build(repository: Repository, name: str) -> None:
    first = repository.commit()
    repository.write(name, "something")
    repository.commit()

    assert build_of(repository.folder) == f"1.2.3+{first}"


def test_a_change_that_is_in_no_commit_shows(repository: Repository) -> None:
    commit = repository.commit()
    repository.write("README.md", "not shipped")
    assert build_of(repository.folder) == f"1.2.3+{commit}"

    repository.write("app.py", "shipped")
    assert build_of(repository.folder) == f"1.2.3+{commit}.dirty"


def test_without_a_commit_there_is_no_build(repository: Repository) -> None:
    with pytest.raises(Refusal, match=r"^no commit contains the packaged files, .*: git commit them first$"):
        build_of(repository.folder)


def test_a_shallow_clone_is_refused_with_what_mends_it(repository: Repository, tmp_path: Path) -> None:
    repository.commit()
    repository.write("README.md", "the last commit does not ship")
    repository.commit()
    source = f"file://{repository.folder}"
    subprocess.run(["git", "clone", "-q", "--depth", "1", source, str(tmp_path / "clone")], check=True)

    with pytest.raises(Refusal, match=r"^this clone is shallow, .*: git fetch --unshallow; .*fetch-depth: 0"):
        build_of(tmp_path / "clone")

    subprocess.run(["git", "fetch", "-q", "--unshallow"], cwd=tmp_path / "clone", check=True)
    assert build_of(tmp_path / "clone") == build_of(repository.folder)


def test_a_package_says_which_build_it_is(repository: Repository) -> None:
    stamp(repository.folder, "1.2.3+g0123456789ab")

    assert '\n__version__ = "1.2.3+g0123456789ab"\n' in (repository.folder / "chalicelib/__init__.py").read_text()


def test_a_version_that_is_not_there_is_not_made_up(repository: Repository) -> None:
    repository.write("chalicelib/__init__.py", "")

    with pytest.raises(Refusal, match=r"^chalicelib/__init__.py has 0 lines like"):
        stamp(repository.folder, "1.2.3+g0123456789ab")
