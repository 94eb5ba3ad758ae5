"""docs/runbook.md: every alarm and every known fault has its entry, with commands, and tests that are there."""

import re

import pytest

from tests.contract.repository import ROOT, anchors, code_spans, page

PAGE = page("docs/runbook.md")
PROGRAMS = ("make ", "aws ", "python -m ", "lambda-router-worker ", "valkey-cli ", "terraform ", "gh ", "curl ")
#: What went wrong elsewhere, as our user reported it.
REPORTED = (
    "Stale code",
    "AccessDenied",
    "Audience mismatch",
    "Missing variable",
    "Stale SSM URL",
    "Routes overridden",
    "/ping",
    "Cold starts",
)


def entries(section: str) -> dict[str, str]:
    """The text below each heading of the third level."""
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    return dict(re.findall(r"^### ([^\n]+)\n(.*?)(?=^### |\Z)", text, flags=re.MULTILINE | re.DOTALL))


def alarms() -> list[str]:
    """What comes after the stack's name in the alarms' own."""
    text = page("terraform/alarms.tf")
    made_by_name = re.findall(r'alarm_name += "\$\{local.name\}-([a-z0-9-]+)"', text)
    return re.findall(r"^    ([a-z0-9-]+) = \{$", text, flags=re.MULTILINE) + made_by_name


def test_every_alarm_has_its_entry_and_there_are_no_others() -> None:
    assert sorted(entries("Alarms")) == sorted(alarms())


def test_what_an_alarm_says_leads_to_its_entry() -> None:
    text = page("terraform/alarms.tf")

    assert set(alarms()) <= anchors(PAGE)
    assert "docs/runbook.md#${each.key}" in text
    assert text.count('resource "aws_cloudwatch_metric_alarm"') == text.count("docs/runbook.md#")


def test_every_fault_that_was_reported_has_its_entry() -> None:
    assert set(REPORTED) <= set(entries("Symptoms"))


@pytest.mark.parametrize("entry", entries("Alarms") | entries("Symptoms"))
def test_an_entry_has_a_command_to_look_and_one_to_mend(entry: str) -> None:
    text = (entries("Alarms") | entries("Symptoms"))[entry]
    for part in ("Look", "Mend"):
        found = re.search(rf"^- {part}:\s(.*?)(?=^- |\Z)", text, flags=re.MULTILINE | re.DOTALL)
        assert found is not None
        assert any(span.startswith(PROGRAMS) for span in code_spans(found[1].replace("\n", " "))), found[1]


@pytest.mark.parametrize("entry", entries("Symptoms"))
def test_a_symptom_names_the_tests_that_do_it_to_a_stack(entry: str) -> None:
    shown = entries("Symptoms")[entry].partition("- Shown by:")[2]
    file, missing = "", []
    named = re.findall(r"(tests/[\w/]+\.py)?::(test_\w+)", shown)
    for path, name in named:
        file = path or file
        if f"def {name}(" not in (ROOT / file).read_text():
            missing.append(f"{file}::{name}")

    assert named
    assert missing == []
