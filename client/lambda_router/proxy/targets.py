"""Paths of requests: only plain ones below ``/v1``, so that no trick leads elsewhere."""

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from lambda_router import servers
from lambda_router.proxy.refusals import Refused

_ID = re.compile(r"(?:job|resp|chatcmpl)[_-]([0-9A-Za-z]{16,64})")
#: In a text that is still arriving, digits may go on.
_WHOLE_ID = re.compile(_ID.pattern + r"(?![0-9A-Za-z])(?=.)", re.DOTALL)
_PREFIX = re.compile(rf"(?:/(?P<server>{servers.NAME.pattern}))?/v1/(?P<rest>.+)")
#: Decoded once. What is encoded twice, or begins with a dot, could be read as something else behind us.
_PLAIN = re.compile(r"(?!\.)[\x21-\x24\x26-\x5b\x5d-\x7e]+")


@dataclass(frozen=True)
class Target:
    """A path below ``/v1``.

    Attributes:
        server: the server that the path names (``/NAME/v1/…``).
        raw: the rest as it was sent, such as ``models/a%2Fb``.
        parts: the rest decoded and split at slashes.
        query: as it was sent, without the question mark.
    """

    server: str | None
    raw: str
    parts: tuple[str, ...]
    query: str

    @property
    def digits(self) -> str | None:
        """What the path's job and response have in common, if it names one."""
        if len(self.parts) < 2 or self.parts[0] not in {"jobs", "responses"}:
            return None
        return digits_of(self.parts[1])

    @property
    def model(self) -> str | None:
        """The model that the path names, with its slashes."""
        return "/".join(self.parts[1:]) if self.parts[0] == "models" and len(self.parts) > 1 else None

    @property
    def path(self) -> str:
        """Path and query below the server's base URL."""
        return f"{self.raw}?{self.query}" if self.query else self.raw


def target_of(raw_path: bytes, query: bytes) -> Target:
    """Return what a request asks for.

    Raises:
        Refused: it is not below ``/v1``, or its path is not plain.
    """
    found = _PREFIX.fullmatch(raw_path.decode("latin-1"))
    if found is None:
        raise Refused(404, "not_found", "there is nothing here: the tool's base URL must end in /v1")
    rest = found["rest"]
    parts = tuple(unquote_to_bytes(rest).decode("latin-1").split("/"))
    if not all(_PLAIN.fullmatch(part) for part in parts):
        raise Refused(400, "bad_path", "the path has a segment that is empty, dotted, or encoded twice")
    return Target(found["server"], rest, parts, query.decode("latin-1"))


def digits_of(text: str) -> str | None:
    """Return the digits of a job's or response's id; None if it is none."""
    found = _ID.fullmatch(text)
    return found[1] if found else None


def first_digits(content: bytes) -> str | None:
    """Return the digits of the first id in the beginning of an answer."""
    found = _WHOLE_ID.search(content.decode("latin-1"))
    return found[1] if found else None
