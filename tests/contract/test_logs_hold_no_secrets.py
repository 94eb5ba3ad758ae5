"""The search of what the suite writes (``tests/log_secrets.py``) finds what it looks for, and is in force."""

import textwrap

import pytest

from tests import log_secrets
from tests.contract.repository import ROOT
from tests.log_secrets import PROMPT_MARKER, secrets_in

#: In parts, so that this file's own output, should a test fail, is no finding.
TOKEN = ".".join(("eyJhbGciOiJSUzI1NiJ9", "eyJzdWIiOiJhbGljZSJ9", "c2lnbmF0dXJl"))
URL = "://".join(("rediss", "user:hunter2@cache.internal:6379/0"))


def test_the_search_is_in_force(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.pluginmanager.has_plugin("log-search"), (
        "pyproject.toml's addopts want: -p pytester -p tests.log_secrets"
    )


@pytest.mark.parametrize(
    ("written", "found"),
    [
        (f'{{"authorization": "Bearer {TOKEN}"}}', ["a token"]),
        (f"cannot connect to {URL}", ["a Redis URL"]),
        (f"REDIS_URL={URL.upper()}", ["a Redis URL"]),
        (f"prompt: {PROMPT_MARKER.upper()}", ["a prompt"]),
        (f"{TOKEN} {URL}", ["a token", "a Redis URL"]),
        ("must look like redis://host:6379/0, or rediss://user:password@host:6379/0 with TLS", []),
        ("cannot connect to redis" + "://:hunter2@[::1]:6379", ["a Redis URL"]),
        ("one of the following schemes (redis://, rediss://, unix://)", []),
        ("such as 'redis://127.0.0.1:6379/0' (…)", []),
        ('{"job_id": "job_00000000000000000000000000000000", "reason": "iss"}', []),
    ],
)
def test_it_knows_secrets_from_other_words(written: str, found: list[str]) -> None:
    assert list(secrets_in(written)) == found


def test_it_knows_what_it_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_secrets, "_remembered", set())
    log_secrets.remember_secret("correct horse battery")

    assert list(secrets_in("the correct horse battery staple")) == ["a secret that a test remembered"]


def test_it_refuses_what_would_be_found_everywhere() -> None:
    with pytest.raises(ValueError, match="too short"):
        log_secrets.remember_secret("alice")


@pytest.mark.parametrize(
    ("statement", "place"),
    [
        ("print(SECRET)", "Captured stdout call"),
        ("print(SECRET, file=sys.stderr)", "Captured stderr call"),
        ("os.system('echo ' + SECRET)", "Captured stdout call"),
        ("logging.getLogger('app').warning(SECRET)", "Captured log call"),
    ],
    ids=["stdout", "stderr", "a child process", "logging"],
)
def test_it_fails_a_session_whose_tests_all_pass(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, statement: str, place: str
) -> None:
    result = _session(pytester, monkeypatch, statement)

    result.assert_outcomes(passed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([f"test_leak.py::test_leaks: a token in '{place}'"])


def test_it_leaves_a_clean_session_alone(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    result = _session(pytester, monkeypatch, "print('nothing to see')")

    result.assert_outcomes(passed=1)
    assert result.ret == pytest.ExitCode.OK


def test_it_finds_what_a_fixture_writes_and_what_a_test_remembered(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = _session(pytester, monkeypatch, "remember_secret('hunter2-hunter2')", teardown="print('hunter2-hunter2')")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*test_leaks: a secret that a test remembered in 'Captured stdout teardown'"])


def test_it_finds_what_was_remembered_in_one_of_several_processes(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    statement, teardown = "remember_secret('hunter2-hunter2')", "print('hunter2-hunter2')"

    result = _session(pytester, monkeypatch, statement, teardown, "-p", "xdist.plugin", "-n", "1")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*test_leaks: a secret that a test remembered in 'Captured stdout teardown'"])


def _session(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    statement: str,
    teardown: str = "pass",
    *options: str,
) -> pytest.RunResult:
    """A session of one passing test, in a process of its own."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # others' plugins take seconds to import
    pytester.makepyfile(
        test_leak=textwrap.dedent(
            f"""
            import logging, os, sys
            import pytest
            from tests.log_secrets import remember_secret

            SECRET = {TOKEN!r}

            @pytest.fixture
            def resource():
                yield
                {teardown}

            def test_leaks(resource):
                {statement}
            """
        )
    )
    return pytester.runpytest_subprocess("-p", "tests.log_secrets", *options)
