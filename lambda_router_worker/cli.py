"""The ``lambda-router-worker`` command: options, signals and the assembly of the parts.

Without a subcommand it processes the queue.
"""

import asyncio
import importlib.metadata
import os
import secrets
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import click

from lambda_router_worker import worker_log
from lambda_router_worker.backend.backend_options import BadBackend
from lambda_router_worker.backend.openai_backend import OpenAIBackend
from lambda_router_worker.checking import checks, findings, threads
from lambda_router_worker.cli_options import (
    health_host_option,
    option,
    queue_options,
    stack_option,
    unchecked_queue_options,
    variable,
)
from lambda_router_worker.operations import dead_cli, health_probe, operations_cli, queue_metrics, top
from lambda_router_worker.operations.http_pages import Answer, cannot_listen
from lambda_router_worker.operations.operations import Operations
from lambda_router_worker.processing import event_loop
from lambda_router_worker.processing.attempt import NOBODY
from lambda_router_worker.processing.consumer import Consumer, KeepDead
from lambda_router_worker.processing.encryption import Encryption, missing_of_kms
from lambda_router_worker.processing.gate import Gate
from lambda_router_worker.processing.handlers import MAX_CONCURRENCY, BadHandler, Handler, load_handler
from lambda_router_worker.processing.job_run import JobRun
from lambda_router_worker.processing.stopping import StopSignals, work_until_stopped
from lambda_router_worker.processing.watchdog import Watchdog
from lambda_router_worker.prometheus import exporter_cli
from lambda_router_worker.prometheus.job_counts import JobCounts
from lambda_router_worker.prometheus.queue_figures import QueueFigures
from lambda_router_worker.queue import eviction
from lambda_router_worker.queue.connection import connect
from lambda_router_worker.queue.work_queue import MAX_DEATHS, WorkQueue

_RUN_OPTIONS = [
    option("--handler", metavar="MODULE:FUNCTION", help="Python callable that processes the jobs."),
    option("--backend", metavar="URL", help="OpenAI-compatible server, such as http://127.0.0.1:8080/v1."),
    option("--model", help="Model's name on that server."),
    variable("BACKEND_API_KEY", help="The model server's API key, sent as Bearer."),
    option("--api-key-file", metavar="FILE", help="File that holds it instead."),
    option("--obey-proxies", is_flag=True, help="Reach the model server through HTTP_PROXY and the like."),
    option(
        "--image-hosts",
        default="",
        metavar="HOSTS",
        help="Hosts from which the images of chats may come, comma-separated: the model server fetches them."
        " The router's `ROUTER_IMAGE_HOSTS` says the same.",
    ),
    option("--concurrency", type=click.IntRange(1, MAX_CONCURRENCY), default=1, help="Jobs at a time."),
    option(
        "--lease-seconds",
        type=click.IntRange(3, 3600),
        default=30,
        help="Silence after which this worker's jobs are given to others.",
    ),
    option(
        "--max-deaths",
        type=click.IntRange(1, 100),
        default=MAX_DEATHS,
        help="Workers, or model servers, that a job may kill before it goes to the dead letters.",
    ),
    option(
        "--keep-dead-days",
        type=click.IntRange(0, 3650),
        default=14,
        help="Days after which dead letters are discarded; 0 for never.",
    ),
    option(
        "--keep-dead",
        type=click.IntRange(0, 1_000_000),
        default=1_000,
        help="Dead letters that a queue keeps; the oldest beyond them are discarded. 0 for all.",
    ),
    option("--kms-key-id", help="KMS key of encrypted jobs, as the router's ROUTER_KMS_KEY_ID."),
    option(
        "--plain-text",
        type=click.Choice(["refused", "accepted"]),
        default="refused",
        help="Jobs that are not encrypted despite --kms-key-id; accept them on the day it is first set.",
    ),
    stack_option,
    option(
        "--health-port",
        type=click.IntRange(0, 65535),
        help="Answer GET /health, GET /ready and GET /metrics (for Prometheus) on this port.",
    ),
    health_host_option,
    option(
        "--log-format",
        type=click.Choice(["json", "text"]),
        help="Log for programs, or for people and without metrics; by default text on a terminal, and json elsewhere.",
    ),
]


def _run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for decorate in reversed(_RUN_OPTIONS):
        command = decorate(command)
    return command


def _show_version(context: click.Context, _: click.Parameter, is_wanted: bool) -> None:
    if is_wanted and not context.resilient_parsing:
        click.echo(f"lambda-router-worker {_version()}")
        context.exit()


def _version() -> str:
    try:
        return importlib.metadata.version("lambda-router-worker")
    except importlib.metadata.PackageNotFoundError:
        return "of a checkout"


@click.group(invoke_without_command=True)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show the version."
)
@queue_options
@_run_options
@click.pass_context
def main(context: click.Context, /, **options: Any) -> None:
    """Process the jobs of a queue until SIGTERM or Ctrl-C.

    The first signal lets the jobs in progress finish. A second one gives them back to the queue and exits at once.

    REDIS_URL, or the file that --redis-url-file names, says where the queue is: redis://, rediss:// (TLS),
    redis+cluster:// or rediss+cluster://.
    """
    if context.invoked_subcommand is not None:
        return
    if bool(options["handler"]) == bool(options["backend"]):
        raise click.UsageError("give either --handler module:function or --backend URL --model NAME.")
    if options["backend"] and not options["model"]:
        raise click.UsageError("--backend wants --model NAME, the model's name on that server.")
    if options["kms_key_id"] and (lacking := missing_of_kms()):
        raise click.UsageError(
            f"--kms-key-id wants {' and '.join(lacking)}: install the extra lambda-router-worker[kms]."
        )
    if options["log_format"] == "text" or (options["log_format"] is None and sys.stdout.isatty()):
        worker_log.write_text()
    try:
        with StopSignals() as signals:
            event_loop.run(_work(options, signals))
    except (BadHandler, BadBackend) as error:
        raise click.UsageError(str(error)) from None


@main.command()
@unchecked_queue_options
@_run_options
@click.option("--no-backend", is_flag=True, help="Leave out the model server and the handler.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@click.pass_context
def check(context: click.Context, /, no_backend: bool, as_json: bool, **options: Any) -> None:
    """Check whether a worker with these options could process jobs, and print what mends it if not.

    It takes the worker's options and variables. It reads no job's content, and writes only keys that expire.

    Exit status 0: all is well; 3: something is wrong; 1: nothing is known to be wrong, but not all could be checked.
    """
    given = options | _given_to_group(context)
    wanted = checks.chosen(given, with_backend=not no_backend)
    context.exit(threads.run(findings.report(checks.examine(given, wanted), as_json=as_json)))


def _given_to_group(context: click.Context) -> dict[str, Any]:
    """Return the options that stand before the command: who appends ``check`` to a worker's command line means them."""
    group = context.parent
    if group is None:
        return {}
    typed = click.core.ParameterSource.COMMANDLINE
    return {
        name: value
        for name, value in group.params.items()
        if group.get_parameter_source(name) is typed and context.get_parameter_source(name) is not typed
    }


main.add_command(dead_cli.dead)
main.add_command(operations_cli.stats)
main.add_command(top.top)
main.add_command(exporter_cli.exporter)


async def _work(options: dict[str, Any], signals: StopSignals) -> None:
    async with AsyncExitStack() as stack:
        handler = await _handler(options, stack)
        redis = connect(options["redis_url"])
        stack.push_async_callback(redis.aclose)
        lease_ms = options["lease_seconds"] * 1000
        dead = KeepDead(options["keep_dead"], options["keep_dead_days"] * 86_400_000)
        queue = WorkQueue(redis, options["queue"], _consumer_name(), lease_ms, options["max_deaths"])
        gate = Gate(handler if isinstance(handler, OpenAIBackend) else None)
        encryption = Encryption(options["kms_key_id"], options["plain_text"] == "accepted")
        counts = JobCounts()
        is_scraped = options["health_port"] is not None
        run = JobRun(queue, handler, encryption, gate, counts if is_scraped else NOBODY)
        figures = Operations(redis, options["queue"])
        report = partial(queue_metrics.publish, figures, options["stack"], gate, run.failed)
        consumer = Consumer(queue, run, options["concurrency"], report, dead)
        memory = await stack.enter_async_context(eviction.watched(redis, options["queue"]))
        if is_scraped:
            metrics = _metrics(options, consumer, counts, QueueFigures(figures))
            probe = await _probe(consumer, memory, options["health_port"], options["health_host"], metrics)
            await stack.enter_async_context(probe)
        name = options["handler"] or OpenAIBackend.__name__
        await stack.enter_async_context(Watchdog(options["lease_seconds"] / 3, name))
        await work_until_stopped(consumer, run, signals)


async def _probe(consumer: Consumer, memory: eviction.Seen, port: int, host: str, metrics: Answer) -> asyncio.Server:
    try:
        return await health_probe.serve(consumer, memory, port, host, metrics)
    except (OSError, UnicodeError) as error:
        raise click.ClickException(cannot_listen(host, port, error)) from None


def _metrics(options: Mapping[str, Any], consumer: Consumer, counts: JobCounts, figures: QueueFigures) -> Answer:
    from lambda_router_worker.prometheus.exposition import Exposition, Origin, Worker

    worker = Worker(consumer, counts, options["concurrency"], _version())
    return Exposition(Origin(options["stack"], options["queue"]), figures, worker).answer


async def _handler(options: dict[str, Any], stack: AsyncExitStack) -> Handler:
    if options["handler"]:
        return load_handler(options["handler"])
    return await stack.enter_async_context(OpenAIBackend.of(options))


def _consumer_name() -> str:
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
