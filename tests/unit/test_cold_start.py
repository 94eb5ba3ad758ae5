"""chalicelib.cold_start: what is put off is still there when it is asked for."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chalicelib.cold_start import import_parts_only, import_when_used

PACKAGE = "cold_start_example"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package that notes in ``sys`` which of its modules were executed, in order."""
    folder = tmp_path / PACKAGE
    folder.mkdir()
    note = f"import sys\nsys.executed_of_{PACKAGE}.append(__name__)\n"
    (folder / "__init__.py").write_text(f"{note}from .dear import thing\nname = 'whole'\n")
    (folder / "dear.py").write_text(f"{note}thing = 'dear'\n")
    (folder / "cheap.py").write_text(f"{note}thing = 'cheap'\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, f"executed_of_{PACKAGE}", [], raising=False)
    yield PACKAGE
    for name in [name for name in sys.modules if name.split(".")[0] == PACKAGE]:
        del sys.modules[name]


def executed() -> list[str]:
    return [name.removeprefix(f"{PACKAGE}.") for name in getattr(sys, f"executed_of_{PACKAGE}")]


def test_a_part_is_imported_without_its_package(package: str):
    import_parts_only(package)
    assert importlib.import_module(f"{package}.cheap").thing == "cheap"
    assert executed() == ["cheap"]


def test_the_package_is_whole_as_soon_as_something_of_its_own_is_asked_for(package: str):
    import_parts_only(package)
    cheap = importlib.import_module(f"{package}.cheap")
    whole = importlib.import_module(package)
    assert (whole.name, whole.thing) == ("whole", "dear")
    assert whole.cheap is cheap
    assert executed() == ["cheap", PACKAGE, "dear"]
    with pytest.raises(AttributeError, match="nothing_of_that_name"):
        _ = whole.nothing_of_that_name


def test_a_package_that_is_imported_already_stays_as_it_is(package: str):
    whole = importlib.import_module(package)
    import_parts_only(package)
    assert sys.modules[package] is whole
    assert executed() == [PACKAGE, "dear"]


def test_a_module_is_executed_when_something_in_it_is_asked_for(package: str):
    import_parts_only(package)
    import_when_used(package, "cheap")
    cheap = sys.modules[package].cheap
    assert executed() == []
    assert cheap.thing == "cheap"
    assert executed() == ["cheap"]


def test_a_module_that_is_imported_already_stays_as_it_is(package: str):
    cheap = importlib.import_module(f"{package}.cheap")
    import_when_used(package, "cheap")
    assert sys.modules[f"{package}.cheap"] is cheap


def test_what_there_is_not_is_left_to_whoever_imports_it(package: str):
    import_parts_only("no_package_of_that_name")
    import_when_used(package, "nothing")
    assert "no_package_of_that_name" not in sys.modules
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(f"{package}.nothing")
