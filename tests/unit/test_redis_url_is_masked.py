"""Whatever holds the Redis URL shows nothing of its password: in a repr, in an error, in a traceback that is logged."""

import asyncio
import io
import logging
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import pytest

from chalicelib import wiring
from chalicelib.errors import QueueUnavailable
from chalicelib.jobs.redis_client import RedisClient
from chalicelib.jobs.redis_client import connect as connect_router
from chalicelib.settings import Settings, SettingsError
from lambda_router_queue.redis.url import OPTIONS, BadRedisURL, check_redis_url
from lambda_router_worker.operations.operations import Operations
from lambda_router_worker.queue.connection import REDIS_TROUBLE
from lambda_router_worker.queue.connection import connect as connect_worker
from lambda_router_worker.queue.work_queue import WorkQueue

PASSWORD = "hunter2-hunter2"
#: Nobody listens there.
URL = f"redis://router:{PASSWORD}@127.0.0.1:1/0"
CLUSTER_URL = URL.replace("redis:", "redis+cluster:")


def settings(environ: dict[str, str]) -> Settings:
    return Settings.from_environ(environ | {"REDIS_URL": URL})


def everything_in(thing: Any, depth: int = 4) -> list[Any]:
    """The thing, and what its attributes hold, so deep as our own objects go."""
    inner = list(vars(thing).values()) if _is_ours(thing) and hasattr(thing, "__dict__") and depth else []
    return [thing, *(each for part in inner for each in everything_in(part, depth - 1) if _may_show(part))]


def _may_show(part: Any) -> bool:
    """Whether a repr of it is somebody's choice: the password itself has to be somewhere."""
    return not isinstance(part, str | bytes | list | tuple | dict)


def _is_ours(part: Any) -> bool:
    return type(part).__module__.startswith(("chalicelib", "lambda_router"))


HOLDERS: dict[str, Callable[[dict[str, str]], Any]] = {
    "settings": settings,
    "the setting": lambda environ: settings(environ).redis_url,
    "settings as a dictionary": lambda environ: settings(environ).model_dump(),
    "settings as JSON": lambda environ: settings(environ).model_dump_json(),
    "services": lambda environ: wiring.build(environ | {"REDIS_URL": URL}),
    "router's client": lambda environ: RedisClient(lambda: connect_router(URL)),
    "router's connection": lambda environ: connect_router(URL),
    "worker's connection": lambda environ: connect_worker(URL),
    "worker's connection to a cluster": lambda environ: connect_worker(CLUSTER_URL),
    "worker's queue": lambda environ: WorkQueue(connect_worker(URL), "q", "worker-1"),
    "operations": lambda environ: Operations(connect_worker(URL), "q"),
}


@pytest.mark.parametrize("hold", HOLDERS.values(), ids=HOLDERS.keys())
def test_what_holds_it_does_not_show_it(environ: dict[str, str], hold: Callable[[dict[str, str]], Any]):
    for part in everything_in(hold(environ)):
        for shown in (repr(part), str(part), f"{part}"):
            assert PASSWORD not in shown, type(part)


def refused_settings(environ: dict[str, str]) -> None:
    Settings.from_environ(environ | {"REDIS_URL": URL.replace("redis:", "http:")})


def refused_url(_: dict[str, str]) -> None:
    check_redis_url(URL + "?password=" + PASSWORD)


def router_away(environ: dict[str, str]) -> None:
    wiring.build(environ | {"REDIS_URL": URL}).queue.ping()


def cluster_away(environ: dict[str, str]) -> None:
    wiring.build(environ | {"REDIS_URL": CLUSTER_URL}).queue.ping()


def worker_away(_: dict[str, str]) -> None:
    async def ask() -> None:
        async with aclosing(connect_worker(URL)) as redis:
            await WorkQueue(redis, "q", "worker-1").claim(1)

    asyncio.run(ask())


@pytest.mark.parametrize(
    ("fail", "kinds"),
    [
        (refused_settings, SettingsError),
        (refused_url, BadRedisURL),
        (router_away, QueueUnavailable),
        (cluster_away, QueueUnavailable),
        (worker_away, REDIS_TROUBLE),
    ],
)
def test_no_error_and_no_traceback_shows_it(
    environ: dict[str, str], fail: Callable[[dict[str, str]], None], kinds: Any
):
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    logging.getLogger("masked").addHandler(handler)

    with pytest.raises(kinds) as refused:
        fail(environ)
    logging.getLogger("masked").error("failed", exc_info=refused.value)
    logging.getLogger("masked").removeHandler(handler)

    chain = [refused.value, refused.value.__cause__, refused.value.__context__]
    assert "Traceback" in written.getvalue()
    assert PASSWORD not in written.getvalue() + "".join(f"{error!r} {error}" for error in chain)


def test_the_search_would_find_it():
    assert any(PASSWORD in repr(part) for part in everything_in(WorkQueue(connect_worker(URL), URL, "worker-1")))


def test_an_unknown_option_is_answered_with_those_there_are():
    with pytest.raises(BadRedisURL) as raised:
        check_redis_url(f"{URL}?socket_timeout={PASSWORD}")
    assert [name for name in OPTIONS if name not in str(raised.value)] == []
    assert PASSWORD not in str(raised.value)
