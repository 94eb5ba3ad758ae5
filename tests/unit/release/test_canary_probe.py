"""``tools/release/canary_probe.py``: what it says, and that it leaves the newest version only."""

import pytest

from tests.unit import peers
from tests.unit.release.clock import Clock
from tests.unit.release.fake_function import FakeFunction
from tools.release.canary_probe import canary, go_back, probe
from tools.stack.findings import Finding, Status

BAD = Finding("GET /health", False, "500", "200", "the function cannot start", "make rollback")


def _wrong(function: FakeFunction) -> Status:
    return canary(lambda: [BAD], lambda: go_back(function.live()), Clock().patience())


def test_it_says_what_it_saw_and_what_it_did(capsys: pytest.CaptureFixture[str]) -> None:
    assert _wrong(FakeFunction("2")) is Status.TAKEN_BACK

    said = capsys.readouterr().out
    assert said.startswith("WRONG GET /health: 500, wanted 200\n")
    assert "canary: wrong for 60 s. alias live: from version 2 to version 1" in said


@pytest.mark.parametrize(("version", "published"), [("1", 2), ("1", 1)], ids=["older already", "the only one"])
def test_a_fault_that_no_older_version_mends_is_wrong_and_left(version: str, published: int) -> None:
    function = FakeFunction(version, published)

    assert _wrong(function) is Status.DIFFERS
    assert function.sent == []


def test_a_token_that_cannot_be_had_hides_no_fault_of_the_api(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOKEN", raising=False)
    monkeypatch.setenv("COGNITO_CLIENT_ID", "client")
    monkeypatch.setenv("COGNITO_CLIENT_SECRET", "a-secret")
    monkeypatch.setenv("COGNITO_TOKEN_URL", f"{peers.NO_NAME}/oauth2/token")

    with peers.api(lambda _: peers.BROKEN) as url:
        found = list(probe(url, with_job=True))

    assert [(each.thing, each.seen) for each in found] == [
        ("GET /health", True),
        ("POST /v1/jobs without a token", True),
        ("a job", False),
    ]
