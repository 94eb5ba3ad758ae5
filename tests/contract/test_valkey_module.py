"""What terraform/modules/valkey puts on its instance, without booting it: programs, users, the page about it."""

import re
import subprocess

import pytest

from tests.contract.repository import ROOT, files, name_of, page, table_column
from tests.contract.test_operations_page import documented_users

SHELLCHECK = ROOT / ".local/audit/bin/shellcheck"
MODULE = "terraform/modules/valkey"
PROGRAMS = f"{MODULE}/root/usr/local/lib/valkey-home"


def programs(interpreter: str) -> list[str]:
    """Files below the module that begin with that interpreter."""
    names = [name_of(path) for path in files() if name_of(path).startswith(f"{MODULE}/root/")]
    return [name for name in names if page(name).startswith(f"#!{interpreter}\n")]


def test_the_shell_programs_are_clean() -> None:
    """SC1091: the settings are written when the instance is made."""
    assert SHELLCHECK.exists(), f"no {SHELLCHECK.relative_to(ROOT)}; fix: make audit-tools"
    found = programs("/bin/sh")
    ran = subprocess.run(
        [SHELLCHECK, "--exclude=SC1091", *found], cwd=ROOT, check=False, capture_output=True, text=True
    )

    assert len(found) >= 7
    assert (ran.returncode, ran.stdout) == (0, "")


@pytest.mark.parametrize("user", ["router", "worker"])
def test_a_user_may_what_the_page_allows_it(user: str) -> None:
    allowed = page(f"{PROGRAMS}/{user}.acl").split()

    assert len(allowed) == len(set(allowed))
    assert set(allowed) == {rule for rule in documented_users()[user] if rule.startswith("+")}


def test_what_is_reported_is_what_alarms_watch() -> None:
    reported = set(re.findall(r'^        \("(\w+)", "\w+", \w+\),$', page(f"{PROGRAMS}/report"), re.MULTILINE))
    watched = set(re.findall(r'^      metric +=  ?"(\w+)"', page(f"{MODULE}/alarms.tf"), re.MULTILINE))

    assert reported == watched
    assert len(reported) == 3


def test_every_alarm_has_its_row_on_the_page() -> None:
    alarms = page(f"{MODULE}/alarms.tf")
    measured = re.findall(r"^    (\w+) = \{$", alarms, re.MULTILINE)
    machine = re.findall(r"^    (\w+) += \{ metric", alarms, re.MULTILINE)

    assert len(machine) == 2
    assert sorted(table_column(page("docs/valkey.md"), "## Alarms")) == sorted([*measured, *machine])


def test_only_the_settings_differ_between_instances() -> None:
    """All other files go there as they are, so that they can be read and checked here."""
    template = re.compile(r"\$\{(?:var|local|data)\.|%\{")

    assert [name for name in programs("/bin/sh") if template.search(page(name))] == []
    assert page(f"{MODULE}/main.tf").count("templatefile(") == 0
