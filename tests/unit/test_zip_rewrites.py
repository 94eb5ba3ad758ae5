"""tools.package.rewrites: a package's sources without what no function needs, and with all else."""

import ast
import importlib.util
from pathlib import Path
from typing import Any

import pytest

from tools.package.rewrites import REWRITES, rewritten
from tools.stack.refusal import Refusal


def source_of(name: str) -> str:
    spec = importlib.util.find_spec(name.removesuffix(".py").replace("/", "."))
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).read_text()


def run(name: str, tree: ast.Module) -> dict[str, Any]:
    """What a module of that source holds."""
    module = {"__name__": name.removesuffix(".py").replace("/", ".")}
    exec(compile(tree, name, "exec"), module)
    return module


def test_the_types_of_pydantics_core_lose_their_members_and_nothing_else():
    name = "pydantic_core/core_schema.py"
    before, after = run(name, ast.parse(source_of(name))), run(name, rewritten(name, ast.parse(source_of(name))))
    assert before.keys() - after.keys() == {"__doc__"}
    assert before["StringSchema"].__annotations__
    assert not after["StringSchema"].__annotations__
    assert not after["BeforeValidatorFunctionSchema"].__annotations__  # inherits from another
    assert after["CoreConfig"](title="t") == before["CoreConfig"](title="t") == {"title": "t"}
    assert after["str_schema"](max_length=3) == before["str_schema"](max_length=3)


def test_pydantic_finds_no_plugins():
    name = "pydantic/plugin/_loader.py"
    assert run(name, rewritten(name, ast.parse(source_of(name))))["get_plugins"]() == ()


@pytest.mark.parametrize("name", REWRITES)
def test_what_is_not_there_any_more_is_told(name: str):
    with pytest.raises(Refusal, match=rf"^{name} has no \w+ any more: remove it from tools/package/rewrites.py$"):
        rewritten(name, ast.parse("def other(): pass"))


def test_docstrings_of_functions_and_modules_go_and_those_of_classes_stay():
    source = """
"The module."
def f():
    "The function."
class C:
    "The class."
    def g(self):
        "The method."
        return 1
"""
    module = run("any.py", rewritten("any.py", ast.parse(source)))
    assert module.get("__doc__") is None
    assert module["f"]() is None
    assert (module["f"].__doc__, module["C"].__doc__, module["C"].g.__doc__) == (None, "The class.", None)
    assert module["C"]().g() == 1
