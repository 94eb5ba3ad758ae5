"""The tables of ``docs/queue.md``: keys from ``QueueKeys``, scripts from the comments that they begin with."""

import inspect
import itertools
from pathlib import Path

from chalicelib.queue_keys import QueueKeys
from tools.markdown import code, first_sentence, table

_ROOT = Path(__file__).parent.parent
FOLDERS = ("chalicelib/lua", "worker/lua")
#: Put in front of every other script; has no ``KEYS`` of its own.
SHARED = "record.lua"

_PLACEHOLDERS = {"priority": "<priority>", "job_id": "<id>", "owner": "<owner>", "key": "<key>"}


def keys() -> str:
    """Every key that ``QueueKeys`` names, with its docstring as type and content."""
    rows = [_key(name) for name, member in vars(QueueKeys).items() if inspect.isfunction(member) and _is_public(name)]
    return table(("Key", "Type", "Holds"), rows)


def _is_public(name: str) -> bool:
    return not name.startswith("_")


def _key(name: str) -> tuple[str, str, str]:
    build = getattr(QueueKeys("<queue>"), name)
    arguments = [_PLACEHOLDERS[parameter] for parameter in inspect.signature(build).parameters]
    kind, _, holds = first_sentence(build.__doc__).partition(": " if ":" in (build.__doc__ or "") else " of ")
    return code(build(*arguments)), kind.lower(), holds.removesuffix(".")


def scripts() -> str:
    """What each script does, takes and answers: the comment at its top."""
    return "\n\n".join(_script(path) for path in script_files())


def script_files() -> list[Path]:
    """Every script that is run, the router's first."""
    found = [path for folder in FOLDERS for path in sorted((_ROOT / folder).glob("*.lua"))]
    return [path for path in found if path.name != SHARED]


def top_comment(path: Path) -> str:
    """The comment that a script begins with, without its dashes."""
    lines = itertools.takewhile(lambda line: line.startswith("--"), path.read_text(encoding="utf-8").splitlines())
    return "\n".join(line.removeprefix("--").removeprefix(" ") for line in lines)


def _script(path: Path) -> str:
    name = path.relative_to(_ROOT).as_posix()
    return f"#### {code(name)}\n\n```text\n{top_comment(path)}\n```"
