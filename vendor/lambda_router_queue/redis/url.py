"""Validation and parsing of a Redis URL, which is never shown."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Self
from urllib.parse import parse_qs, unquote, urlsplit

if TYPE_CHECKING:
    import ssl

#: End of the scheme of a URL that names a node of a cluster.
CLUSTER_SUFFIX = "+cluster"
SCHEMES = frozenset({"redis", "rediss", f"redis{CLUSTER_SUFFIX}", f"rediss{CLUSTER_SUFFIX}"})

#: Options that a URL may have. redis-py accepts any of its arguments, and would quote a wrong one's value.
OPTIONS = frozenset({"ssl_ca_certs", "ssl_cert_reqs", "ssl_check_hostname"})

#: Values of ``ssl_cert_reqs``, as redis-py names them.
CERTIFICATE_CHECKS = frozenset({"none", "optional", "required"})

#: Values that redis-py reads as false, so that one URL means the same for a cluster and a server.
_NO = frozenset({"0", "F", "FALSE", "N", "NO"})
DEFAULT_PORT = 6379

WANTED = (
    "wants redis://host:6379/0, or rediss://user:password@host:6379/0 with TLS; of a cluster, redis+cluster:// or"
    " rediss+cluster://; percent-encode what is special in a password"
)


#: Without a password there is no login, so every command would run as the default user.
_HALF_A_LOGIN = (
    "has a user and no password; wants redis://user:password@host:6379/0, with any password for a user that needs none"
)
_WANTS_NO_DATABASE = "names a database, and a cluster has none but 0; wants redis+cluster://host:6379, without a number"
#: ``urlsplit`` drops tabs and the ends of lines, so two lines would become one URL.
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_WANTS_ONE_LINE = "has several lines, or control characters; wants one URL alone, such as redis://host:6379/0"
_WANTS_OPTIONS = f"has another option than {', '.join(sorted(OPTIONS))}; write a ? in a password as %3F"
_WANTS_CHECK = f"has another ssl_cert_reqs than {', '.join(sorted(CERTIFICATE_CHECKS))}"


class BadRedisURL(ValueError):
    """The text is not a valid Redis URL. The message says what is expected, and quotes nothing of the text."""

    def __init__(self, wanted: str = WANTED) -> None:
        super().__init__(wanted)


def check_redis_url(url: str) -> str:
    """Return the URL without white space around it, if it is valid. Raises BadRedisURL."""
    url = url.strip()
    if _CONTROL.search(url):
        raise BadRedisURL(_WANTS_ONE_LINE)
    try:
        parts = urlsplit(url)
        usable = parts.scheme in SCHEMES and bool(parts.hostname) and parts.port != 0
        options = parse_qs(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise BadRedisURL from None
    if not usable or parts.fragment or not re.fullmatch(r"(/[0-9]{0,5})?", parts.path):
        raise BadRedisURL
    if not options.keys() <= OPTIONS:
        raise BadRedisURL(_WANTS_OPTIONS)
    if parts.username and not parts.password:
        raise BadRedisURL(_HALF_A_LOGIN)
    if parts.scheme.endswith(CLUSTER_SUFFIX) and int(parts.path.removeprefix("/") or 0):
        raise BadRedisURL(_WANTS_NO_DATABASE)
    if not CERTIFICATE_CHECKS.issuperset(options.get("ssl_cert_reqs", ())):
        raise BadRedisURL(_WANTS_CHECK)
    return url


def without_cluster(url: str) -> tuple[str, bool]:
    """Return the URL as redis-py accepts it, and whether it names a cluster."""
    scheme, separator, rest = url.partition("://")
    return scheme.removesuffix(CLUSTER_SUFFIX) + separator + rest, scheme.endswith(CLUSTER_SUFFIX)


class TLS(NamedTuple):
    """The rules by which a server's certificate is checked.

    Attributes:
        authority: a file with certificates to trust besides the system's; None for the system's alone.
        verify: ``none``, ``optional`` or ``required``, as redis-py names them.
        own_authority: returns certificates, as PEM, that are trusted in place of the system's; asked at each handshake.
    """

    authority: str | None
    verify: str
    check_hostname: bool
    own_authority: Callable[[], str] | None = None

    def context(self) -> "ssl.SSLContext":
        """Return a client's context. Raises OSError if the authority's file cannot be read."""
        import ssl

        context = ssl.create_default_context(cadata=self.own_authority() if self.own_authority else None)
        context.check_hostname = self.check_hostname
        context.verify_mode = ssl.VerifyMode[f"CERT_{self.verify.upper()}"]
        if self.authority is not None:
            context.load_verify_locations(self.authority)
        return context


@dataclass(frozen=True, repr=False)
class RedisAddress:
    """A server's address, and the login; never shown, since it contains a password."""

    host: str
    port: int
    username: str | None
    password: str | None
    database: int
    tls: TLS | None

    @classmethod
    def of(cls, url: str, own_authority: Callable[[], str] | None = None) -> Self:
        """Parse a URL that ``check_redis_url`` accepted, without ``+cluster``."""
        parts = urlsplit(url)
        options = {name: values[0] for name, values in parse_qs(parts.query).items()}
        verify = options.get("ssl_cert_reqs", "required")
        checked = options.get("ssl_check_hostname", "yes").upper() not in _NO and verify != "none"
        rules = TLS(options.get("ssl_ca_certs"), verify, checked, own_authority)
        return cls(
            host=unquote(parts.hostname or ""),
            port=parts.port or DEFAULT_PORT,
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            database=int(parts.path.removeprefix("/") or 0),
            tls=rules if parts.scheme == "rediss" else None,
        )

    def greetings(self) -> Iterator[tuple[str | int, ...]]:
        """Yield the commands that a new connection begins with; none if they would change nothing."""
        if self.password is not None:
            yield ("AUTH", self.username, self.password) if self.username else ("AUTH", self.password)
        if self.database:
            yield ("SELECT", self.database)
