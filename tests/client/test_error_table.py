"""The table of errors in docs/callers.md: whoever searches the page for a message finds it."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.contract.repository import files, name_of, page

TABLE = page("docs/callers.md").partition("| Text | Reason | Fix |")
TEXTS = re.findall(r"^\| `([^`]+)`", TABLE[2], re.MULTILINE)


def messages() -> Iterator[str]:
    """Every text of the kit, with … for what is put in; Python joins what stands in several lines."""
    for path in files(".py"):
        if name_of(path).startswith("client/lambda_router/"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.JoinedStr):
                    yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value


def test_the_table_has_rows() -> None:
    assert len(TEXTS) > 10


@pytest.mark.parametrize("text", TEXTS)
def test_each_text_of_the_page_is_one_that_the_kit_prints(text: str) -> None:
    wanted = re.compile(".*".join(re.escape(part.strip()) for part in text.split("…")), re.DOTALL)
    assert any(wanted.search(each) for each in messages())
