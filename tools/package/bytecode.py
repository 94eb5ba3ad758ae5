"""Bytecode, so that a cold start does not compile anything.

Lambda's disk is read-only, so Python could not keep what it compiles. Importing this app takes two to three times as
long without bytecode. Bytecode that is checked by the source's time is useless in a zip with fixed times, so this uses
``unchecked-hash`` (PEP 552), which is accepted as it is.

Of packages only the bytecode is shipped. It omits what only readers need: the sources, the docstrings of modules and
functions, and the columns that tracebacks underline. Tracebacks still name files and lines. Docstrings of classes stay,
since ``dataclasses`` computes a signature for each class that has none. Assertions stay too.
"""

import ast
import marshal
import subprocess
import sys
from importlib.util import MAGIC_NUMBER, cache_from_source, source_hash
from pathlib import Path

from tools.stack.refusal import Refusal
from tools.stack.repository import ROOT

#: Where Lambda unpacks the zip, as in tracebacks.
TASK_FOLDER = "/var/task"
#: Our own modules, whose sources are shipped so that tracebacks show them.
OURS = ("app.py", "chalicelib", "lambda_router_queue")
#: PEP 552: the file is identified by the source's hash, which is not checked.
_UNCHECKED_HASH = (0b01).to_bytes(4, "little")


def compile_all(folder: Path, runtime: str) -> None:
    """Compile the files below the folder, for a Lambda runtime such as ``python3.13``.

    The bytes depend on the order of sets and on which strings are shared. So one fresh process with a fixed hash seed
    compiles everything in sorted order.

    Raises:
        Refusal: this Python is not the runtime's, or a source does not compile.
    """
    ours = f"python{sys.version_info.major}.{sys.version_info.minor}"
    if runtime != ours:
        raise Refusal(
            f"the function's runtime is {runtime} but this is {ours}, whose bytecode it cannot read: use {runtime}"
        )
    ran = subprocess.run(
        [sys.executable, "-S", "-X", "no_debug_ranges", "-m", "tools.package.bytecode", str(folder)],
        env={"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    if ran.returncode != 0:
        raise Refusal(
            f"a source does not compile, see below: fix it, or choose another version of its package\n{ran.stderr}"
        )


def without_docstrings(tree: ast.Module) -> ast.Module:
    """Return the code without docstrings of modules and functions; those of classes stay, see above."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(node, False):
            node.body[:1] = [] if node.body[1:] else [ast.copy_location(ast.Pass(), node.body[0])]
    return tree


def _compile(folder: Path, path: Path) -> None:
    """Write the bytecode of one source: beside it if it is ours, otherwise in its place."""
    name = path.relative_to(folder)
    source = path.read_bytes()
    tree = ast.parse(source, str(name))
    is_ours = name.parts[0] in OURS
    code = compile(tree if is_ours else without_docstrings(tree), f"{TASK_FOLDER}/{name.as_posix()}", "exec")
    target = Path(cache_from_source(str(path))) if is_ours else path.with_suffix(".pyc")
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(MAGIC_NUMBER + _UNCHECKED_HASH + source_hash(source) + marshal.dumps(code))
    if not is_ours:
        path.unlink()


if __name__ == "__main__":
    for each in sorted(Path(sys.argv[1]).rglob("*.py")):
        _compile(Path(sys.argv[1]), each)
