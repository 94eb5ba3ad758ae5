"""The repository as the contract tests read it."""

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]

#: Variables of the shell that runs the tests must not decide what a fresh process of the app sees.
OWN_VARIABLES = ("COGNITO_", "ROUTER_", "REDIS_URL", "AWS_", "WORKER_", "COV_", "COVERAGE_")


@cache
def files(*suffixes: str) -> tuple[Path, ...]:
    """What is tracked, or would be by ``git add .``; existing files only."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\0")
    found = [ROOT / name for name in listed if name and name.endswith(suffixes or "")]
    return tuple(path for path in sorted(set(found)) if path.is_file())


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def text_of(path: Path) -> str:
    """Its text; empty where it has none."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def pages() -> list[Path]:
    """Every Markdown page."""
    return list(files(".md"))


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def code_spans(text: str) -> list[str]:
    """What stands between single backticks, outside of fenced blocks."""
    return re.findall(r"(?<!`)`([^`\n]+)`(?!`)", without_fences(text))


def fences(text: str, *languages: str) -> list[str]:
    """The fenced blocks' contents; of those languages, where any are named."""
    found = re.findall(r"^```([^\n]*)\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    return [content for language, content in found if not languages or language in languages]


def without_fences(text: str) -> str:
    return re.sub(r"^```.*?^```[^\n]*$", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(text: str) -> set[str]:
    """What a link may point at: headings as GitHub spells them, and ``<a id>``."""
    headings = re.findall(r"^#+ (.+)$", without_fences(text), flags=re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r'<a id="([^"]+)">', text))


def table_column(text: str, heading: str, column: int = 0) -> list[str]:
    """The code spans in one column of the first table below a heading; of the whole text, where that is empty."""
    section = text.split(f"\n{heading}\n", 1)[1] if heading else text
    table = re.search(r"^\|.*\n\|[ -|]*\n((?:\|.*\n)*)", section, flags=re.MULTILINE)
    assert table is not None, f"no table below {heading!r}"
    cells = [row.split("|")[column + 1] for row in table[1].splitlines()]
    return [span for cell in cells for span in re.findall(r"`([^`]+)`", cell)]


def fresh_python(program: str, **variables: str) -> str:
    """What a new process of this Python prints when it runs the program in the repository's root."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(OWN_VARIABLES)}  # noqa: TID251
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=ROOT,
        env=environ | variables,
        check=False,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout
