"""One rule for apply, release and canary: what was seen to be wrong for a minute is taken back, and nothing else."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext

import pytest

from tests.unit import peers
from tests.unit.peers import BROKEN, CLOSED_PORT, NO_NAME, PROXY_502, Said, well
from tests.unit.release.clock import Clock
from tests.unit.release.fake_function import FakeFunction
from tools.release.canary_probe import canary, go_back
from tools.release.live_alias import Traffic
from tools.release.proof import prove
from tools.release.verdict import Look, Verdict
from tools.stack.checks import each
from tools.stack.findings import Finding, Status
from tools.stack.patience import Patience
from tools.verify.live import Site, health, refusal

GOOD = Finding("GET /health", ok=True, found="200")
WRONG = Finding("GET /health", False, "500", "200", "the function cannot start", "make release")
UNSEEN = Finding("GET /health", ok=False, found="ConnectTimeout", seen=False)

LATER = Said(429, "application/problem+json")
KEPT_OUT = Said(403, "application/problem+json", '{"type": "about:blank"}')
PROXY_403 = Said(403, "text/html", "<h1>Request blocked</h1>", ours=False)
PORTAL = Said(200, "text/html", "<h1>Log in to this network</h1>", ours=False)
ELSEWHERE = Said(302, "text/html", "", ours=False)

type Judge = Callable[[Look, Clock], tuple[Status, list[str]]]
type Peer = Callable[[], AbstractContextManager[str]]


def look_at(url: str) -> Look:
    """What verify and the canary ask of the API itself."""

    def look() -> Iterator[Finding]:
        site = Site(url, Patience(0), timeout=0.3)
        return each({"GET /health": lambda: health(site, None, "7", "fix"), "401": lambda: refusal(site, "fix")})

    return look


def proved(look: Look, clock: Clock) -> tuple[Status, list[str]]:
    """As ``make apply`` and ``make release`` do it: status, and where callers were sent."""
    function = FakeFunction("2")
    return prove(function.live(), Traffic("1"), look, clock.patience()), function.sent


def probed(look: Look, clock: Clock) -> tuple[Status, list[str]]:
    """The same by ``make canary``."""
    function = FakeFunction("2")
    return canary(look, lambda: go_back(function.live()), clock.patience()), function.sent


both = pytest.mark.parametrize("judge", [proved, probed], ids=["apply and release", "canary"])


def answering(said: Said) -> Peer:
    return lambda: peers.api(lambda _: said)


@both
@pytest.mark.parametrize(
    "peer",
    [
        lambda: nullcontext(NO_NAME),
        lambda: nullcontext(CLOSED_PORT),
        lambda: nullcontext("no address at all"),
        peers.silent,
        peers.resetting,
        *map(answering, (PROXY_502, LATER, KEPT_OUT, PROXY_403, PORTAL, ELSEWHERE)),
    ],
    ids=["no name", "closed port", "no URL", "silent", "reset", "502", "429", "WAF", "403", "portal", "redirect"],
)
def test_what_could_not_look_changes_nothing_and_says_what_to_do(
    judge: Judge, peer: Peer, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()

    with peer() as url:
        assert judge(look_at(url), clock) == (Status.FAILED, [])

    said = capsys.readouterr().out
    assert clock.now == 60
    assert "UNSEEN GET /health: " in said
    assert said.count("      fix: ") == said.count("UNSEEN ") - said.count("the UNSEEN lines")
    assert "WRONG" not in said


@both
@pytest.mark.parametrize(
    "answer",
    [
        lambda _: BROKEN,
        lambda _: Said(504, "application/problem+json", ours=False),
        lambda path: peers.healthy(function_version="6") if path == "/health" else peers.REFUSED,
        lambda path: peers.healthy() if path == "/health" else Said(202),
        lambda path: well(path) if path == "/health" else PROXY_502 if path == "/other" else BROKEN,
    ],
    ids=["502", "504", "another version", "no token needed", "jobs only"],
)
def test_what_is_wrong_throughout_is_taken_back_after_a_minute(judge: Judge, answer: Callable[[str], Said]) -> None:
    clock = Clock()

    with peers.api(answer) as url:
        assert judge(look_at(url), clock) == (Status.TAKEN_BACK, ["version 1"])

    assert clock.now == 60


@both
@pytest.mark.parametrize("bad", [BROKEN, PROXY_502], ids=["wrong", "unseen"])
def test_what_is_bad_for_20_seconds_and_then_well_is_well(judge: Judge, bad: Said) -> None:
    clock = Clock()

    with peers.api(lambda path: bad if clock.now < 20 else well(path)) as url:
        assert judge(look_at(url), clock) == (Status.OK, [])

    assert clock.now == 20


@both
def test_what_is_wrong_counts_whatever_else_could_not_be_looked_at(judge: Judge) -> None:
    with peers.api(lambda path: BROKEN if path == "/health" else PROXY_502) as url:
        assert judge(look_at(url), Clock()) == (Status.TAKEN_BACK, ["version 1"])


@both
def test_the_minute_begins_when_something_is_first_seen_to_be_wrong(judge: Judge) -> None:
    clock = Clock()

    with peers.api(lambda path: PROXY_502 if clock.now < 50 else BROKEN) as url:
        assert judge(look_at(url), clock) == (Status.TAKEN_BACK, ["version 1"])

    assert clock.now == 110


@both
def test_what_was_wrong_and_then_out_of_reach_is_left_alone(judge: Judge) -> None:
    clock = Clock()

    with peers.api(lambda path: BROKEN if clock.now < 20 else PROXY_502) as url:
        assert judge(look_at(url), clock) == (Status.FAILED, [])

    assert clock.now == 80


def test_without_patience_there_is_one_look() -> None:
    looks: list[Finding] = []

    def look() -> Iterable[Finding]:
        looks.append(WRONG)
        return [WRONG]

    assert Verdict(look, Patience(0)).reach() is Status.DIFFERS
    assert len(looks) == 1


def test_a_later_look_prints_what_changed(capsys: pytest.CaptureFixture[str]) -> None:
    found = iter([[WRONG, UNSEEN], [WRONG, UNSEEN], [WRONG, GOOD], [GOOD, GOOD]])

    Verdict(lambda: next(found), Clock().patience()).reach()

    lines = [line for line in capsys.readouterr().out.splitlines() if not line.startswith(" ")]
    assert lines == [
        "WRONG GET /health: 500, wanted 200",
        "UNSEEN GET /health: ConnectTimeout",
        "repeating the checks for 60 s before this is final",
        "ok    GET /health: 200",
    ]
