"""Rules that no linter knows."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.repository import ROOT, files, name_of, text_of
from tools.docs_queue import SHARED

MAX_LINES = 300
READS_THE_ENVIRONMENT = "chalicelib/wiring.py"
_SHIPPED = [path for path in files(".py") if name_of(path).startswith(("chalicelib/", "app.py"))]
_TESTS = [path for path in files(".py") if name_of(path).startswith("tests/")]


def _names(path: Path) -> Iterator[tuple[int, str]]:
    """Every dotted name and import in a file, with its line."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute | ast.Name):
            yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def _uses(paths: list[Path], pattern: str) -> list[str]:
    return [
        f"{name_of(path)}:{line} {name}" for path in paths for line, name in _names(path) if re.search(pattern, name)
    ]


def test_only_wiring_reads_the_environment() -> None:
    others = [path for path in _SHIPPED if name_of(path) != READS_THE_ENVIRONMENT]

    assert _uses(others, r"\bos\.(environ|getenv)\b") == []
    assert _uses([ROOT / READS_THE_ENVIRONMENT], r"\bos\.environ\b")


def test_what_ships_does_not_print() -> None:
    assert _uses([*_SHIPPED, *(path for path in files(".py") if name_of(path).startswith("worker/"))], r"^print$") == []


def test_no_test_patches() -> None:
    fix = "hand in a fake, with chalicelib.wiring.use or as an argument"

    assert _uses(_TESTS, r"\bmock\.|\bunittest\.mock|^mocker\b") == [], fix


def test_modules_are_short() -> None:
    lines = {path: len(path.read_text().splitlines()) for path in files(".py", ".lua") if path not in _TESTS}

    assert {name_of(path): count for path, count in lines.items() if count >= MAX_LINES} == {}


def test_no_file_names_a_place_on_somebodys_machine() -> None:
    place = re.compile(r"(?<![\w.$}>-])/(?:work|root|opt|tmp|home|Users)(?=/)")

    assert _lines_with(place) == []


def test_no_file_names_a_package_registry() -> None:
    # Whoever installs decides where packages come from: pip's and uv's settings.
    host = re.compile(r"pypi\.org|pythonhosted\.org|registry\.npmjs|test\.pypi|--(?:extra-)?index-url|--find[-]links")

    assert _lines_with(host) == []


def _lines_with(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{name_of(path)}:{number} {line.strip()[:80]}"
        for path in files()
        for number, line in enumerate(text_of(path).splitlines(), 1)
        if pattern.search(line)
    ]


@pytest.mark.parametrize("path", files(".lua"), ids=name_of)
def test_a_script_begins_with_its_keys_and_arguments(path: Path) -> None:
    source = path.read_text()
    comment = re.match(r"(?:--.*\n)*", source)
    assert comment is not None

    if path.name == SHARED:
        assert "KEYS[" not in source
        assert "ARGV[" not in source
    else:
        for word in ("KEYS", "ARGV", "Answers"):
            assert re.search(rf"^-- {word} ", comment[0], re.MULTILINE), f"its top comment lacks '-- {word} …'"


@pytest.mark.parametrize("path", [path for path in files(".lua") if path.name != SHARED], ids=name_of)
def test_a_script_uses_the_keys_and_arguments_that_its_comment_names(path: Path) -> None:
    source = path.read_text()
    comment, _, program = source.partition("\n\n")

    for kind in ("KEYS", "ARGV"):
        named = re.search(rf"^-- {kind}  (.*(?:\n--  .*)*)", comment, re.MULTILINE)
        assert named is not None
        used = {int(number) for number in re.findall(rf"{kind}\[(\d+)\]", program)}
        numbers = {int(number) for number in re.findall(r"(?<![\w-])(\d+)(?=[ .-])", named[1])}
        spans = [range(int(low), int(high) + 1) for low, high in re.findall(r"(\d+)-(\d+)", named[1])]
        known = numbers.union(*spans)
        assert used <= known, f"{kind}: the comment names {sorted(known)}, the script uses {sorted(used)}"
