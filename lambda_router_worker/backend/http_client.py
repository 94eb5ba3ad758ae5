"""The HTTP clients for a model server."""

from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import NamedTuple

import httpx

from lambda_router_worker.backend.backend_options import BadBackend

CONNECT_SECONDS = 5.0
WRITE_SECONDS = 30.0
#: uvicorn, which most model servers run under, closes idle connections after 5 s.
IDLE_SECONDS = 4.0


class Clients(NamedTuple):
    """Two clients without a limit on connections: a job that waited for one would hold a lease for nothing.

    Attributes:
        reusing: keeps connections for the next request.
        connecting: opens a new connection for each request.
    """

    reusing: httpx.AsyncClient
    connecting: httpx.AsyncClient


def clients(
    base_url: httpx.URL,
    headers: dict[str, str],
    idle_connections: int,
    obey_proxies: bool,
) -> Clients:
    """Create the clients for one model server.

    Args:
        headers: sent with every request.
        idle_connections: maximum number of idle connections to keep.
        obey_proxies: use ``HTTP_PROXY`` and the like from the environment.

    Raises:
        BadBackend: a proxy from the environment, or the certificate file, cannot be used.
    """
    try:
        verify = httpx.create_ssl_context()  # SSL_CERT_FILE applies with and without proxies

        def client(idle: int) -> httpx.AsyncClient:
            return httpx.AsyncClient(
                base_url=base_url,
                headers=headers,
                timeout=httpx.Timeout(None, connect=CONNECT_SECONDS, write=WRITE_SECONDS),
                limits=httpx.Limits(max_keepalive_connections=idle, keepalive_expiry=IDLE_SECONDS),
                # A load balancer's cookie would send all later jobs to the same server.
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
                verify=verify,
                trust_env=obey_proxies,
            )

        return Clients(client(idle_connections), client(0))
    except ImportError:
        raise BadBackend("--obey-proxies: the environment names a SOCKS proxy; it needs: pip install socksio") from None
    except OSError as error:
        raise BadBackend(f"SSL_CERT_FILE or SSL_CERT_DIR cannot be read: {error.strerror}") from None
    except (ValueError, httpx.InvalidURL):  # the error's text shows the proxy's URL and password
        raise BadBackend("--obey-proxies: the environment names a proxy whose URL cannot be read") from None
