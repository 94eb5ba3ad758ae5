"""Where a caller's list of jobs goes on: an opaque cursor over (created at, id), newest first."""

import base64
import binascii
import re
from typing import NamedTuple

from chalicelib.errors import MalformedRequest
from chalicelib.queue_keys import QueueKeys

#: A page looks at no more jobs than this, however few match its ``status``.
MAX_SCANNED_JOBS = 500

_CURSOR = re.compile(r"(\d{1,15}):(job_[0-9a-f]{32})", re.ASCII)


class Cursor(NamedTuple):
    """A job's place in its caller's list: milliseconds since 1970, and its id."""

    created_at: int
    job_id: str

    def encode(self) -> str:
        return base64.urlsafe_b64encode(f"{self.created_at}:{self.job_id}".encode()).rstrip(b"=").decode()

    @classmethod
    def decode(cls, text: str) -> "Cursor":
        """Raises MalformedRequest for anything that ``encode`` did not write."""
        try:
            match = _CURSOR.fullmatch(base64.b64decode(text + "=" * (-len(text) % 4), b"-_", True).decode("ascii"))
        except (binascii.Error, ValueError):
            match = None
        cursor = cls(int(match[1]), match[2]) if match else None
        if cursor is None or cursor.encode() != text:
            raise MalformedRequest(
                "cursor is not one that this API gave out; leave it away to start with the newest job."
            )
        return cursor


class Place(NamedTuple):
    """A cursor and the queue that its job is in."""

    cursor: Cursor
    queue: QueueKeys
