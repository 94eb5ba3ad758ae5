"""What is taken out of a package's sources before they are compiled: work of every cold start, for nothing.

Each is left as it is in a checkout, so the tests of the package itself (``tests/deploy``) are what proves these.
"""

import ast
from collections.abc import Callable, Iterator, Mapping

from tools.stack.refusal import Refusal

#: All that pydantic asks of the module that looks for its plugins.
_NO_PLUGINS = "def get_plugins():\n    return ()\n"


def rewritten(name: str, tree: ast.Module) -> ast.Module:
    """The source of a package's file, by its name within the package as shipped.

    Raises:
        Refusal: what should be taken out is not there any more.
    """
    rewrite = REWRITES.get(name)
    return _without_docstrings(tree if rewrite is None else rewrite(tree))


def _without_docstrings(tree: ast.Module) -> ast.Module:
    """Docstrings of classes stay: ``dataclasses`` computes a signature for each class that has none."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(node, False):
            _take_out(node, node.body[0])
    return tree


def _without_members_of_typed_dicts(tree: ast.Module) -> ast.Module:
    """80 classes that only a type checker reads; ``typing`` compiles each of their 603 annotations, which takes 15 ms.

    They still make dicts, and are classes that an annotation may name.
    """
    members = [(node, member) for node in _typed_dicts(tree) for member in node.body if _is_member(member)]
    if not members:
        raise Refusal(
            "pydantic_core/core_schema.py has no TypedDict any more: remove it from tools/package/rewrites.py"
        )
    for node, member in members:
        _take_out(node, member)
    return tree


def _without_plugins(tree: ast.Module) -> ast.Module:
    """It reads the metadata of all distributions, with a parser of e-mail, to find plugins; the package has none."""
    if not any(isinstance(node, ast.FunctionDef) and node.name == "get_plugins" for node in tree.body):
        raise Refusal(
            "pydantic/plugin/_loader.py has no get_plugins any more: remove it from tools/package/rewrites.py"
        )
    return ast.parse(_NO_PLUGINS)


REWRITES: Mapping[str, Callable[[ast.Module], ast.Module]] = {
    "pydantic/plugin/_loader.py": _without_plugins,
    "pydantic_core/core_schema.py": _without_members_of_typed_dicts,
}


def _typed_dicts(tree: ast.Module) -> Iterator[ast.ClassDef]:
    """Those, and those that inherit from one."""
    known = {"TypedDict"}
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and known & {ast.unparse(base) for base in node.bases}:
            known.add(node.name)
            yield node


def _is_member(node: ast.stmt) -> bool:
    return isinstance(node, ast.AnnAssign) and node.value is None


def _take_out(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, part: ast.stmt) -> None:
    node.body.remove(part)
    if not node.body:
        node.body.append(ast.copy_location(ast.Pass(), part))
