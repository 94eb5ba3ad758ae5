"""One rule for whatever takes a release back: only what was seen to be wrong, and still is a minute later, counts.

What could not be looked at (no name, no answer, AWS denies or throttles) says nothing about the release, and changes
nothing. ``docs/deploy.md`` has the exit statuses.
"""

from collections.abc import Callable, Iterable

import click

from tools.stack.findings import Finding, Status, lines, status_of
from tools.stack.patience import Patience

type Look = Callable[[], Iterable[Finding]]


class Verdict:
    """Looks, and again while something is not as it should be.

    Attributes:
        findings: of the last look, as far as it came.
    """

    def __init__(self, look: Look, patience: Patience) -> None:
        self.findings: list[Finding] = []
        self._look = look
        self._wrong, self._unseen = patience.anew(), patience.anew()
        self._again_seconds = patience.seconds

    @property
    def status(self) -> Status:
        """Of the last look, as far as it came."""
        return status_of(self.findings)

    def reach(self) -> Status:
        """The status once all is well, or was wrong, or out of reach, for as long as patience lasts.

        Each has a clock of its own, from its first sight on. So wrong is what was seen to be wrong at both ends of
        that time and never seen to be well in between; time out of reach alone never adds up to it.
        """
        self._see()
        if self.status is not Status.OK and self._again_seconds:
            click.echo(f"looking again for {self._again_seconds:g} s before that is the verdict")
        while self.status is not Status.OK and self._patience.again():
            self._see()
        return self.status

    @property
    def _patience(self) -> Patience:
        return self._wrong if self.status is Status.DIFFERS else self._unseen

    def _see(self) -> None:
        """Print each finding as soon as it is there; after the first look only those that changed."""
        before, self.findings = self.findings, []
        for finding in self._look():
            self.findings.append(finding)
            if finding not in before:
                click.echo("\n".join(lines(finding)))
