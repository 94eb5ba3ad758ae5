"""Exit statuses: one table, in the program, its help and the page."""

import re

from lambda_router.errors import EXIT_STATUSES, KitError
from tests.client.conftest import Command
from tests.contract.repository import page


def test_help_and_page_have_the_programs_table(command: Command) -> None:
    rows = re.findall(
        r"^\| (\d+) \| (.+) \|$", page("docs/callers.md").partition("<!-- exit-statuses -->")[2], re.MULTILINE
    )
    assert {int(status): meaning for status, meaning in rows} == EXIT_STATUSES
    said = " ".join(command("--help").stdout.split())
    assert [status for status, meaning in EXIT_STATUSES.items() if f"{status} {meaning}" not in said] == []


def test_every_error_ends_with_a_status_of_the_table() -> None:
    def below(kind: type[KitError]) -> list[type[KitError]]:
        return [kind, *(deeper for each in kind.__subclasses__() for deeper in below(each))]

    assert {kind.exit_status for kind in below(KitError)} <= set(EXIT_STATUSES)
