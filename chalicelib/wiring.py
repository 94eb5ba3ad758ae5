"""Construction of the parts from the environment, once per process. Nothing else that ships reads ``os.environ``.

Tests pass in their own parts with ``use``.
"""

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import NamedTuple

from chalicelib.callers.app_clients import AppClients
from chalicelib.callers.auth import TokenVerifier
from chalicelib.callers.jwks import BadKeySet, SigningKeys, signing_keys
from chalicelib.errors import Misconfigured, Problem
from chalicelib.jobs.admission import QueuePolicy
from chalicelib.jobs.job_queue import JobQueue
from chalicelib.jobs.job_types import JOB_TYPES, JobType, under
from chalicelib.jobs.live_output import LISTEN_ATTEMPT_SECONDS, LISTEN_CALL_SECONDS, FollowsJobs, LiveOutput
from chalicelib.jobs.redis_client import Authority, RedisClient, connect
from chalicelib.jobs.waits import WaitCaps, Waits
from chalicelib.limits import RatePolicy
from chalicelib.observability import log
from chalicelib.parameters import ParameterUnavailable, fetch_parameters
from chalicelib.settings import LOCAL_ENV_FILE, Settings, SettingsError, Surface
from lambda_router_queue.encryption.data_keys import DataKeys
from lambda_router_queue.encryption.sealing import Sealer
from lambda_router_queue.metrics import DEFAULT_STACK
from lambda_router_queue.models import JobRequest
from lambda_router_queue.queue_keys import QueueKeys
from lambda_router_queue.redis.url import BadRedisURL, check_redis_url


class Services(NamedTuple):
    """Everything that a request needs."""

    settings: Settings
    keys: SigningKeys
    clients: AppClients
    verifier: TokenVerifier
    queue: JobQueue
    waits: Waits
    live: FollowsJobs
    rate: RatePolicy
    job_types: Mapping[str, JobType]

    def queue_of(self, job_type: JobType, request: JobRequest) -> QueueKeys:
        """Return the queue of a job: its model's, if it names one."""
        model = getattr(request.input, "model", None)
        name = self.settings.models.get(model) if model else job_type.queue
        return self.queue.keys(name or self.settings.router_queue)


class _Process:
    """The parts that this process has built so far."""

    lock = threading.Lock()
    services: Services | None = None


def services() -> Services:
    """Return the parts; the first call builds them.

    Raises:
        Misconfigured: a setting is missing or malformed. The log says which; the caller is not told.
    """
    with _Process.lock:
        if _Process.services is None:
            _Process.services = _build_or_explain()
        return _Process.services


def prepare() -> None:
    """Prepare the parts, the keys and the connection before the first request, if in Lambda.

    Under ``chalice local``, print on the terminal which settings are missing instead.

    A snapshot (SnapStart) is taken without the parts, and each copy of it creates its own. Connections do not survive a
    snapshot, and keys and secrets would be as old as it. Identifiers come from the kernel's random numbers, which
    differ in each copy.
    """
    if not _in_lambda():
        if LOCAL_ENV_FILE in os.environ:
            _prepare_locally()
        return
    _make_ready()
    if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
        from snapshot_restore_py import register_after_restore, register_before_snapshot

        register_before_snapshot(_forget)
        register_after_restore(_make_ready)


def surface() -> Surface:
    """Return the settings that shape the API, as read when ``app.py`` is imported."""
    return Settings.surface(_environ())


def stack() -> str:
    """Return the stack's name, for metrics. It is unvalidated: a function with invalid settings writes metrics too."""
    return os.environ.get("ROUTER_STACK") or DEFAULT_STACK


@contextmanager
def use(parts: Services) -> Iterator[None]:
    """Make requests use these parts inside the ``with`` block."""
    before, _Process.services = _Process.services, parts
    try:
        yield
    finally:
        _Process.services = before


def build(environ: Mapping[str, str], job_types: Mapping[str, JobType] = JOB_TYPES) -> Services:
    """Build the parts that these variables describe.

    Raises:
        SettingsError, BadKeySet, ParameterUnavailable: names the variable at fault.
    """
    settings = Settings.from_environ(environ)
    keys = signing_keys(*settings.key_sources)
    rate = RatePolicy(settings.router_rate_per_minute, settings.router_rate_burst)
    policy = QueuePolicy(
        rate=rate,
        queue_cap=settings.router_queue_cap,
        open_jobs_cap=settings.router_open_jobs_cap,
        newcomers_percent=settings.router_newcomers_percent,
        delayed_percent=settings.router_delayed_percent,
        caller_bytes_cap=settings.router_caller_bytes_cap,
        queue_bytes_cap=settings.router_queue_bytes_cap,
        store_result_seconds=settings.router_store_result_seconds,
        idempotency_seconds=settings.router_idempotency_seconds,
        events_seconds=settings.router_events_seconds,
    )
    key_id = settings.router_kms_key_id
    sealer = Sealer(DataKeys(key_id), accept_plain_text=settings.router_plain_text == "accepted") if key_id else None
    url, authority = _redis(settings)
    clients = AppClients(settings.client_ids, settings.cognito_aud_parameter)
    of_types = {job_type.queue or settings.router_queue for job_type in job_types.values()}
    queues = sorted(of_types | set(settings.models.values()))
    redis = RedisClient(lambda: connect(url, authority=authority), authority=authority)
    job_queue = JobQueue(redis, policy, queues, sealer)
    listening = RedisClient(lambda: connect(url, LISTEN_ATTEMPT_SECONDS, authority), LISTEN_CALL_SECONDS, authority)
    return Services(
        settings=settings,
        keys=keys,
        clients=clients,
        verifier=TokenVerifier(
            keys,
            issuers=settings.issuers,
            clients=clients,
            leeway_seconds=settings.router_token_leeway_seconds,
        ),
        queue=job_queue,
        waits=Waits(
            redis,
            QueueKeys(queues[0]),
            WaitCaps(settings.router_caller_waits_cap, settings.router_waits_cap),
        ),
        live=LiveOutput(job_queue, listening, sealer),
        rate=rate,
        job_types=under(settings, job_types),
    )


def _in_lambda() -> bool:
    return "AWS_LAMBDA_RUNTIME_API" in os.environ


def _environ() -> Mapping[str, str]:
    """Return the variables; in stage ``local`` on a developer's machine, with those of ``.env`` as the fallback."""
    if LOCAL_ENV_FILE not in os.environ or _in_lambda():
        return os.environ
    from chalicelib import chalice_local

    return chalice_local.with_env_file(os.environ)


def _prepare_locally() -> None:
    from chalicelib import chalice_local

    chalice_local.warn_of_restarts(os.environ)
    try:
        services()
    except Misconfigured as problem:
        chalice_local.say(f"{problem.reason}\n{chalice_local.ADVICE}")


def _make_ready() -> None:
    """Fetch the keys and connect to Redis. If that fails, the first request tries again and reports the error."""
    with suppress(Problem):
        services().keys.key("")
    with suppress(Problem):
        services().queue.ping()


def _forget() -> None:
    with _Process.lock:
        parts, _Process.services = _Process.services, None
    if parts is not None:
        parts.queue.close()
        parts.live.close()


def _redis(settings: Settings) -> tuple[str, Authority | None]:
    """Return the Redis URL, and the authority of one's own that its certificate is checked against, if there is one."""
    names = {"REDIS_URL_PARAMETER": settings.redis_url_parameter, "REDIS_CA_PARAMETER": settings.redis_ca_parameter}
    wanted = {setting: name for setting, name in names.items() if name}
    values = fetch_parameters(wanted) if wanted else {}
    if settings.redis_url is not None:
        url = settings.redis_url.get_secret_value()
    else:
        url = _checked_url(settings.redis_url_parameter or "", values["REDIS_URL_PARAMETER"])
    if not settings.redis_ca_parameter:
        return url, None
    if not url.startswith("rediss"):
        raise ParameterUnavailable(
            "REDIS_CA_PARAMETER is set, but the Redis URL is without TLS, so nothing would be checked against it: write"
            " rediss:// in the URL, or unset REDIS_CA_PARAMETER"
        )
    from chalicelib.jobs.redis_authority import ParameterAuthority  # deferred: few functions have one

    return url, ParameterAuthority(settings.redis_ca_parameter, values["REDIS_CA_PARAMETER"])


def _checked_url(name: str, url: str) -> str:
    try:
        return check_redis_url(url)
    except BadRedisURL as error:
        explanation = f"REDIS_URL_PARAMETER: the SSM parameter {name!r} holds no Redis URL; {error}"
        raise ParameterUnavailable(explanation) from None


def _build_or_explain() -> Services:
    try:
        parts = build(_environ())
    except (SettingsError, BadKeySet, ParameterUnavailable) as error:
        log.error("misconfigured", extra={"explanation": str(error)})
        raise Misconfigured(
            "The service is not fully configured; its log says what is missing.", reason=str(error)
        ) from None
    log.setLevel(parts.settings.router_log_level)
    return parts
