"""``docs/errors.md`` and the tables of exit statuses, routes, metrics, Redis's errors, import layers and modules."""

import ast
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from app import app
from chalicelib.api import openapi
from chalicelib.api.responses import OPENAI_PATHS
from chalicelib.errors import Problem
from chalicelib.jobs.job_types import JOB_TYPES
from chalicelib.settings import Settings
from lambda_router_queue.metrics import Metric
from lambda_router_queue.redis.errors import REACTIONS
from lambda_router_worker.checking.checks import EVERY
from lambda_router_worker.prometheus.families import Family
from tools.docs.markdown import NOTICE, code, first_sentence, table
from tools.docs.queue import top_comment
from tools.stack.findings import Status
from tools.stack.repository import ROOT

_ERRORS_PAGE = """# Errors

{notice}

Every error is `application/problem+json` (RFC 9457): `type`, `title`, `status`, `instance` (the request id), often
`detail`, `errors` (a JSON pointer and a sentence for each invalid field), and `violated-policies` if a limit was
reached. Programs should distinguish problems by `type`. The classes are in `chalicelib/errors.py`. On the routes of the
[OpenAI API](openai.md#errors) the same members are in `application/json`, beside OpenAI's `error`.

{table}
"""

#: What the program found, and what it did.
STATUSES: Mapping[Status, tuple[str, str]] = {
    Status.OK: ("no fault", "the requested action"),
    Status.FAILED: (
        "no fault, but it could not check everything: a name does not resolve, a host does not respond, the response is"
        " not the API's, AWS denies or throttles a call, or there is no token. Or it refused to run, or Terraform"
        " failed before it had moved callers. Or it was stopped, whether it had seen a fault or not, except as in"
        " status `4`",
        "no rollback: callers stay on the version that they use at that moment. There are two exceptions. If it was"
        " stopped after it had seen a fault, it rolled back. If `make release` could not read the alarms, it took the"
        " new version's share away again",
    ),
    Status.DIFFERS: (
        "a fault",
        "nothing: `verify`, `drift`, `smoke` and `doctor` only check. `apply`, `release` and `canary` had no version to"
        " go back to, `canary` found callers on an older version already, or AWS refused the rollback; their output"
        " says which",
    ),
    Status.TAKEN_BACK: (
        "a fault that lasted a minute, or an alarm. Or Terraform failed after it had moved callers. Or Ctrl-C or"
        " SIGTERM stopped `make release` while the new version had a share of the requests",
        "it moved callers back to the version before",
    ),
}


def statuses() -> str:
    """Return every exit status of a program that checks or releases.

    Raises:
        KeyError: a new status has no description yet; add it to ``STATUSES``.
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
    """Return every operation but those of the OpenAI API."""
    rows = [(name, _who(operation), *_route(operation)) for name, operation in _operations(of_openai=False)]
    return table(("Route", "Who", "What", "Statuses"), rows)


def openai_routes() -> str:
    """Return every operation of the OpenAI API. All of them need a token."""
    rows = [(name, *_route(operation)) for name, operation in _operations(of_openai=True)]
    return table(("Route", "What", "Statuses"), rows)


def _operations(*, of_openai: bool) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the operations of the OpenAPI document, with their names, except HEAD, which each GET has too."""
    document = openapi.document(app.routes, JOB_TYPES, Settings.model_fields["router_scope"].default)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method not in ("parameters", "head") and path.startswith(OPENAI_PATHS) == of_openai:
                yield code(f"{method.upper()} {path}"), operation


def _who(operation: Mapping[str, Any]) -> str:
    return "token with the scope" if operation.get("security") else "anyone"


def _route(operation: Mapping[str, Any]) -> tuple[str, str]:
    return operation["summary"], " ".join(sorted(operation["responses"]))


def metrics() -> str:
    """Return every metric."""
    rows = [
        (code(metric.value), metric.unit, code(metric.dimension) if metric.dimension else "", metric.meaning)
        for metric in Metric
    ]
    return table(("Metric", "Unit", "Dimensions", "Meaning"), rows)


def prometheus() -> str:
    """Return every metric of a worker's `/metrics`."""
    rows = []
    for family in Family:
        buckets = f" Buckets: {', '.join(f'{bound:g}' for bound in family.buckets)} s." if family.buckets else ""
        of = "queue" if family.is_of_queue else "worker"
        labels = ", ".join(map(code, family.labels))
        rows.append((code(family.value), family.kind, labels, of, family.meaning + buckets))
    return table(("Metric", "Type", "Labels", "Of", "Meaning"), rows)


def checks() -> str:
    """Return the checks of ``lambda-router-worker check`` in their order."""
    rows = [(check.thing, check.wants, check.after or "", f"{check.seconds:g} s") for check in EVERY]
    return table(("Check", "`ok` if", "Needs", "Takes at most"), rows)


def redis_errors() -> str:
    """Return each known Redis error, the reaction to it and the reason."""
    rows = [(code(error), reaction.value, reason) for error, (reaction, reason) in REACTIONS.items()]
    return table(("Redis error", "Reaction", "Reason"), rows)


def layers() -> str:
    """Return the import layers of every package, from the highest down, as import-linter checks them."""
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
    """A module has no description for the module map; the message names the module."""


def modules(root: Path = ROOT) -> str:
    """Return the module map: for each folder, its purpose and a table of its modules.

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
    """Return the first sentence of a module's docstring, or of the comment at the top of a script."""
    is_script = path.suffix == ".lua"
    text = top_comment(path) if is_script else ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    if not text:
        name, missing = path.relative_to(root).as_posix(), "comment at its top" if is_script else "docstring"
        raise Undescribed(f"{name} has no {missing}: its first sentence is its row in docs/architecture.md")
    return first_sentence(text.partition("\n\n")[0])
