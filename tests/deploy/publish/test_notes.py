"""The notes of a release: the version's section of the changelog, or a refusal that says what is missing."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from chalicelib import __version__
from tests.contract.repository import ROOT, page
from tools.publish import notes
from tools.stack.refusal import Refusal

CHANGELOG = """# Changelog

## [Unreleased]

- Later.

## [0.2.0] - 2027-01-02

### Added

- [Streams](docs/openai.md#streams), [a site](https://example.com/a) and [a part](#fixed).

### Fixed

- A fault.

## [0.1.0] - 2026-12-01

## [0.0.9]

- Without a date.
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with that changelog."""
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    return tmp_path


def notes_of(version: str, root: Path) -> str:
    return notes.notes(version, "octo/router", "https://github.com", root)


def test_the_notes_are_the_versions_section_and_no_other(root: Path) -> None:
    text = notes_of("0.2.0", root)

    assert text.startswith("### Added\n")
    assert "- A fault." in text
    assert "Later" not in text
    assert "Without a date" not in text


def test_links_lead_into_the_repository_at_that_version(root: Path) -> None:
    assert re.findall(r"\]\(([^)]+)\)", notes_of("0.2.0", root)) == [
        "https://github.com/octo/router/blob/v0.2.0/docs/openai.md#streams",
        "https://example.com/a",
        "#fixed",
    ]


def test_the_notes_end_with_how_to_verify_the_files(root: Path) -> None:
    assert "gh attestation verify FILE --repo octo/router\n" in notes_of("0.2.0", root)


@pytest.mark.parametrize(("version", "found"), [("0.3.0", "no"), ("0.1.0", "an empty"), ("0.0.9", "no")])
def test_a_version_without_notes_is_refused(root: Path, version: str, found: str) -> None:
    with pytest.raises(Refusal, match=rf"^CHANGELOG\.md has {found} section ## \[{re.escape(version)}\] - "):
        notes_of(version, root)


@pytest.mark.parametrize("tag", [f"v{__version__}0", __version__, "v", "v1; rm -rf $(HOME)"])
def test_a_tag_of_another_version_is_refused(tag: str) -> None:
    with pytest.raises(Refusal, match=re.escape(f"the tag is {tag!r}, ")):
        notes.checked_version(tag)
    ran = CliRunner().invoke(notes.main, env={"RELEASE": tag})
    assert (ran.exit_code, __version__ in str(ran.output)) == (1, True)


def test_the_versions_own_tag_is_taken() -> None:
    assert notes.checked_version(f"v{__version__}") == __version__
    assert notes.checked_version(None) == __version__


def test_the_changelog_has_the_form_that_notes_are_taken_from() -> None:
    headings = re.findall(r"^## .*$", page("CHANGELOG.md"), re.MULTILINE)

    assert headings[0] == "## [Unreleased]"
    assert all(re.fullmatch(r"## \[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", each) for each in headings[1:])
    assert (ROOT / "CHANGELOG.md").exists()
