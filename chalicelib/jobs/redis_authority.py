"""An authority of one's own for Redis's certificate, from an SSM parameter, fetched again after it was replaced."""

import ssl  # wiring imports this module only for a function that has such an authority
import threading
import time
from collections.abc import Callable

from chalicelib.observability import log
from chalicelib.parameters import ParameterUnavailable, fetch_parameter

SETTING = "REDIS_CA_PARAMETER"
#: Minimum time between fetches. An authority that was replaced is trusted within it.
COOLDOWN_SECONDS = 60


class ParameterAuthority:
    """The certificates in a parameter. They are kept until a server's certificate is not trusted.

    Args:
        parameter: the parameter's name.
        pem: its value, as fetched with the Redis URL.

    Raises:
        ParameterUnavailable: the value has no certificate, or more than certificates.
    """

    def __init__(
        self,
        parameter: str,
        pem: str,
        *,
        fetch: Callable[[str, str], str] = fetch_parameter,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._parameter = parameter
        self._pem = _certificates(parameter, pem)
        self._fetch = fetch
        self._clock = clock
        self._tried_at = clock()
        self._lock = threading.Lock()

    def pem(self) -> str:
        """Return the certificates."""
        return self._pem

    def read_again(self) -> None:
        """Fetch the certificates again, at most once a minute. If that fails, the old ones stay, and the log says why.

        The server may have a new certificate by a new authority, or be an impostor: what the parameter holds decides.
        """
        with self._lock:
            if self._clock() - self._tried_at < COOLDOWN_SECONDS:
                return
            self._tried_at = self._clock()
            try:
                self._pem = _certificates(self._parameter, self._fetch(SETTING, self._parameter))
            except ParameterUnavailable as error:
                log.error("authority_unread", extra={"explanation": str(error)})


def _certificates(parameter: str, pem: str) -> str:
    """Return the text if a TLS client accepts it. Raises ParameterUnavailable, which quotes nothing of it."""
    if "PRIVATE KEY" in pem:
        raise _unusable(parameter, "a private key, which belongs to the authority's owner alone,")
    try:
        # The one method that reads all of a text; without a text it would load the system's authorities.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError, TypeError):
        raise _unusable(parameter, "no certificate") from None
    return pem


def _unusable(parameter: str, found: str) -> ParameterUnavailable:
    return ParameterUnavailable(
        f"{SETTING}: the SSM parameter {parameter!r} holds {found} where it has to hold the authority's certificates as"
        " PEM, which begin with -----BEGIN CERTIFICATE-----"
    )
