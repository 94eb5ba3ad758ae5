"""tools/package/bytecode.py: packages lose the docstrings that nothing reads, and nothing else."""

import ast
from typing import Any

from tools.package.bytecode import without_docstrings


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
    module: dict[str, Any] = {}
    exec(compile(without_docstrings(ast.parse(source)), "any.py", "exec"), module)
    assert module.get("__doc__") is None
    assert module["f"]() is None
    assert (module["f"].__doc__, module["C"].__doc__, module["C"].g.__doc__) == (None, "The class.", None)
    assert module["C"]().g() == 1
