"""What of Chalice's package is shipped: the app, what it can import, and nothing else.

Chalice packs whole wheels: type stubs, licences, command line programs, test cases, plugins for mypy, a Swagger UI.
None is read by a running function, and all of it is fetched and unpacked at a cold start.
"""

from pathlib import Path

from tools.package.bytecode import OURS
from tools.package.imports import modules_in, reachable
from tools.stack.refusal import Refusal

#: What is named by code that this function never runs, with the reason why it never does.
NEVER_RUN = {
    "aws_lambda_powertools.event_handler": "its router; ours is Chalice's",
    "pydantic.mypy": "a plugin for the type checker",
    "pydantic.v1": "pydantic 1's models, asked for only where somebody hands one in",
}
#: Distributions whose METADATA is read in Lambda, and by whom.
METADATA_READ = {"redis": "redis.utils.get_lib_version, which tells the server who is connected"}


def shipped(folder: Path) -> list[str]:
    """Names, relative to the folder and sorted, of the files of an unpacked package that are shipped.

    Raises:
        Refusal: the package has no app, or a listed exception is not there any more.
    """
    modules = modules_in(folder)
    own = [path for name in OURS for path in (folder / name, *(folder / name).glob("**/*")) if _is_ours(path)]
    if not {"app", "chalicelib"} <= modules.keys():
        raise Refusal("the package holds no app.py and chalicelib/: git add them, then make package again")
    kept = _without_never_run(modules, [name for name in modules if modules[name] in own])
    metadata = [path for name in METADATA_READ for path in folder.glob(f"{name}-*.dist-info/METADATA")]
    return sorted({path.relative_to(folder).as_posix() for path in (*own, *kept, *metadata)})


def _is_ours(path: Path) -> bool:
    return path.is_file() and "__pycache__" not in path.parts


def _without_never_run(modules: dict[str, Path], roots: list[str]) -> list[Path]:
    stale = NEVER_RUN.keys() - modules.keys()
    if stale:
        raise Refusal(f"{min(stale)} is not in the package any more: remove it from tools/package/contents.py")
    left = {name: path for name, path in modules.items() if not _is_never_run(name)}
    return [left[name] for name in reachable(left, roots)]


def _is_never_run(name: str) -> bool:
    return any(name == known or name.startswith(f"{known}.") for known in NEVER_RUN)
