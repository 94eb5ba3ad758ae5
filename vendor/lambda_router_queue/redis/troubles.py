"""Explanations of Redis failures, each with its fix: for terminals and logs, never for callers.

They quote nothing of the URL. Of Redis's own words they quote at most the first, which names the error: the others may
quote a command.
"""

import errno
import re
from collections.abc import Iterator, Mapping
from enum import StrEnum

from lambda_router_queue.redis.wire import (
    CERTIFICATE_WANTED,
    HANDSHAKE,
    HTTP,
    NO_REDIS,
    SILENT_END,
    TLS_ALERT,
    Broken,
    Refused,
)


class Trouble(StrEnum):
    """The known troubles, each with its sentence."""

    LOGIN = (
        "Redis does not accept the user and password in REDIS_URL: there is no such user, it is off, or it has another"
        " password. 'ACL LIST' on the server shows its users; percent-encode special characters in the URL."
    )
    NO_LOGIN = "Redis wants a password, and REDIS_URL has none: redis://user:password@host:6379/0."
    LOGIN_UNWANTED = (
        "REDIS_URL has a password, and the default user of this Redis has none: name the user that has it,"
        " redis://user:password@host:6379/0, or leave the password out."
    )
    DATABASE = (
        "Redis has no database with the number at the end of REDIS_URL: most servers have 0 to 15, clusters only 0."
        " Correct the number or leave it out."
    )
    MAY_NOT = "Redis does not allow the user in REDIS_URL to do this: docs/operations.md#users lists what to allow."
    PROTECTED = "Redis runs in protected mode and takes no connection from another machine: give its users passwords."
    CLUSTER = "REDIS_URL names a node of a cluster as a single server: write redis+cluster:// or rediss+cluster://."
    NO_CLUSTER = "REDIS_URL names a single server as a cluster: write redis:// or rediss:// without '+cluster'."
    NOTHING_LISTENS = "Nothing listens at the host and port in REDIS_URL: start Redis there, or correct them."
    NO_HOST = "The host name in REDIS_URL is not known here: correct it, or look at this machine's DNS."
    NO_ROUTE = "There is no route to the host in REDIS_URL: look at this machine's network, VPN and security groups."
    LATE = (
        "Redis did not answer in time: a firewall or security group drops what is sent there, or the server is"
        " overloaded. 'valkey-cli -u \"$REDIS_URL\" PING' asks it from here."
    )
    HUNG_UP = "Redis closed the connection: it was restarted, or somebody between here and there closed it."
    NO_TLS = (
        "The port in REDIS_URL does not speak TLS: write redis:// instead of rediss://, or name the server's TLS port."
    )
    TLS = "The port in REDIS_URL speaks TLS: write rediss:// instead of redis://, or name the server's plain port."
    MAYBE_TLS = (
        "The server hung up without a word, as a TLS port does when it is asked without TLS: write rediss:// instead of"
        " redis://, or correct host and port in REDIS_URL."
    )
    HTTP = "A web server answers at the host and port in REDIS_URL: correct them; Redis is usually at port 6379."
    NO_REDIS = "What answers at the host and port in REDIS_URL is no Redis: correct them."
    CERTIFICATE = (
        "The server's certificate is not trusted: 'lambda-router-worker check' says more. Name an authority of your own"
        " with ?ssl_ca_certs=FILE."
    )
    UNKNOWN_AUTHORITY = (
        "The server's certificate is from an authority that is not known here: name it in REDIS_URL with"
        " ?ssl_ca_certs=FILE, or to the function with REDIS_CA_PARAMETER."
    )
    OTHER_HOST = (
        "The server's certificate is for another host than the one in REDIS_URL: use a name that it was issued for."
    )
    NOT_ITS_TIME = (
        "The server's certificate, or its authority's, has expired or is not valid yet: renew it, or correct the clock"
        " of this machine."
    )
    CLIENT_CERTIFICATE = (
        "The server wants a certificate from its clients, and REDIS_URL cannot name one: set 'tls-auth-clients no' on"
        " the server."
    )
    AUTHORITY = "The file that ssl_ca_certs in REDIS_URL names cannot be read as certificates: correct its path."
    WAIT = "Redis is starting or failing over and takes no commands yet: wait; if it lasts, read the server's log."
    CLIENTS = "Redis has as many connections as its 'maxclients' allows: raise it, or run fewer workers."
    FULL = "Redis's memory is full: raise 'maxmemory', or start workers, which free it."
    DISK = "Redis cannot write to its disk and takes no writes: make room there; the server's log says more."
    BUSY = "Redis is busy with somebody's script: wait, or 'SCRIPT KILL' on the server."


#: Start of the text of ``ssl.SSLCertVerificationError``; OpenSSL's reason follows.
_VERIFY_FAILED = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed"

#: Start of Redis's error, name of an exception, or reason of Broken → the trouble.
_TROUBLES: Mapping[str, Trouble] = {
    "WRONGPASS": Trouble.LOGIN,
    "invalid password": Trouble.LOGIN,
    "invalid username-password": Trouble.LOGIN,
    "NOAUTH": Trouble.NO_LOGIN,
    "Protocol error: unauthenticated": Trouble.NO_LOGIN,
    "Authentication required": Trouble.NO_LOGIN,
    "AUTH <password> called without": Trouble.LOGIN_UNWANTED,
    "DB index is out of range": Trouble.DATABASE,
    "invalid DB index": Trouble.DATABASE,
    "SELECT is not allowed in cluster mode": Trouble.DATABASE,
    "NOPERM": Trouble.MAY_NOT,
    "ACL failure": Trouble.MAY_NOT,
    "DENIED": Trouble.PROTECTED,
    "MOVED": Trouble.CLUSTER,
    "ASK": Trouble.CLUSTER,
    "Cluster mode is not enabled": Trouble.NO_CLUSTER,
    "LOADING": Trouble.WAIT,
    "READONLY": Trouble.WAIT,
    "MASTERDOWN": Trouble.WAIT,
    "CLUSTERDOWN": Trouble.WAIT,
    "TRYAGAIN": Trouble.WAIT,
    "NOREPLICAS": Trouble.WAIT,
    "max number of clients reached": Trouble.CLIENTS,
    "OOM": Trouble.FULL,
    "MISCONF": Trouble.DISK,
    "BUSY": Trouble.BUSY,
    HANDSHAKE: Trouble.NO_TLS,
    f"{_VERIFY_FAILED}: self-signed certificate": Trouble.UNKNOWN_AUTHORITY,
    f"{_VERIFY_FAILED}: unable to get": Trouble.UNKNOWN_AUTHORITY,
    f"{_VERIFY_FAILED}: Hostname mismatch": Trouble.OTHER_HOST,
    f"{_VERIFY_FAILED}: IP address mismatch": Trouble.OTHER_HOST,
    f"{_VERIFY_FAILED}: certificate has expired": Trouble.NOT_ITS_TIME,
    f"{_VERIFY_FAILED}: certificate is not yet valid": Trouble.NOT_ITS_TIME,
    "[SSL: CERTIFICATE_VERIFY_FAILED]": Trouble.CERTIFICATE,
    "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED]": Trouble.CLIENT_CERTIFICATE,
    CERTIFICATE_WANTED: Trouble.CLIENT_CERTIFICATE,
    "[X509": Trouble.AUTHORITY,
    "[SSL": Trouble.NO_TLS,
    "SSLEOFError": Trouble.NO_TLS,
    "SSL handshake is taking longer": Trouble.NO_TLS,
    TLS_ALERT: Trouble.TLS,
    SILENT_END: Trouble.MAYBE_TLS,
    HTTP: Trouble.HTTP,
    NO_REDIS: Trouble.NO_REDIS,
    "[Errno -": Trouble.NO_HOST,
    "gaierror": Trouble.NO_HOST,
    "ConnectionRefusedError": Trouble.NOTHING_LISTENS,
    f"Multiple exceptions: [Errno {errno.ECONNREFUSED}]": Trouble.NOTHING_LISTENS,  # a name with several addresses
    "FileNotFoundError": Trouble.AUTHORITY,
    "PermissionError": Trouble.AUTHORITY,
    "TimeoutError": Trouble.LATE,
    f"[Errno {errno.EHOSTUNREACH}]": Trouble.NO_ROUTE,
    f"[Errno {errno.ENETUNREACH}]": Trouble.NO_ROUTE,
    "ConnectionResetError": Trouble.HUNG_UP,
    "BrokenPipeError": Trouble.HUNG_UP,
}

_NAME = re.compile(r"[A-Z]{2,}\b")


def explain(error: BaseException) -> str:
    """Return a sentence about one of Redis's errors, or of the connection's, with the fix."""
    trouble = trouble_of(error)
    if trouble is not None:
        return trouble.value
    named = _NAME.match(str(error))
    said = named[0] if isinstance(error, Broken | Refused) and named else type(error).__name__
    return f"Redis cannot be used ({said}): look at REDIS_URL and at the server's log."


def trouble_of(error: BaseException) -> Trouble | None:
    """Return the trouble behind an error, or None if it is unknown.

    redis-py hides the error that matters behind one or two of its own, so the causes of an error are searched too.
    """
    words = list(_words(error))
    known = (trouble for each in words for first, trouble in _TROUBLES.items() if each.startswith(first))
    return next(known, None)


def _words(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield str(error).removeprefix("ERR ")
        yield type(error).__name__
        error = error.__cause__ or error.__context__
