"""Which modules of an unpacked deployment package can be imported at run time.

An over-estimate, on purpose: a module counts as imported when reachable code names it in an import statement, wherever
that stands, or in a string (packages with lazy attributes keep module names in tables), or when a reachable native
library holds its name (cryptography's Rust imports Python modules by name). Imports for type checkers only do not
count. ``tests/deploy/test_package_contents.py`` runs the whole package and finds every file that it opened among these.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

_NATIVE_SUFFIX = ".so"
_MODULE_NAME = re.compile(r"\.{0,2}[A-Za-z_]\w*(\.\w+)*")
#: What a native library's text may hold module names in; its strings are not separated.
_NATIVE_TEXT = re.compile(rb"[\w.]{6,}")


def modules_in(folder: Path) -> dict[str, Path]:
    """Every module below the folder by its dotted name."""
    return {_dotted(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if _is_module(path)}


def reachable(modules: dict[str, Path], roots: Iterable[str]) -> set[str]:
    """The names of the modules that the roots can import, the roots and all parent packages included."""
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name not in modules or name in found:
            continue
        found.add(name)
        waiting.extend(_parents(name))
        waiting.extend(_named_by(name, modules))
    return found


def _is_module(path: Path) -> bool:
    return path.suffix in {".py", _NATIVE_SUFFIX} and path.is_file() and path.stem.split(".")[0].isidentifier()


def _dotted(path: Path) -> str:
    parts = [*path.parts[:-1], path.name.split(".")[0]]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _parents(name: str) -> Iterator[str]:
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


def _named_by(name: str, modules: dict[str, Path]) -> Iterable[str]:
    path = modules[name]
    if path.suffix == _NATIVE_SUFFIX:
        return _named_by_native(path.read_bytes(), modules)
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    return set(_named_by_source(ast.parse(path.read_bytes()), package))


def _named_by_native(library: bytes, modules: dict[str, Path]) -> set[str]:
    """Dotted names, and private ones such as ``_cffi_backend``; a plain word would be found by accident."""
    text = b" ".join(_NATIVE_TEXT.findall(library)).decode()
    return {name for name in modules if ("." in name or name.startswith("_")) and name in text}


def _named_by_source(node: ast.AST, package: str) -> Iterator[str]:
    for child in ast.iter_child_nodes(_without_types(node)):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            base = _absolute("." * child.level + (child.module or ""), package)
            yield base
            yield from (f"{base}.{alias.name}" for alias in child.names)
        elif isinstance(child, ast.Constant) and isinstance(child.value, str):
            yield from _named_by_string(child.value, package)
        else:
            yield from _named_by_source(child, package)


def _without_types(node: ast.AST) -> ast.AST:
    """An ``if TYPE_CHECKING`` without its body."""
    if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        return ast.Module(body=node.orelse, type_ignores=[])
    return node


def _named_by_string(text: str, package: str) -> Iterator[str]:
    """``"pydantic.main"``, and beside the package's own name ``".main"`` and ``"main"``."""
    if _MODULE_NAME.fullmatch(text):
        if not text.startswith("."):
            yield text
            yield f"{package}.{text}"
        else:
            yield _absolute(text, package)


def _absolute(name: str, package: str) -> str:
    """``from ..a import b`` inside ``x.y`` is ``x.a``."""
    level = len(name) - len(name.lstrip("."))
    if level == 0:
        return name
    parts = package.split(".")
    parents = parts[: len(parts) - level + 1]
    return ".".join([*parents, *filter(None, [name[level:]])])
