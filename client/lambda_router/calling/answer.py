"""The answer on standard output. What is written cannot be taken back, so it is compared with what comes again."""

from collections.abc import Callable

from lambda_router.errors import KitError


class AnswerChangedError(KitError):
    """The words that were written are not those of the answer."""


class Answer:
    """Writes an answer once, even if its beginning is read several times.

    Args:
        write: writes a part of it.
        begin_over: called when what was written is void, before the new answer; None raises AnswerChangedError instead.
        fetch: the command that prints the answer, for the error.
    """

    def __init__(self, write: Callable[[str], None], begin_over: Callable[[], None] | None, fetch: str) -> None:
        self._write = write
        self._begin_over = begin_over
        self._fetch = fetch
        self._written = ""
        self._place = 0

    @property
    def written(self) -> str:
        """All of it up to now."""
        return self._written

    def anew(self) -> None:
        """Expect the answer from its beginning."""
        self._place = 0

    def add(self, text: str) -> None:
        """Write the next part, without what was written before.

        Raises:
            AnswerChangedError: it contradicts what was written.
        """
        known = self._written[self._place : self._place + len(text)]
        if not text.startswith(known):
            self._restart(self._written[: self._place] + text)
            return
        self._append(text[len(known) :])
        self._place += len(text)

    def end(self, whole: str | None) -> None:
        """Write what is missing from the whole answer; None if there is nothing to compare with.

        Raises:
            AnswerChangedError: it contradicts what was written.
        """
        if whole is None:
            return
        if not whole.startswith(self._written):
            self._restart(whole)
            return
        self._append(whole[len(self._written) :])

    def end_line(self) -> None:
        """End the last line of an answer, as text files and terminals want it."""
        if self._written and not self._written.endswith("\n"):
            self._append("\n")

    def _append(self, text: str) -> None:
        if text:
            self._written += text
            self._write(text)

    def _restart(self, text: str) -> None:
        if self._begin_over is None:
            raise AnswerChangedError(
                "the words that were written are void: the job was tried again, and its answer differs."
                f" {self._fetch} prints it once it is there"
            )
        self._begin_over()
        self._written = ""
        self._append(text)
        self._place = len(text)
