"""``python -m tools.deploy.plan_summary``: the saved plan as Markdown, for its approver."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from tools.deploy.saved_plan import PLAN
from tools.stack.options import said_plainly, stack_folder
from tools.stack.repository import SUMS
from tools.stack.terraform import Terraform, program

#: GitHub accepts 1 MiB per step (docs.github.com, "Workflow commands", step isolation and limits).
MOST_CHARACTERS = 200_000
NONE = f"""### No plan

There is no `terraform/{PLAN}`. A pull request from a fork gets no role in AWS, and neither does a repository without
the variable `PLAN_ROLE_ARN` (docs/github-actions.md).
"""
_WORDS: Mapping[tuple[str, ...], str] = {
    ("create",): "create",
    ("update",): "change",
    ("delete",): "destroy",
    ("delete", "create"): "replace",
    ("create", "delete"): "replace",
}


@click.command()
@stack_folder
def main(folder: Path) -> None:
    """Write the summary to the page of the GitHub Actions run, or to standard output elsewhere."""
    with said_plainly("summary"):
        text = summary(Terraform(folder))
    if page := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(page).open("a", encoding="utf-8") as file:
            file.write(text)
    else:
        click.echo(text, nl=False)


def summary(terraform: Terraform) -> str:
    """Return a table of the plan's changes, followed by the whole plan.

    Raises:
        TerraformFailed: the file is not a plan of this folder.
    """
    if not (terraform.folder / PLAN).is_file():
        return NONE
    parts = list(_table(terraform.shown(Path(PLAN))))
    sums, text = terraform.folder / SUMS, terraform.read(Path(PLAN))
    parts.append(f"\nThe zip's sha256 is `{sums.read_text().split()[0]}`.\n" if sums.is_file() else "")
    parts.append(f"<details><summary>The whole plan</summary>\n\n````text\n{text[:MOST_CHARACTERS]}\n````\n")
    if len(text) > MOST_CHARACTERS:
        shown = f"The first {MOST_CHARACTERS:,} of {len(text):,} characters"
        parts.append(f"\n{shown}. `{program()} show {PLAN}` prints them all.\n")
    return "\n".join([*parts, "</details>\n"])


def _table(plan: dict[str, Any]) -> Iterator[str]:
    """Yield the counts as a heading, then a row for each resource that would change."""
    changes = [
        (word, change["address"])
        for change in plan.get("resource_changes", [])
        if (word := _WORDS.get(tuple(change["change"]["actions"])))
    ]
    counts = Counter(word for word, _ in changes)
    yield "### Plan: " + (", ".join(f"{count} to {word}" for word, count in sorted(counts.items())) or "no changes")
    if changes:
        yield "\n| Will | Resource |\n| --- | --- |"
        yield from (f"| {word} | `{address}` |" for word, address in changes)


if __name__ == "__main__":
    main()
