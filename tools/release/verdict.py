"""The one rule for taking a release back: a fault must be seen, and seen again a minute later.

What could not be checked (no name, no response, AWS denies or throttles) says nothing about the release, and changes
nothing. ``docs/deploy.md`` has the exit statuses.
"""

from collections.abc import Callable, Iterable

import click

from tools.stack.findings import Finding, Status, lines, status_of
from tools.stack.patience import Patience

type Look = Callable[[], Iterable[Finding]]


class Verdict:
    """Repeated looks while something is not as it should be.

    Attributes:
        findings: of the last look, as far as it got.
    """

    def __init__(self, look: Look, patience: Patience) -> None:
        self.findings: list[Finding] = []
        self._look = look
        self._wrong, self._unseen = patience.anew(), patience.anew()
        self._again_seconds = patience.seconds

    @property
    def status(self) -> Status:
        """Return the status of the last look, as far as it got."""
        return status_of(self.findings)

    def reach(self) -> Status:
        """Return the status once all is well, or was wrong or out of reach for as long as patience lasts.

        Each of the two has its own clock, which starts when it is first seen. So "wrong" means seen to be wrong at both
        ends of that time, and never seen to be well in between. Time out of reach alone never adds up to it.
        """
        self._see()
        if self.status is not Status.OK and self._again_seconds:
            click.echo(f"repeating the checks for {self._again_seconds:g} s before this is final")
        while self.status is not Status.OK and self._patience.again():
            self._see()
        return self.status

    @property
    def _patience(self) -> Patience:
        return self._wrong if self.status is Status.DIFFERS else self._unseen

    def _see(self) -> None:
        """Print each finding at once; after the first look only those that changed."""
        before, self.findings = self.findings, []
        for finding in self._look():
            self.findings.append(finding)
            if finding not in before:
                click.echo("\n".join(lines(finding)))
