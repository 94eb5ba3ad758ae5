"""Rules about the requests that the proxy serves, judged by a request's head before any of its body is read.

A page in the browser reaches loopback, too. It cannot know the key, and ``Origin`` gives it away. A page whose name was
pointed to 127.0.0.1 after it was loaded (DNS rebinding) is given away by ``Host``.
"""

import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address

from starlette.datastructures import Headers

from lambda_router.addresses import is_loopback
from lambda_router.proxy.refusals import Refused

_HOST = re.compile(r"(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::[0-9]{1,5})?")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?")


@dataclass(frozen=True)
class Rules:
    """What a request must have.

    Attributes:
        key: the proxy's own.
        hosts: further names for which the proxy answers, in lower case.
        origins: pages that may call it, such as ``https://chat.example``.
        is_remote: whether it is bound to more than loopback. Then any address is good as a host, since only names can
            be rebound.
    """

    key: str = field(repr=False)
    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()
    is_remote: bool = False

    def check_place(self, headers: Headers) -> str | None:
        """Return the page's origin if the request comes from one that is allowed.

        Raises:
            Refused: the request names another host, or comes from another page.
        """
        self._check_host(headers.getlist("host"))
        sent = headers.getlist("origin")
        if not sent:
            return None
        if len(sent) > 1 or sent[0].lower() not in self.origins:
            raise Refused(
                403, "origin_not_allowed", "pages may not call the proxy; to let one: --allow-origin with its origin"
            )
        return sent[0]

    def check_key(self, headers: Headers) -> None:
        """Raise Refused unless the proxy's key is there, once."""
        sent = headers.getlist("authorization")
        scheme, _, key = sent[0].partition(" ") if len(sent) == 1 else ("", "", "")
        is_right = hmac.compare_digest(key.strip().encode("latin-1"), self.key.encode())
        if scheme.lower() != "bearer" or not is_right:
            raise Refused(
                401, "invalid_api_key", "wrong key or none: give the tool what `lambda-router proxy --show-key` prints"
            )

    def _check_host(self, sent: list[str]) -> None:
        found = _HOST.fullmatch(sent[0]) if len(sent) == 1 else None
        host = (found["v6"] or found["name"]).lower() if found else ""
        is_known = is_loopback(host) or host in self.hosts or (self.is_remote and _is_address(host))
        if not is_known:
            raise Refused(
                403, "host_not_allowed", "the proxy does not answer for that host name; to let it: --allow-host NAME"
            )


def host_names(typed: Iterable[str]) -> frozenset[str]:
    """Return the names of ``--allow-host``. Raises ValueError with the one that is none."""
    names = [name.lower() for name in typed]
    for name in names:
        if not (found := _HOST.fullmatch(name)) or found["name"] != name:
            raise ValueError(name)
    return frozenset(names)


def origins(typed: Iterable[str]) -> frozenset[str]:
    """Return the origins of ``--allow-origin``. Raises ValueError with the one that is none."""
    found = [each.lower().rstrip("/") for each in typed]
    for each in found:
        if not _ORIGIN.fullmatch(each):
            raise ValueError(each)
    return frozenset(found)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
