"""Addresses of the stacks whose pages sign people in at the local pool."""

from pathlib import Path

from tools.doctor.redirects import page_redirects


class PageAddresses:
    """Addresses of APIs, each with a ``/`` at its end, in a file. A stack that starts adds its own.

    Args:
        folder: where the pool keeps its files; None for no addresses.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._file = folder / "pages" if folder else None

    def set(self, *addresses: str) -> None:
        """Replace all addresses."""
        if self._file is not None:
            self._file.write_text("".join(f"{address}\n" for address in addresses))

    def add(self, *addresses: str) -> None:
        """Add addresses to those that are there."""
        self.set(*dict.fromkeys([*self.all(), *addresses]))

    def all(self) -> list[str]:
        """Return all addresses: where a sign-out may return to."""
        try:
            return self._file.read_text().split() if self._file else []
        except FileNotFoundError:
            return []

    def redirects(self) -> list[str]:
        """Return the addresses to which a sign-in may return."""
        return [redirect for address in self.all() for redirect in page_redirects(address)]
