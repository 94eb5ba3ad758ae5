"""``make audit``: the real pip-audit, asking a database of our own."""

import pytest

from tests.osv import database
from tests.servers import free_port
from tools.gates.advisories import PIP_AUDIT, found_by
from tools.stack.findings import Status, lines, status_of

pytestmark = pytest.mark.skipif(not PIP_AUDIT.exists(), reason="no pip-audit here: make audit-tools")

HOLE = {
    "id": "PYSEC-2099-1",
    "aliases": ["CVE-2099-1"],
    "summary": "Anybody may do anything.",
    "affected": [
        {
            "package": {"name": "pyjwt", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.0"}]}],
        }
    ],
}


def test_an_advisory_is_named_with_the_version_that_mends_it() -> None:
    with database({"pyjwt": HOLE}) as url:
        found = list(found_by(url))

    assert status_of(found) == Status.DIFFERS
    (finding,) = found
    assert finding.thing.startswith("pyjwt 2.")
    assert finding.found == "PYSEC-2099-1, CVE-2099-1, fixed in 99.0"
    assert "fix: make lock UPGRADE=1" in "\n".join(lines(finding))


def test_a_database_that_cannot_be_asked_is_no_clean_bill() -> None:
    url = f"http://127.0.0.1:{free_port()}/v1/query"

    (finding,) = found_by(url)

    assert status_of([finding]) == Status.FAILED
    assert finding.found.startswith(f"the query to {url} failed: ")
