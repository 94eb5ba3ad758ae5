"""What Redis itself may get wrong: each is one line, told apart from the others, with its fix."""

import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest
import redis

from lambda_router_queue.queue_keys import QueueKeys
from lambda_router_worker.checking import scripts, server
from lambda_router_worker.checking.checks import ALWAYS
from lambda_router_worker.checking.findings import Finding
from lambda_router_worker.queue.scripts import LUA
from tests import servers
from tests.contract.test_operations_page import documented_users
from tests.integration.backend.hostile_servers import serving
from tests.integration.worker.check.checking import chain, is_wrong, look, look_through
from tests.integration.worker.check.lying_redis import Dropped, lying

PASSWORD = "hunter2-hunter2"
KEYS = QueueKeys("tinyllama")
#: Longer than any rehearsal's job may be kept.
LONGEST_MS = 10 * 60_000


def bulk(*texts: str) -> bytes:
    return f"*{len(texts)}\r\n".encode() + b"".join(f"${len(text)}\r\n{text}\r\n".encode() for text in texts)


@pytest.fixture
def user_url(redis_url: str, db: redis.Redis) -> Iterator[Callable[..., str]]:
    """Makes the documented user of workers, without some of its rules; its URL."""

    def make(*without: str, more: Sequence[str] = ()) -> str:
        rules = [rule.replace("…", PASSWORD) for rule in documented_users()["worker"] if rule not in without]
        db.execute_command("ACL", "SETUSER", "worker", *rules, *more)
        return redis_url.replace("://", f"://worker:{PASSWORD}@")

    yield make
    db.execute_command("ACL", "DELUSER", "worker")


@pytest.mark.parametrize(
    "thing", ["login", "keys", "round trip", "version", "eviction", "scripts", "blocking read", "clock"]
)
def test_the_documented_user_is_enough_for_every_check(
    user_url: Callable[..., str], db: redis.Redis, thing: str
) -> None:
    finding = look(thing, redis_url=user_url())

    assert finding.ok, finding
    assert list(db.scan_iter("*")) == []


def test_a_wrong_password_is_wrong_and_not_shown(user_url: Callable[..., str]) -> None:
    finding = look("login", redis_url=user_url().replace(PASSWORD, "hunter3"))

    assert is_wrong(finding, "does not accept")
    assert "hunter" not in str(finding)


def test_a_password_where_none_is_wanted_is_wrong(redis_url: str) -> None:
    assert is_wrong(look("login", redis_url=redis_url.replace("://", f"://:{PASSWORD}@")), "has none")


def test_a_database_that_is_not_there_is_wrong(redis_url: str) -> None:
    assert is_wrong(look("login", redis_url=redis_url.replace("/0", "/99")), "no database")


def test_keys_of_another_queue_are_wrong(user_url: Callable[..., str]) -> None:
    finding = look("keys", redis_url=user_url(), queue="llava")

    assert is_wrong(finding, "lr:{llava}:*")
    assert "~lr:{llava}:*" in finding.fix


def test_a_clusters_node_named_as_a_server_is_wrong(redis_url: str) -> None:
    with lying(redis_url, lambda words: b"-MOVED 3999 127.0.0.1:6381\r\n" if words[0] == "EXISTS" else None) as url:
        assert is_wrong(look("keys", redis_url=url), "cluster")


def test_a_server_named_as_a_cluster_is_wrong(redis_url: str) -> None:
    assert is_wrong(look("keys", redis_url=redis_url.replace("redis:", "redis+cluster:")), "cluster")


def test_a_slow_round_trip_is_wrong(redis_url: str) -> None:
    count = itertools.count()

    def slow(words: Sequence[str]) -> None:
        if words[0] == "EXISTS" and next(count) == 5:
            time.sleep(server.MOST_SECONDS + 0.05)

    with lying(redis_url, slow) as url:
        assert is_wrong(look("round trip", redis_url=url), "p99 1")


def old_server(*reported: str) -> Callable[[Sequence[str]], bytes | None]:
    """Lies about name and version."""

    def lie(words: Sequence[str]) -> bytes | None:
        is_asked = words[0] == "EVALSHA" and words[1] == server._SERVER.sha
        return bulk(*reported) if is_asked else None

    return lie


@pytest.mark.parametrize(
    ("reported", "label"),
    [
        (("redis", "7.0.15", "", "7.0.15"), "Redis 7.0.15"),
        (("", "6.2.5", "", ""), "Redis 6.2.5"),
        (("", "", "", "7.1.9"), "7.1.9"),
    ],
)
def test_an_old_version_is_wrong(redis_url: str, reported: tuple[str, ...], label: str) -> None:
    with lying(redis_url, old_server(*reported)) as url:
        assert is_wrong(look("version", redis_url=url), label)


@pytest.mark.parametrize(
    ("reported", "label"),
    [(("valkey", "7.2.4", "10.0.1", "7.2.4"), "Valkey 10.0.1"), (("", "8.0.2", "", "8.0.2"), "Redis 8.0.2")],
)
def test_a_version_that_is_new_enough_is_right(redis_url: str, reported: tuple[str, ...], label: str) -> None:
    with lying(redis_url, old_server(*reported)) as url:
        assert look("version", redis_url=url) == Finding("version", True, label)


def test_a_version_that_nobody_reports_is_not_seen(redis_url: str) -> None:
    with lying(redis_url, old_server("", "", "", "")) as url:
        finding = look("version", redis_url=url)

    assert (finding.ok, finding.seen) == (False, False)


def test_without_info_the_version_is_the_one_that_lua_reports(user_url: Callable[..., str]) -> None:
    finding = look("version", redis_url=user_url("+info"))

    assert finding.ok
    assert "Redis 7.2" in finding.found


def test_without_info_the_policy_is_not_seen_and_the_fix_says_what_to_allow(user_url: Callable[..., str]) -> None:
    finding = look("eviction", redis_url=user_url("+info"))

    assert (finding.ok, finding.seen) == (False, False)
    assert "+info" in finding.fix


def test_a_server_that_reports_no_policy_is_not_seen(redis_url: str) -> None:
    with lying(redis_url, lambda words: b"$0\r\n\r\n" if words[0] == "EVALSHA" else None) as url:
        finding = look("eviction", redis_url=url)

    assert (finding.ok, finding.seen) == (False, False)


def test_a_policy_that_deletes_jobs_is_wrong() -> None:
    with servers.valkey(config={"maxmemory-policy": "volatile-lru"}) as evicting:
        finding = look("eviction", redis_url=f"redis://127.0.0.1:{evicting.port}/0")

    assert is_wrong(finding, "volatile-lru")
    assert finding.wanted == "noeviction"


@pytest.mark.parametrize(
    "rule",
    ["+hset", "+pexpire", "+del", "+xclaim", "+xautoclaim", "+xtrim", "+xgroup|create", "+xinfo|consumers", "+zscore"],
)
def test_a_command_that_the_user_lacks_is_wrong_by_its_name(
    user_url: Callable[..., str], db: redis.Redis, rule: str
) -> None:
    finding = look("scripts", redis_url=user_url(rule))

    assert is_wrong(finding, rule)
    assert rule in finding.fix
    assert [key for key in db.scan_iter("*") if not 0 < db.pttl(key) <= LONGEST_MS] == []


def test_a_user_who_can_neither_expire_nor_delete_keys_leaves_none(
    user_url: Callable[..., str], db: redis.Redis
) -> None:
    assert is_wrong(look("scripts", redis_url=user_url("+pexpire", "+del")), "+pexpire")
    assert list(db.scan_iter("*")) == []


def test_a_server_that_compiles_no_script_is_wrong(redis_url: str) -> None:
    """As Redis 6.2, KeyDB and Dragonfly do, which know no flags in a script's first line."""

    def lie(words: Sequence[str]) -> bytes | None:
        if words[0] == "EVALSHA":
            return b"-NOSCRIPT No matching script\r\n"
        if words[0] == "EVAL" and words[1].startswith("#!lua"):
            return b"-ERR Error compiling script (new function): user_script:1: unexpected symbol near '#'\r\n"
        return None

    with lying(redis_url, lie) as url:
        findings = [look(thing, redis_url=url) for thing in ("scripts", "eviction")]

    for finding in findings:
        assert is_wrong(finding, "unexpected symbol")
        assert "Dragonfly" in finding.fix


@pytest.mark.parametrize("name", ["renew", "finish", "claim", "promote", "give_back", "turn", "stats", "letters"])
def test_a_script_that_replies_otherwise_is_wrong_by_its_name(redis_url: str, name: str) -> None:
    shas = {sha for sha, file in scripts.script_names().items() if file == f"{name}.lua"}

    with lying(redis_url, lambda words: bulk() if words[0] == "EVALSHA" and words[1] in shas else None) as url:
        assert is_wrong(look("scripts", redis_url=url), f"{name}.lua")


def test_a_full_memory_is_wrong() -> None:
    with servers.valkey() as small, redis.Redis(port=small.port) as db:
        db.config_set("maxmemory", 1)

        assert is_wrong(look("scripts", redis_url=f"redis://127.0.0.1:{small.port}/0"), "memory is full")


def test_every_script_of_the_worker_is_run(redis_url: str) -> None:
    ran: set[str] = set()

    def listen(words: Sequence[str]) -> None:
        if words[0] == "EVALSHA":
            ran.add(scripts.script_names().get(words[1], "other"))

    with lying(redis_url, listen) as url:
        assert look("scripts", redis_url=url).ok

    assert ran == {path.name for path in LUA.glob("*.lua")} - {"lease.lua"} | {"scratch.lua"}


def commands_of_a_rehearsal(redis_url: str) -> int:
    count = 0

    def listen(words: Sequence[str]) -> None:
        nonlocal count
        count += 1

    with lying(redis_url, listen) as url:
        assert look("scripts", redis_url=url).ok
    return count


def test_whenever_it_is_killed_its_keys_end_by_themselves(redis_url: str, db: redis.Redis) -> None:
    every = commands_of_a_rehearsal(redis_url)
    assert every > 30
    most = 0
    for last in range(1, every):
        db.flushall()
        count = itertools.count(1)

        def die(words: Sequence[str], count: Iterator[int] = count, last: int = last) -> None:
            if words[0] == "DEL" or next(count) > last:
                raise Dropped

        with lying(redis_url, die) as url:
            look("scripts", redis_url=url)
        lives = {key: db.pttl(key) for key in db.scan_iter("*")}
        assert {key: ms for key, ms in lives.items() if not 0 < ms <= LONGEST_MS} == {}, last
        assert all(key.startswith("lr:{tinyllama}:check:") for key in lives)
        most = max(most, len(lives))
    assert most > 20


def test_no_key_of_the_queue_itself_is_touched(redis_url: str, db: redis.Redis) -> None:
    db.hset(KEYS.flow, mapping={"added:0": 7, "slots": 3})
    db.xadd(KEYS.streams[0], {"id": "job_1", "job": '{"v": 1}'})
    before = sorted(db.scan_iter("*"))
    flow, entries = db.hgetall(KEYS.flow), db.xrange(KEYS.streams[0])

    for thing in ("scripts", "blocking read", "queue"):
        assert look(thing, redis_url=redis_url).ok

    assert sorted(db.scan_iter("*")) == before
    assert (db.hgetall(KEYS.flow), db.xrange(KEYS.streams[0])) == (flow, entries)


@pytest.mark.parametrize("connecting", [0, server.BLOCK_SECONDS])
def test_a_read_that_does_not_block_is_wrong(redis_url: str, connecting: float) -> None:
    """However long it takes to connect, of which nothing was waited."""
    count = itertools.count()

    def lie(words: Sequence[str]) -> bytes | None:
        if words[0] != "XREADGROUP":
            return None
        time.sleep(0 if next(count) else connecting)
        return b"*-1\r\n"

    with lying(redis_url, lie) as url:
        assert is_wrong(look("blocking read", redis_url=url), "waited")


def test_the_way_to_a_distant_server_is_no_waiting(redis_url: str) -> None:
    def lie(words: Sequence[str]) -> bytes | None:
        time.sleep(server.BLOCK_SECONDS * 0.6 if words[0] in ("EXISTS", "XREADGROUP") else 0)
        return b"*-1\r\n" if words[0] == "XREADGROUP" else None

    with lying(redis_url, lie) as url:
        findings = look_through([*chain("round trip"), chain("blocking read")[-1]], redis_url=url)

    assert findings[-2].ok
    assert is_wrong(findings[-1], "waited")


@pytest.mark.parametrize("seconds", [3_600, -3_600])
def test_a_clock_that_is_an_hour_off_is_wrong(redis_url: str, seconds: int) -> None:
    with lying(
        redis_url, lambda words: bulk(str(int(time.time()) + seconds), "0") if words[0] == "TIME" else None
    ) as url:
        assert is_wrong(look("clock", redis_url=url), "ahead" if seconds > 0 else "behind")


def test_an_answer_of_another_form_is_not_seen(redis_url: str) -> None:
    with lying(redis_url, lambda words: bulk("now") if words[0] == "TIME" else None) as url:
        finding = look("clock", redis_url=url)

    assert (finding.ok, finding.seen) == (False, False)


def test_a_reply_that_comes_byte_by_byte_is_wrong_within_the_limit(redis_url: str) -> None:
    def drip(connection: socket.socket) -> None:
        if b"AUTH" not in connection.recv(65_536):
            connection.sendall(b"+PONG\r\n")
            return
        connection.sendall(b"$100\r\n")
        for _ in range(100):
            time.sleep(0.1)
            connection.sendall(b"x")

    with serving(drip) as url:
        began = time.monotonic()
        assert is_wrong(look("login", redis_url=url.replace("://", "://:x@"), seconds=1.0), "no answer within 1 s")
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(("seconds", "words"), [(1.0, "no answer within 1 s"), (20.0, "in time")])
def test_after_one_silence_no_other_is_waited_for(redis_url: str, seconds: float, words: str) -> None:
    """Whether the check's limit ends the wait or the connection's own."""
    ended = threading.Event()

    def stall(words: Sequence[str]) -> None:
        if words[0] == "EVALSHA":
            ended.wait(30)

    checks = [*chain("version")[:-1], *(replace(each, seconds=seconds) for each in ALWAYS if each.after == "keys")]
    with lying(redis_url, stall) as url:
        findings = {each.thing: each for each in look_through(checks, redis_url=url)}
        ended.set()

    assert is_wrong(findings["version"], words)
    assert findings["round trip"].ok
    assert {each.found for each in findings.values() if not each.seen} == {"not checked, because version is not ok"}


def test_redis_that_goes_away_in_between_is_wrong(redis_url: str) -> None:
    def die(words: Sequence[str]) -> None:
        if words[0] == "TIME":
            raise Dropped

    with lying(redis_url, die) as url:
        assert is_wrong(look("clock", redis_url=url))
