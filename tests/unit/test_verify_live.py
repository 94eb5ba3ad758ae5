"""``tools/verify_live.py``: what answers on the URL, and for how long it may answer otherwise."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
import pytest

from tests.unit import peers
from tests.unit.clock import Clock
from tests.unit.peers import Said, healthy
from tools.patience import Patience
from tools.verify_live import Site, health, refusal


@dataclass
class Api:
    """Answers each request with the next of these, the last one for ever."""

    answers: list[Said] = field(default_factory=list)
    url: str = ""

    def next(self, _path: str) -> Said:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api()
    with peers.api(api.next) as api.url:
        yield api


def looked(api: Api, patience: Patience | None = None) -> dict[str, tuple[str, bool]]:
    found = health(Site(api.url, patience or Patience(0)), "1.2.3+gabc", "7", "make apply")
    return {finding.thing: (finding.found, finding.ok) for finding in found}


def test_this_build_on_this_version_is_well(api: Api) -> None:
    api.answers = [healthy()]

    assert looked(api) == {
        "GET /health": ("200", True),
        "version in GET /health": ("1.2.3+gabc", True),
        "function_version in GET /health": ("7", True),
    }


def test_another_build_and_another_version_are_found(api: Api) -> None:
    api.answers = [healthy(version="1.2.2", function_version="6")]

    assert looked(api) == {
        "GET /health": ("200", True),
        "version in GET /health": ("1.2.2", False),
        "function_version in GET /health": ("6", False),
    }


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (peers.BROKEN, '502 {"message": "Internal server error"}'),
        (Said(404, "text/html", "<h1>no</h1>"), "404 <h1>no</h1>"),
        (Said(200, "text/html", "<h1>ok</h1>"), "200 <h1>ok</h1>"),
        (Said(200, body="[]"), "200 []"),
        (Said(200, body="no json"), "200 no json"),
    ],
)
def test_what_is_no_health_is_shown(api: Api, answer: Said, found: str) -> None:
    api.answers = [answer]

    assert looked(api) == {"GET /health": (found, False)}


def test_an_old_answer_is_waited_out(api: Api) -> None:
    api.answers = [healthy(function_version="6"), healthy()]

    assert looked(api, Clock().patience(30))["function_version in GET /health"] == ("7", True)


@pytest.mark.parametrize(
    ("answer", "found", "ok"),
    [
        (Said(401, "application/problem+json"), "401 application/problem+json", True),
        (Said(401, "application/json"), "401 application/json", False),
        (Said(202, "application/json"), "202 application/json", False),
    ],
)
def test_only_401_as_a_problem_is_a_refusal(api: Api, answer: Said, found: str, ok: bool) -> None:
    api.answers = [answer]

    (finding,) = refusal(Site(api.url, Patience(0)), "make apply")

    assert (finding.found, finding.ok) == (found, ok)


@pytest.mark.parametrize("url", [peers.CLOSED_PORT, peers.NO_NAME])
def test_silence_is_an_error_and_no_answer_once_patience_is_over(url: str) -> None:
    clock = Clock()
    site = Site(url, clock.patience(30))

    for _ in range(2):
        with pytest.raises(httpx.ConnectError):
            list(health(site, None, None, ""))
    assert clock.now == 30
