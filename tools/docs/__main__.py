"""``python -m tools.docs``: write the documents that are generated from the code; ``--check`` only compares them.

Some files are generated as a whole, such as ``docs/settings.md``. In hand-written pages only the text between
``<!-- generated: name -->`` and ``<!-- end -->`` is. Configuration that lists settings is generated too.
"""

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import click

from tools.docs import cost, members, modules, permissions, queue, settings, stages, tables, terraform, workflows
from tools.stack.repository import ROOT

FILES: Mapping[str, Callable[[], str]] = {
    ".env.example": settings.env_example,
    "docs/errors.md": tables.errors_page,
    "docs/permissions.md": permissions.page,
    "docs/settings.md": settings.page,
    "terraform/settings.tf": terraform.settings_tf,
}
BLOCKS: Mapping[tuple[str, str], Callable[[], str]] = {
    ("docs/architecture.md", "modules"): tables.modules,
    ("docs/architecture.md", "layers"): tables.layers,
    ("docs/contract.md", "routes"): tables.routes,
    ("docs/cost.md", "jobs"): cost.a_million_jobs,
    ("docs/cost.md", "months"): cost.months,
    ("docs/cost.md", "requests"): cost.a_million_requests,
    ("docs/cost.md", "bytes"): cost.log_bytes,
    ("docs/cost.md", "fixed"): cost.fixed,
    ("docs/cost.md", "homes"): cost.homes,
    ("docs/cost.md", "series"): cost.series,
    ("docs/cost.md", "beside"): cost.beside,
    ("docs/cost.md", "prices"): cost.price_list,
    ("docs/deploy.md", "statuses"): tables.statuses,
    ("docs/openai.md", "routes"): tables.openai_routes,
    ("docs/openai.md", "response-members"): members.response_members,
    ("docs/openai.md", "completion-members"): members.completion_members,
    ("docs/monitoring.md", "prometheus"): tables.prometheus,
    ("docs/operations.md", "checks"): tables.checks,
    ("docs/operations.md", "metrics"): tables.metrics,
    ("docs/queue.md", "keys"): queue.keys,
    ("docs/queue.md", "scripts"): queue.scripts,
    ("docs/reliability.md", "redis-errors"): tables.redis_errors,
    ("vendor/lambda_router_queue/lua/record.lua", "topology"): queue.topology,
}
#: Patterns of files, and the functions that update their text but keep the parts written by hand.
REWRITTEN: Mapping[str, Callable[[str], str]] = {
    ".chalice/config.json": stages.filled_in,
    ".github/workflows/*.yml": workflows.with_settings,
}
#: Terraform modules, whose READMEs have tables of variables and outputs.
_MODULES = ("terraform", "terraform/bootstrap", "terraform/examples/*", "terraform/modules/*")
_VARIABLES = "variables.tf"
#: Pages that may omit their tables.
OPTIONAL = frozenset({"docs/queue.md"})


class BadMarkers(click.ClickException):
    """A page has no markers for a generated block, or has them twice; the message names the block."""


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit 1 and name what is stale.")
def main(check: bool) -> None:
    """Regenerate documents and configuration from the code."""
    changes = dict(stale(ROOT))
    for name, text in changes.items():
        if check:
            click.echo(f"stale: {name} differs from the code; fix: make docs", err=True)
        else:
            (ROOT / name).write_text(text, encoding="utf-8")
            click.echo(f"wrote {name}")
    sys.exit(1 if check and changes else 0)


def stale(root: Path) -> Iterator[tuple[str, str]]:
    """Yield each file that differs from the code, and the text it should have."""
    for name, text in wanted(root).items():
        if _read(root / name) != text:
            yield name, text


def wanted(root: Path) -> dict[str, str]:
    """Return the text of every file that is generated, wholly or in part."""
    texts = {name: generate() for name, generate in FILES.items()}
    for (name, block), generate in BLOCKS.items():
        text = texts.get(name) or _read(root / name)
        if name not in OPTIONAL or f"<!-- generated: {block} -->" in text:
            texts[name] = with_block(text, block, generate(), name)
    for pattern, rewrite in REWRITTEN.items():
        texts |= {_name(root, path): rewrite(_read(path)) for path in sorted(root.glob(pattern))}
    for folder in (path for pattern in _MODULES for path in sorted(root.glob(pattern)) if (path / _VARIABLES).exists()):
        files = [folder / name for name in (_VARIABLES, "settings.tf", "outputs.tf")]
        declared = [texts.get(_name(root, path)) or _read(path) for path in files if path.exists()]
        readme = folder / "README.md"
        texts[_name(root, readme)] = modules.with_tables(_read(readme), declared)
    return texts


def _name(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def with_block(page: str, block: str, content: str, name: str) -> str:
    """Return the page with that block's content replaced.

    Raises:
        BadMarkers: the page has no such block, or has it twice.
    """
    pattern = rf"(<!-- generated: {block} -->\n).*?((?:-- )?<!-- end -->)"
    replaced, count = re.subn(pattern, lambda match: f"{match[1]}{content}\n{match[2]}", page, flags=re.DOTALL)
    if count != 1:
        raise BadMarkers(
            f"{name} has {count} blocks '{block}', wanted one: put the lines '<!-- generated: {block} -->' and"
            " '<!-- end -->' where the table belongs, then run: make docs"
        )
    return replaced


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


if __name__ == "__main__":
    main()
