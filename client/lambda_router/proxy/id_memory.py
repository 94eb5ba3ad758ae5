"""Servers of the ids that went through: bounded, and gone when the proxy ends."""

from collections import OrderedDict

_MOST = 10_000


class IdMemory:
    """The last ids that were seen. What one server said first, another cannot take."""

    def __init__(self, most: int = _MOST) -> None:
        self._servers: OrderedDict[str, str] = OrderedDict()
        self._most = most

    def remember(self, digits: str, server: str) -> None:
        """Keep that the id is from that server, unless it is known already."""
        self._servers.setdefault(digits, server)
        self._servers.move_to_end(digits)
        while len(self._servers) > self._most:
            self._servers.popitem(last=False)

    def server_of(self, digits: str) -> str | None:
        """Return the server's name if the id is known."""
        if digits in self._servers:
            self._servers.move_to_end(digits)
        return self._servers.get(digits)
