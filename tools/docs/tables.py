"""``docs/errors.md`` and the tables of exit statuses, routes, metrics, Redis's errors, import layers and modules."""

import ast
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app import app
from chalicelib.api import openapi
from chalicelib.errors import Problem
from chalicelib.jobs.job_types import JOB_TYPES
from chalicelib.settings import Settings
from lambda_router_queue.metrics import Metric
from lambda_router_queue.redis.errors import REACTIONS
from tools.docs.markdown import NOTICE, code, first_sentence, table
from tools.docs.queue import top_comment
from tools.stack.findings import Status
from tools.stack.repository import ROOT

_ERRORS_PAGE = """# Errors

{notice}

Every error is `application/problem+json` (RFC 9457): `type`, `title`, `status`, `instance` (the request id), often
`detail`, `errors` (a JSON pointer and a sentence for each field at fault), and `violated-policies` where a limit was
met. Programs should tell problems apart by `type`. The classes are in `chalicelib/errors.py`.

{table}
"""

#: What each means; unit and dimension stand in the code.
#: What was seen, and what the program did about it.
STATUSES: Mapping[Status, tuple[str, str]] = {
    Status.OK: ("all is as it should be", "what it was asked for"),
    Status.FAILED: (
        "nothing that is wrong, but not all could be looked at: a name does not resolve, nobody answers, something else"
        " answers, AWS denies or throttles, there is no token. Or it was refused or stopped",
        "nothing: callers stay where they are, and `make release` ends the share that it gave. If Terraform stopped"
        " half-way, callers are where they were before",
    ),
    Status.DIFFERS: (
        "something that is wrong",
        "nothing: `verify`, `drift`, `smoke` and `doctor` only look; `apply`, `release` and `canary` had no version to"
        " go back to, or AWS refused the way back, which they say",
    ),
    Status.TAKEN_BACK: (
        "something that is wrong, for a minute; an alarm; that Terraform stopped after it had moved callers; Ctrl-C or"
        " SIGTERM while `make release` shared requests",
        "callers are back at the version before",
    ),
}


def statuses() -> str:
    """Every exit status of a program that checks or releases.

    Raises:
        KeyError: a new status has no words yet; give it some in ``STATUSES``.
    """
    rows = [(code(str(int(status))), *STATUSES[status]) for status in Status]
    return table(("Status", "It saw", "It did"), rows)


def errors_page() -> str:
    rows = [
        (
            str(kind.status),
            f'<a id="{kind.slug()}"></a>{code(kind.slug())}',
            kind.title,
            first_sentence(kind.__doc__).removeprefix("Raised ").rstrip("."),
            code(kind.uri()),
        )
        for kind in Problem.kinds()
    ]
    errors = table(("Status", "Problem", "`title`", "Raised", "`type`"), rows)
    return _ERRORS_PAGE.format(notice=NOTICE, table=errors)


def routes() -> str:
    """Every operation of the OpenAPI document but HEAD, which is wherever GET is."""
    document = openapi.document(app.routes, JOB_TYPES, Settings.model_fields["router_scope"].default)
    rows = [
        _route(method, path, operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if method not in ("parameters", "head")
    ]
    return table(("Route", "Who", "What", "Answers"), rows)


def _route(method: str, path: str, operation: Mapping[str, Any]) -> tuple[str, str, str, str]:
    who = "token with the scope" if operation.get("security") else "anyone"
    return code(f"{method.upper()} {path}"), who, operation["summary"], " ".join(sorted(operation["responses"]))


def metrics() -> str:
    """Every metric."""
    rows = [
        (code(metric.value), metric.unit, code(metric.dimension) if metric.dimension else "", metric.meaning)
        for metric in Metric
    ]
    return table(("Metric", "Unit", "Dimensions", "Meaning"), rows)


def redis_errors() -> str:
    """Each error of Redis's that is known, and what follows."""
    rows = [(code(said), then.value, why) for said, (then, why) in REACTIONS.items()]
    return table(("Redis says", "Then", "For"), rows)


def layers() -> str:
    """The import layers of every package, from the highest down, as import-linter checks them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    pictures = []
    for contract in project["tool"]["importlinter"]["contracts"]:
        if contract["type"] == "layers":
            lines = "\n".join(layer.replace(" | ", "   ") for layer in contract["layers"])
            pictures.append(f"{code(contract['containers'][0])}:\n\n```text\n{lines}\n```")
    return "\n\n".join(pictures)


#: The folders of the module map; ``app.py`` is in it too.
_PROGRAM = ("chalicelib", "vendor/lambda_router_queue", "lambda_router_worker")
_OF_SCRIPTS = (
    "Scripts that run inside Redis. [The queue's page](queue.md#scripts) has their keys, arguments and replies."
)


class Undescribed(Exception):
    """A module has nothing to show in the module map; the message names the module."""


def modules(root: Path = ROOT) -> str:
    """The module map: for each folder, what it is for and a table of its modules.

    Raises:
        Undescribed: a module has no docstring, or a script no comment at its top.
    """
    folders = [folder for name in _PROGRAM for folder in (root / name, *sorted((root / name).rglob("*/")))]
    parts = ["### `app.py`", _summary(root, root / "app.py")]
    for folder in folders:
        name, init = folder.relative_to(root).as_posix(), folder / "__init__.py"
        files = [path for path in sorted(folder.iterdir()) if path.suffix in (".py", ".lua") and path != init]
        rows = [(f"[{code(path.name)}](../{name}/{path.name})", _summary(root, path)) for path in files]
        if rows:
            purpose = _summary(root, init) if init.exists() else _OF_SCRIPTS
            parts += [f"### {code(f'{name}/')}", purpose, table(("Module", "What it is"), rows)]
    return "\n\n".join(parts)


def _summary(root: Path, path: Path) -> str:
    """The first sentence of a module's docstring, or of the comment that a script begins with."""
    is_script = path.suffix == ".lua"
    text = top_comment(path) if is_script else ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    if not text:
        name, lacking = path.relative_to(root).as_posix(), "comment at its top" if is_script else "docstring"
        raise Undescribed(f"{name} has no {lacking}: its first sentence is its row in docs/architecture.md")
    return first_sentence(text.partition("\n\n")[0])
