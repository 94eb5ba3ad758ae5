"""Fresh access tokens: from memory, from the disk, else from the issuer, by one thread of one process at a time."""

import hashlib
import random
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from lambda_router import environment, private_files, servers, store, token_endpoint
from lambda_router.environment import MachineClient
from lambda_router.errors import NotLoggedIn, ServerAway, UnknownServer
from lambda_router.servers import Server
from lambda_router.store import Credentials

#: A token is renewed that long before its end, or a fifth of its life if it is short.
_EARLY_SECONDS = 60.0
_EARLY_SHARE = 0.2
#: Processes renew at different moments: the first one does it for the others.
_JITTER = 0.5
#: Times in tokens are whole seconds, so a token may be over that much earlier than its answer said.
_ROUNDED_SECONDS = 1.0
_LOCK_SECONDS = 90.0


@dataclass
class _Kept:
    """One login in this process's memory."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    credentials: Credentials | None = None


_kept: dict[tuple[str, str, str], _Kept] = {}
_jitter = 1 + _JITTER * random.random()  # noqa: S311  spreads load, guards nothing


def fresh_token(server: str | None = None) -> str:
    """Return an access token that has some time to go.

    The first call reads the disk; later ones only memory, until the token is renewed. Threads and processes that need a
    new token at the same time cause one request: the others wait for it.

    Args:
        server: name or address of a server. None: that of LAMBDA_ROUTER_SERVER, else the default.

    Raises:
        NotLoggedIn: run ``lambda-router login URL``.
        ServerAway: the issuer cannot be reached, and the token at hand is over.
        KitError: any other reason.
    """
    return token_of(found_server(server))


def found_server(wanted: str | None) -> Server:
    """Return the server of that name or address; a machine's is discovered and pinned at its first use.

    Raises:
        KitError: there is none such, or it cannot be discovered.
    """
    try:
        return servers.find(wanted)
    except UnknownServer:
        wanted = wanted or environment.chosen_server()
        if wanted is None or environment.machine_client() is None:
            raise
    from lambda_router import pinning

    return pinning.remembered(wanted)


def token_of(server: Server) -> str:
    """Return a fresh access token of a server. Raises KitError."""
    machine = environment.machine_client()
    name = _file_name(server, machine)
    kept = _kept.setdefault(_place(server, name), _Kept())
    if (credentials := kept.credentials) is None or not is_fresh(credentials):
        with kept.lock:  # threads wait here, since waiting for the file's lock is polling
            credentials = kept.credentials
            if credentials is None or not is_fresh(credentials):
                credentials = kept.credentials = _renewed(server, name, machine)
    return credentials.access_token


def token_provider(server: str | None = None) -> Callable[[], str]:
    """Return a function that returns a fresh token, as ``OpenAI(api_key=…)`` takes one.

    Raises:
        KitError: there is no such server, so that a mistake shows here and not at the first request.
    """
    found = found_server(server)
    return lambda: token_of(found)


def async_token_provider(server: str | None = None) -> Callable[[], Awaitable[str]]:
    """Return a coroutine function that returns a fresh token, as ``AsyncOpenAI(api_key=…)`` takes one.

    Raises:
        KitError: there is no such server.
    """
    found = found_server(server)

    async def fresh() -> str:
        import anyio.to_thread  # with which httpx comes

        # In a thread, since a renewal waits for the issuer and for other processes.
        known = memory_of(found)
        return known if known else await anyio.to_thread.run_sync(token_of, found)

    return fresh


def memory_of(server: Server) -> str | None:
    """Return a fresh token if this process has one in memory: no file is read and nothing waits."""
    machine = environment.machine_client()
    kept = _kept.get(_place(server, _file_name(server, machine)))
    credentials = kept.credentials if kept else None
    return credentials.access_token if credentials and is_fresh(credentials) else None


def forget(server: Server) -> None:
    """Drop a server's tokens from this process's memory."""
    _kept.pop(_place(server, _file_name(server, None)), None)


def is_fresh(credentials: Credentials, now: float | None = None) -> bool:
    """Return whether an access token has enough time to go. One from the future is not: the clock was set back."""
    now = time.time() if now is None else now
    life = credentials.expires_at - credentials.received_at
    early = min(_EARLY_SECONDS, life * _EARLY_SHARE) * _jitter + _ROUNDED_SECONDS
    return credentials.received_at <= now + 1 and now < credentials.expires_at - early


def _renewed(server: Server, name: str, machine: MachineClient | None) -> Credentials:
    if (found := _stored(server, name, machine)) is not None and is_fresh(found):
        return found
    with lock_of(name):
        found = _stored(server, name, machine)  # another process may have renewed it meanwhile
        if found is not None and is_fresh(found):
            return found
        try:
            renewed = _from_issuer(server, found, machine)
        except ServerAway:
            if found is not None and found.received_at <= time.time() < found.expires_at:
                return found
            raise
        # Before anybody gets the new access token: with rotation the old refresh token may be over already.
        store.save(name, renewed)
        return renewed


def _stored(server: Server, name: str, machine: MachineClient | None) -> Credentials | None:
    """Return the tokens on the disk. None for those of another server, which had or has this one's name."""
    try:
        found = store.load(name)
    except NotLoggedIn:
        if machine is None:
            raise
        return None  # a machine can ask anew
    return found if found is not None and found.server in {server.url, ""} else None


def _from_issuer(server: Server, old: Credentials | None, machine: MachineClient | None) -> Credentials:
    if machine is not None:
        return token_endpoint.for_machine(server, machine)
    if old is None or not old.refresh_token:
        raise NotLoggedIn(f"not logged in to {server.name}: run lambda-router login {server.url}")
    return token_endpoint.refreshed(server, old)


def lock_of(name: str) -> AbstractContextManager[None]:
    """Return the lock between processes for one server's tokens. Entering it raises BadStorage."""
    return private_files.locked(store.lock_path_of(name), _LOCK_SECONDS)


def _file_name(server: Server, machine: MachineClient | None) -> str:
    """Return the name of the file of tokens: a machine's tokens lie beside a person's."""
    if machine is None:
        return server.name
    return f"{server.name}.{hashlib.sha256(machine.client_id.encode()).hexdigest()[:12]}"


def _place(server: Server, name: str) -> tuple[str, str, str]:
    """Return the place in memory. The address is in it, since a name may become another server's."""
    return str(environment.data_folder()), name, server.url
