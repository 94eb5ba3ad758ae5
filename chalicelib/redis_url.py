"""What a Redis URL may look like; checked without ever being shown."""

import re
from urllib.parse import parse_qs, urlsplit

#: What a URL's scheme ends in when it names a node of a cluster.
CLUSTER_SUFFIX = "+cluster"
SCHEMES = frozenset({"redis", "rediss", f"redis{CLUSTER_SUFFIX}", f"rediss{CLUSTER_SUFFIX}"})

#: Options that a URL may carry; redis-py takes any of its arguments, and would quote a wrong one's value.
OPTIONS = frozenset({"ssl_ca_certs", "ssl_cert_reqs", "ssl_check_hostname"})

WANTED = (
    "wants redis://host:6379/0, or rediss://user:password@host:6379/0 with TLS; of a cluster, redis+cluster:// or"
    " rediss+cluster://; percent-encode what is special in a password"
)


class BadRedisURL(ValueError):
    """The text is no such URL. The message says what is wanted and holds nothing of what was found."""

    def __init__(self) -> None:
        super().__init__(WANTED)


def check_redis_url(url: str) -> str:
    """The URL, if it is one. Raises BadRedisURL."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in SCHEMES and bool(parts.hostname) and parts.port != 0
        options = parse_qs(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise BadRedisURL from None
    if not usable or parts.fragment or not re.fullmatch(r"(/\d*)?", parts.path) or not options.keys() <= OPTIONS:
        raise BadRedisURL
    return url


def without_cluster(url: str) -> tuple[str, bool]:
    """The URL as redis-py knows it, and whether it names a cluster."""
    scheme, separator, rest = url.partition("://")
    return scheme.removesuffix(CLUSTER_SUFFIX) + separator + rest, scheme.endswith(CLUSTER_SUFFIX)
