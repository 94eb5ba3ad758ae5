"""``tools/verify/live.py``: what answers on the URL, and for how long it may answer otherwise."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.unit import peers
from tests.unit.peers import Said, healthy
from tests.unit.release.clock import Clock
from tools.stack.patience import Patience
from tools.verify.live import Site, health, readiness, refusal


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


def readied(api: Api, redis: dict[str, Any], status: int) -> dict[str, tuple[bool, bool]]:
    well = {"ok": True, "latency_ms": 1}
    api.answers = [Said(status, body=json.dumps({"redis": well | redis, "jwks": well}))]
    return {finding.thing: (finding.ok, finding.seen) for finding in readiness(Site(api.url, Clock().patience(30)))}


@pytest.mark.parametrize(
    ("redis", "status", "found"),
    [
        ({}, 200, (True, True)),
        ({"ok": False}, 503, (False, True)),
        ({"ok": False, "reason": "maxmemory-policy is allkeys-lru"}, 503, (False, True)),
        ({"ok": True, "reason": "maxmemory-policy is unknown"}, 200, (False, False)),
    ],
    ids=["well", "away", "evicts", "may not ask"],
)
def test_readiness_tells_of_each_dependency(
    api: Api, redis: dict[str, Any], status: int, found: tuple[bool, bool]
) -> None:
    assert readied(api, redis, status) == {"redis in GET /ready": found, "jwks in GET /ready": (True, True)}


@pytest.mark.parametrize(("ok", "status"), [(True, 200), (False, 503)])
def test_readiness_tells_of_further_clients_where_there_may_be_any(api: Api, ok: bool, status: int) -> None:
    well = {"ok": True, "latency_ms": 1}
    api.answers = [Said(status, body=json.dumps({"redis": well, "jwks": well, "clients": well | {"ok": ok}}))]

    found = {finding.thing: finding for finding in readiness(Site(api.url, Clock().patience(30)))}

    assert (found["clients in GET /ready"].ok, found["jwks in GET /ready"].ok) == (ok, True)
    assert ok or "cognito_aud_parameter" in found["clients in GET /ready"].fix


def test_a_policy_that_deletes_jobs_is_not_waited_out(api: Api) -> None:
    clock = Clock()
    evicts = {"ok": False, "latency_ms": 1, "reason": "maxmemory-policy is allkeys-lru"}
    api.answers = [Said(503, body=json.dumps({"redis": evicts, "jwks": {"ok": True, "latency_ms": 1}}))]

    found = next(readiness(Site(api.url, clock.patience(30))))

    assert (found.found, clock.now) == (evicts["reason"], 0)
    assert "CONFIG SET maxmemory-policy noeviction" in found.fix


@pytest.mark.parametrize("answer", [peers.BROKEN, Said(200, body="[]"), Said(200, body='{"redis": 1, "jwks": 2}')])
def test_what_is_no_readiness_is_shown(api: Api, answer: Said) -> None:
    api.answers = [answer]

    (found,) = readiness(Site(api.url, Patience(0)))

    assert (found.thing, found.ok) == ("GET /ready", False)
    assert found.found.startswith(str(answer.status))
