"""Searches everything that the test suite's code writes for what must never be written.

A pytest plugin. It reads what pytest captured of each test (standard output, standard error, logging) and fails the
session, naming the tests, when it finds a token, a prompt of a test or the URL of a Redis. What a test takes out of the
capture itself (``capsys.readouterr``) does not come by here, and with ``--capture=no`` nothing does.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

#: Put it into a test's prompt, and nothing that is logged may hold it.
PROMPT_MARKER = "prompt-that-no-log-may-hold"

#: Every request of a test carries it in headers that no route reads, and ``tests/security/test_any_log.py`` plants it
#: wherever else a caller can write to.
PLANTED = "planted-by-a-caller"

#: Hosts of the examples in messages and documents, which lead nowhere.
_EXAMPLES = re.compile(
    r"rediss?://(?:user:password@)?(?:host|redis\.example\.com)(?::6379)?(?:/0)?|redis://127\.0\.0\.1:6379/0"
)

_WHAT: dict[str, re.Pattern[str]] = {
    "a token": re.compile(r"eyJ[\w-]{6,}\.eyJ[\w-]{6,}\.[\w-]{6,}"),
    "a Redis URL": re.compile(r"rediss?://[\w:\[%][^\s\"'<>\\]*", re.IGNORECASE),
    "what a caller planted": re.compile(re.escape(PLANTED), re.IGNORECASE),
    "a prompt": re.compile(re.escape(PROMPT_MARKER), re.IGNORECASE),
}

_remembered: set[str] = set()


def remember_secret(text: str) -> None:
    """From now on, whatever is written may not hold this text."""
    if len(text) < 8:
        raise ValueError(f"{text!r} is too short to be told from other words")
    _remembered.add(text)


def secrets_in(written: str) -> Iterator[str]:
    """What kinds of secret a text holds."""
    for what, pattern in _WHAT.items():
        if any(not _EXAMPLES.fullmatch(found.rstrip(".,;:)`")) for found in pattern.findall(written)):
            yield what
    if any(secret in written for secret in _remembered):
        yield "a secret that a test remembered"


@dataclass(eq=False)  # pluggy keeps plugins in sets
class LogSearch:
    """What was found in one session: test, place, kind."""

    findings: dict[tuple[str, str, str], None] = field(default_factory=dict)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for place, written in report.sections:
            for what in secrets_in(written):
                self.findings[report.nodeid, place, what] = None

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if hasattr(session.config, "workeroutput"):  # one of several processes: only it knows what its tests remembered
            session.config.workeroutput["secrets"] = list(self.findings)
        if self.findings:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take over what a process of pytest-xdist found."""
        self.findings |= dict.fromkeys(
            tuple(finding) for finding in getattr(node, "workeroutput", {}).get("secrets", [])
        )

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self.findings:
            return
        terminalreporter.section("secrets in what was written", red=True)
        for nodeid, place, what in self.findings:
            terminalreporter.line(f"{nodeid}: {what} in '{place}'", red=True)
        terminalreporter.line("fix: log the request id, and nothing that came from a caller or a setting")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(LogSearch(), "log-search")
