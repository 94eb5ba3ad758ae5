"""What processes and the server hold while a load runs: memory and sockets, as Linux and the server count them."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.site import Site

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Sample:
    """At one moment.

    Attributes:
        at: seconds from the first sample.
        process_bytes: in memory (RSS).
        server_bytes: in use by the server, by its own count.
    """

    at: float
    process_bytes: int
    server_bytes: int
    sockets: int


@dataclass
class Resources:
    """Samples of these processes and of the site's server."""

    pids: Sequence[int]
    site: Site
    samples: list[Sample] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)

    def sample(self) -> None:
        """Look now. The server has to be there."""
        self.samples.append(
            Sample(
                time.monotonic() - self._began,
                sum(_bytes_in_memory(pid) for pid in self.pids),
                int(self.site.main.db.info("memory")["used_memory"]),
                sum(_sockets(pid) for pid in self.pids),
            )
        )

    def growth(self, of: Callable[[Sample], int], after: float) -> float:
        """How much more the last quarter after that moment held at most than the first quarter: 0.05 is 5 %."""
        values = [of(sample) for sample in self.samples if sample.at >= after]
        quarter = max(1, len(values) // 4)
        return max(values[-quarter:]) / max(values[:quarter]) - 1


def _bytes_in_memory(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES


def _sockets(pid: int) -> int:
    """Sockets that the process has open."""
    return sum(_target(link).startswith("socket:") for link in Path(f"/proc/{pid}/fd").iterdir())


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:  # closed meanwhile
        return ""
