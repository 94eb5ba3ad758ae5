"""The checks in their order, each with its time limit and the checks that it needs; and the run through them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

from lambda_router_queue import traces
from lambda_router_queue.redis.troubles import Trouble, trouble_of
from lambda_router_worker.checking import encrypted, machine, model, reaching, scripts, server, waiting
from lambda_router_worker.checking.box import STEP_SECONDS, Box, Resolve, system_resolver
from lambda_router_worker.checking.findings import Finding, trouble, unseen, wrong
from lambda_router_worker.queue.connection import REDIS_TROUBLE
from lambda_router_worker.secret_file import PIPE_SECONDS

#: Beyond the limits of the steps within.
_SLACK_SECONDS = 1.0
#: Time for closing what the checks have opened.
_CLOSE_SECONDS = 2.0


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        thing: its name, as the lines show it.
        look: returns the finding; its ``thing`` is filled in.
        wants: what is right, for the table in ``docs/operations.md``.
        after: the check that has to be ok for this one to run; those that it needs in turn are implied.
        seconds: its time limit.
    """

    thing: str
    look: Callable[[Box], Awaitable[Finding]]
    wants: str
    after: str = ""
    seconds: float = STEP_SECONDS + _SLACK_SECONDS


ALWAYS = (
    Check(
        "Redis URL",
        reaching.redis_url,
        "`REDIS_URL`, or `--redis-url-file`, can be read",
        seconds=PIPE_SECONDS + _SLACK_SECONDS,
    ),
    Check("name", reaching.name, "the host has an address", "Redis URL"),
    Check("port", reaching.port, "something accepts connections there", "name"),
    Check(
        "TLS",
        encrypted.tls,
        "the port speaks TLS or not, as the URL says; the certificate is from an authority that is known here, and for"
        " the URL's host; no certificate is wanted from clients",
        "port",
        seconds=2 * STEP_SECONDS + _SLACK_SECONDS,
    ),
    Check(
        "certificate",
        encrypted.certificate,
        f"it, and the authority in `ssl_ca_certs`, end in {encrypted.LEAST_DAYS} days or later",
        "TLS",
    ),
    Check("login", server.login, "Redis accepts user, password and number of the database", "TLS"),
    Check("keys", server.keys, "the user may use the queue's keys; a cluster is named as such", "login"),
    Check(
        "round trip",
        server.round_trip,
        f"of {server.ROUND_TRIPS}, the p99 is below {server.MOST_SECONDS:g} s",
        "keys",
        seconds=server.ROUND_TRIPS * server.MOST_SECONDS,
    ),
    Check("version", server.version, "Redis or Valkey, 7.2 or newer", "keys"),
    Check("eviction", server.eviction, "`maxmemory-policy` is `noeviction`", "keys"),
    Check(
        "scripts",
        scripts.scripts,
        "each of the worker's scripts compiles, and processes a job on keys of its own, which expire by themselves",
        "keys",
        seconds=15.0,
    ),
    Check("blocking read", server.blocking, "a read of 200 ms waits, so an idle worker need not poll", "scripts"),
    Check(
        "clock",
        server.clock,
        f"this machine's and Redis's differ by at most {server.MOST_CLOCK_SECONDS} s",
        "keys",
    ),
    Check(
        "queue",
        waiting.queue,
        "the jobs that wait are of this protocol version; shows jobs and workers",
        "keys",
        seconds=15.0,
    ),
)
HANDLER = (Check("handler", machine.handler, "it can be imported", seconds=120.0),)
MODEL = (
    Check("model server", model.server, "it answers, and accepts the key", seconds=10.0),
    Check("token", model.token, "it completes a token", "model server", seconds=model.TOKEN_SECONDS + _SLACK_SECONDS),
    Check("model", model.listing, "it lists the model, or completes without", "token"),
    Check("stream", model.stream, "it streams its responses", "token"),
)
LAST = (
    Check(
        "KMS",
        machine.kms,
        "the key decrypts the data key of a job that waits, or is reached if there is none",
        "keys",
        seconds=machine.KMS_SECONDS + STEP_SECONDS,
    ),
    Check("health port", machine.health_port, "it is free, or a worker has it", seconds=3.0),
)
EVERY = (*ALWAYS, *HANDLER, *MODEL, *LAST)


def chosen(options: Mapping[str, Any], with_backend: bool) -> Iterable[Check]:
    """Return the checks for a worker with these options."""
    if not with_backend:
        return (*ALWAYS, *LAST)
    if bool(options["handler"]) == bool(options["backend"]) or (options["backend"] and not options["model"]):
        return (*ALWAYS, Check("model server", _which, ""), *LAST)
    return (*ALWAYS, *(HANDLER if options["handler"] else MODEL), *LAST)


async def _which(box: Box) -> Finding:
    if box.options["backend"] and not box.options["handler"]:
        found, fix = "--model is not set", "--model NAME, or WORKER_MODEL: the model's name on that server"
        return wrong(found, wanted="the model's name", why="the worker would refuse to start", fix=fix)
    found = "both --handler and --backend are set" if box.options["handler"] else "neither is set"
    fix = "WORKER_BACKEND and WORKER_MODEL, or WORKER_HANDLER; or leave the check out with --no-backend"
    return wrong(found, wanted="one of --backend and --handler", why="the worker would refuse to start", fix=fix)


async def examine(
    options: Mapping[str, Any],
    checks: Iterable[Check],
    resolve: Resolve = system_resolver,
    step_seconds: float = STEP_SECONDS,
) -> AsyncIterator[Finding]:
    """Run each check in turn. One that needs a failed one is not run; every other runs.

    After one that got no answer, those that need the same are not run either: they would take as long, one by one.
    """
    async with _ClosedInTime() as stack:
        box = Box(options, stack, resolve, step_seconds)
        causes: dict[str, str] = {}  # of each check that was not ok: itself, or the one that it needed
        for check in checks:
            cause = causes.get(check.after)
            if cause:
                finding = unseen(f"not checked, because {cause} is not ok")
            else:
                finding, is_silent = await _looked(check, box)
                if is_silent and check.after:
                    causes[check.after] = check.thing
            if not finding.ok:
                causes[check.thing] = cause or check.thing
            yield replace(finding, thing=check.thing)


async def _looked(check: Check, box: Box) -> tuple[Finding, bool]:
    """Return the finding, and whether there was no answer in time."""
    limit = asyncio.timeout(check.seconds)
    try:
        async with limit:
            return await check.look(box), False
    except TimeoutError as error:
        if not limit.expired():
            return trouble(error), True
        found = f"no answer within {check.seconds:g} s"
        fix = "look at the other end, and at what is between"
        return wrong(found, why="a worker would wait just as long", fix=fix), True
    except REDIS_TROUBLE as error:
        return trouble(error), trouble_of(error) is Trouble.LATE
    except (TypeError, ValueError, LookupError, AttributeError, RecursionError) as error:
        found = f"the answer has another form than Redis's ({type(error).__name__})"
        return unseen(found, fix="connect to Redis itself, without a proxy between"), False
    except Exception as error:  # a bug must not cost the other findings
        facts = traces.facts(error)
        found = f"{facts['error']} at {facts['exception'].splitlines()[-1]}"
        return unseen(found, why="check itself is wrong", fix="report this line"), False


class _ClosedInTime(AsyncExitStack):
    """A stack whose closing is given up after a while: a peer may have stalled."""

    async def __aexit__(self, *error: Any) -> bool:
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                return bool(await super().__aexit__(*error))
        except (TimeoutError, *REDIS_TROUBLE):
            return False
