"""Signing keys of the user pool: strictly parsed, cached, and refreshed at a limited rate.

A key set is rejected as a whole if anything in it is wrong. An issuer that publishes one bad key is not to be trusted
with the others (Wycheproof's ``json_web_key`` cases; RFC 7517 sections 4 and 5).
"""

import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from http import HTTPStatus, client
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import SplitResult, urlsplit

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.api_jwk import PyJWK
from jwt.exceptions import PyJWTError

from chalicelib.errors import SigningKeysUnavailable
from chalicelib.limits import UNAVAILABLE_RETRY_SECONDS, retry_after
from chalicelib.strict_json import NotStrictJSON, strict_json
from lambda_router_queue import deadlines

#: API Gateway's own JWT authorizer has this limit, and a timeout of 1.5 s (API Gateway quotas page).
MAX_JWKS_BYTES = 150_000
MAX_KEYS = 64

MIN_KEY_BITS = 2048
#: A key set of this age is fetched again. If that fails, the old one stays in use.
REFRESH_AFTER_SECONDS = 3_600
#: Minimum time between fetches from the main address. A rotation takes effect within it, even during a flood of unknown
#: key ids.
COOLDOWN_SECONDS = 30
#: Minimum time between fetches from one of the others. So a flood causes at most three fetches a minute.
OTHERS_COOLDOWN_SECONDS = 60


#: Members of a private or symmetric key (RFC 7518 sections 6.3.2 and 6.4).
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


class BadKeySet(ValueError):
    """A JWKS that this service does not accept; the message says why."""


class SigningKeys(Protocol):
    """The source of the verifier's keys."""

    def key(self, kid: str) -> PyJWK | None:
        """Return the key with that id, or None.

        Raises:
            SigningKeysUnavailable: no keys at all are available.
        """


class StaticKeys:
    """Keys from a setting; never fetched."""

    def __init__(self, raw: bytes) -> None:
        self._keys = parse_jwks(raw)

    def key(self, kid: str) -> PyJWK | None:
        return self._keys.get(kid)


class RemoteKeys:
    """Keys fetched from the issuer, kept for the life of the process, refreshed when old or when a key is missing.

    Several addresses belong to the issuers of one pool. Usually the first has every key, and the second, for a pool of
    type ORIGINAL, responds with 403 (https://github.com/awslabs/aws-jwt-verify/issues/279). So another one is fetched
    only for a key that the first lacks, or once it has provided keys. The main address is the first that has.
    """

    def __init__(
        self,
        *urls: str,
        fetch: Callable[[str], bytes] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._urls = urls
        self._fetch = fetch or fetch_jwks
        self._clock = clock
        self._lock = threading.Lock()
        self._sets: dict[str, Mapping[str, PyJWK]] = {}
        self._raw: dict[str, bytes] = {}
        self._keys: Mapping[str, PyJWK] = {}
        self._fetched_at: float | None = None
        self._tried_at: dict[str, float] = {}

    def key(self, kid: str) -> PyJWK | None:
        if self._lacks(kid):
            self._refresh(kid)
        if not self._keys:
            raise SigningKeysUnavailable(
                "The signing keys could not be fetched; try again.",
                headers=retry_after(UNAVAILABLE_RETRY_SECONDS * 1000),
            )
        return self._keys.get(kid)

    def _lacks(self, kid: str) -> bool:
        """Return whether the key is unknown or the keys are old. The empty id asks whether there are any keys."""
        if not self._keys or (kid and kid not in self._keys) or self._fetched_at is None:
            return True
        return self._clock() - self._fetched_at > REFRESH_AFTER_SECONDS

    def _refresh(self, kid: str) -> None:
        with self._lock:
            if not self._lacks(kid):  # another thread has fetched it in the meantime
                return
            with deadlines.within(deadlines.QUESTION_SECONDS):
                answered = self._fetch_sets(kid)
            if answered:
                self._fetched_at = self._clock()
                sets = [self._sets.get(url, {}) for url in reversed(self._urls)]
                self._keys = {kid: key for keys in sets for kid, key in keys.items()}

    def _fetch_sets(self, kid: str) -> bool:
        """Fetch from the addresses due. Return whether any responded; in an outage the others keep their last set."""
        answered = has_key = False
        for url in self._due():
            if has_key and url not in self._sets:
                continue
            self._tried_at[url] = self._clock()
            with suppress(OSError, BadKeySet):
                self._keep(url, self._fetch(url))
                answered = True
                has_key = has_key or not kid or kid in self._sets[url]
        return answered

    def _keep(self, url: str, raw: bytes) -> None:
        """Store a set. An unchanged set keeps its keys, and with them the verified tokens. Raises BadKeySet."""
        if raw != self._raw.get(url):
            self._sets[url] = parse_jwks(raw)
            self._raw[url] = raw

    def _due(self) -> list[str]:
        """Return the addresses that may be fetched now."""
        if not self._sets:
            # Without any keys every request fails, so waiting for the cooldown would only prolong an outage.
            return [url for url in self._urls if self._rested(url, UNAVAILABLE_RETRY_SECONDS)]
        main = next(url for url in self._urls if url in self._sets)
        return [main] * self._rested(main, COOLDOWN_SECONDS) + self._others_due(main)

    def _others_due(self, main: str) -> list[str]:
        """Return the others that were never fetched, or else one in turn, so that their number does not matter."""
        others = [url for url in self._urls if url != main]
        if new := [url for url in others if url not in self._tried_at]:
            return new
        if not all(self._rested(url, OTHERS_COOLDOWN_SECONDS) for url in others):
            return []
        return sorted(others, key=self._tried_at.__getitem__)[:1]

    def _rested(self, url: str, seconds: float) -> bool:
        return url not in self._tried_at or self._clock() - self._tried_at[url] >= seconds


def signing_keys(source: str, *others: str) -> RemoteKeys | StaticKeys:
    """Return keys from URLs, or from a JWKS as JSON text or the path of a file (setting ``COGNITO_JWKS``).

    Raises:
        BadKeySet: the static set is invalid, or its file cannot be read.
    """
    if "://" in source and not source.lstrip().startswith("{"):
        return RemoteKeys(source, *others)
    try:
        return StaticKeys(source.encode() if source.lstrip().startswith("{") else Path(source).read_bytes())
    except OSError as error:
        raise BadKeySet(f"COGNITO_JWKS: the file {source!r} cannot be read: {error.strerror}") from None
    except BadKeySet as error:
        raise BadKeySet(f"COGNITO_JWKS: {error}") from None


def parse_jwks(raw: bytes) -> dict[str, PyJWK]:
    """Return the public keys by key id.

    Raises:
        BadKeySet: not JSON, no keys, a duplicate id, or a key that is not an RSA signing key of at least 2048 bits.
    """
    try:
        document = strict_json(raw)
    except NotStrictJSON as error:
        raise BadKeySet(f"not JSON: {error}") from None
    members = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(members, list) or not 0 < len(members) <= MAX_KEYS:
        raise BadKeySet(f"wants an object whose 'keys' lists 1 to {MAX_KEYS} keys")
    keys = [_signing_key(member) for member in members]
    by_id = {str(key.key_id): key for key in keys}
    if len(by_id) != len(keys):
        raise BadKeySet("two keys have the same 'kid'")
    return by_id


def _signing_key(member: Any) -> PyJWK:
    _check_members(member)
    try:
        key = PyJWK(member, algorithm="RS256")
    except (PyJWTError, ValueError, TypeError) as error:
        raise BadKeySet(f"a key cannot be read: {type(error).__name__}") from None
    if not isinstance(key.key, RSAPublicKey) or key.key.key_size < MIN_KEY_BITS:
        raise BadKeySet(f"a key has fewer than {MIN_KEY_BITS} bit")
    if _is_weak(key.key.public_numbers().n):
        raise BadKeySet("a key's modulus is even, or from a broken generator (ROCA, CVE-2017-15361); replace the key")
    return key


def _is_weak(modulus: int) -> bool:
    """Return whether the modulus is even or has ROCA's fingerprint: a power of 65537 modulo every small prime."""
    return modulus % 2 == 0 or all(modulus % prime in powers for prime, powers in _powers_of_65537())


@cache
def _powers_of_65537() -> list[tuple[int, frozenset[int]]]:
    primes = [n for n in range(3, 168, 2) if all(n % divisor for divisor in range(3, n, 2))]
    return [(prime, frozenset(pow(65_537, power, prime) for power in range(prime))) for prime in primes]


def _check_members(member: Any) -> None:
    """Raise BadKeySet unless these are the members of a public RSA key for signatures."""
    if not isinstance(member, dict) or not isinstance(member.get("kid"), str) or not member["kid"]:
        raise BadKeySet("a key has no 'kid'")
    _check_values(member, {"kty": ("RSA",), "alg": ("RS256", None)})
    check_purpose(member)
    if not _PRIVATE.isdisjoint(member):
        raise BadKeySet("a key is private: take it out and replace it at once")


def check_purpose(member: Mapping[str, Any]) -> None:
    """Raise BadKeySet unless the key is meant for verifying signatures only (RFC 7517 sections 4.2 and 4.3)."""
    _check_values(member, {"use": ("sig", None), "key_ops": (["verify"], None)})


def _check_values(member: Mapping[str, Any], wanted: Mapping[str, tuple[Any, ...]]) -> None:
    for name, values in wanted.items():
        if member.get(name) not in values:
            raise BadKeySet(f"a key's {name!r} is {member.get(name)!r}; only RSA keys for RS256 signatures are taken")


def fetch_jwks(url: str, dial: deadlines.Dial = deadlines.dial) -> bytes:
    """Fetch a key set within ``QUESTION_SECONDS`` in all, without redirects, of at most MAX_JWKS_BYTES.

    A socket's timeout restarts with every byte, so a server that sends single bytes could hold a request forever. A
    timer closes the connection instead.

    Raises:
        OSError: no usable response.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"https", "http"}:
        raise OSError(f"keys are fetched by https or http, not by {parts.scheme!r}")
    with deadlines.within(deadlines.QUESTION_SECONDS):
        return _fetched(parts, dial)


def _fetched(parts: SplitResult, dial: deadlines.Dial) -> bytes:
    kind = client.HTTPSConnection if parts.scheme == "https" else client.HTTPConnection
    host = parts.hostname or ""
    connection = kind(host, parts.port)
    late = threading.Event()
    hang_up = threading.Timer(deadlines.left(), _hang_up, [connection, late])
    hang_up.start()
    try:
        connection.sock = dial(host, connection.port)
        if parts.scheme == "https":
            connection.sock = _with_tls(connection.sock, host)
        connection.request("GET", parts.path + (f"?{parts.query}" if parts.query else ""))
        response = connection.getresponse()
        body = response.read(MAX_JWKS_BYTES + 1)
    except (client.HTTPException, ValueError, AttributeError) as error:  # http.client's errors after the timer hung up
        raise OSError("the response is not complete") from error
    finally:
        hang_up.cancel()
        connection.close()
    if late.is_set() or response.status != HTTPStatus.OK or len(body) > MAX_JWKS_BYTES or response.length:
        raise OSError("the response is not a complete JWKS of an allowed size, in time")
    return body


def _with_tls(sock: socket.socket, host: str) -> socket.socket:
    import ssl

    try:
        sock.settimeout(deadlines.left())  # it covers all steps of the handshake together
        return ssl.create_default_context().wrap_socket(sock, server_hostname=host)
    except BaseException:
        sock.close()
        raise


def _hang_up(connection: "client.HTTPConnection", late: threading.Event) -> None:
    late.set()
    with suppress(OSError, AttributeError):
        connection.sock.shutdown(socket.SHUT_RDWR)
