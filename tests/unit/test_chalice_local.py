"""What of Chalice's own requests is completed, what stays refused, and what ``.env`` may say."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from awslambdaric.lambda_context import LambdaContext as RuntimesContext
from chalice.local import LambdaContext as ChalicesContext
from chalice.local import LambdaEventConverter, RouteMatcher

import app as app_module
from chalicelib import wiring
from chalicelib.chalice_local import with_env_file
from chalicelib.settings import LOCAL_ENV_FILE, SettingsError
from tests.conftest import LambdaContext, Router, gateway_event
from tests.contract.repository import fresh_python

type Written = Callable[[str], dict[str, str]]

RUNTIMES = RuntimesContext("request", None, None, 0, "arn:aws:lambda:eu-central-1:123456789012:function:router")
SENT = {"content-type": "application/json"}


def chalices_event(body: bytes = b"{}") -> dict[str, Any]:
    """What Chalice makes of a request, by its own code."""
    converter = LambdaEventConverter(RouteMatcher(list(app_module.app.routes)))
    event: dict[str, Any] = converter.create_lambda_event("POST", "/v1/jobs", SENT, body)
    return event


def called(event: Any, context: Any) -> int:
    status: int = app_module.app(event, context)["statusCode"]
    return status


def test_chalices_event_is_taken_from_chalices_context(router: Router) -> None:
    assert called(chalices_event(), ChalicesContext("router", 512)) == 401


@pytest.mark.parametrize("context", [RUNTIMES, LambdaContext(), None], ids=["Lambda's", "another", "none"])
def test_chalices_event_is_refused_from_any_other_context(router: Router, context: Any) -> None:
    """Whoever may invoke the function chooses the event, but the runtime makes the context."""
    assert called(chalices_event(), context) == 400


@pytest.mark.parametrize("member", ["headers", "pathParameters", "stageVariables", "requestContext", "isBase64Encoded"])
def test_a_gateways_event_stays_as_strict_in_chalices_context(router: Router, member: str) -> None:
    event = gateway_event("POST", "/v1/jobs", {}, {})
    assert called(event, ChalicesContext("router", 512)) == 401
    del event[member]
    assert called(event, ChalicesContext("router", 512)) == 400


def test_a_chalice_event_with_an_odd_body_is_still_refused(router: Router) -> None:
    assert called(chalices_event() | {"body": {"no": "bytes"}}, ChalicesContext("router", 512)) == 400


def test_an_event_in_lambda_imports_nothing_of_this() -> None:
    said = fresh_python("import app, sys; app.app({}, None); print('chalicelib.chalice_local' in sys.modules)")
    assert said.splitlines()[-1] == "False"


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """A shell in stage ``local`` whose ``.env`` is this."""

    def write(text: str) -> dict[str, str]:
        (tmp_path / ".env").write_text(text)
        return {LOCAL_ENV_FILE: str(tmp_path / ".env")}

    return write


def test_the_file_fills_in_and_the_shell_wins_even_when_empty(written: Written) -> None:
    shell = written(
        "export ROUTER_QUEUE=a\nROUTER_SCOPE='b c' # mine\nROUTER_QUEUE_CAP=7\nREDIS_URL=redis://:p${x}@h\n"
    )
    found = with_env_file(shell | {"ROUTER_QUEUE": "mine", "ROUTER_QUEUE_CAP": ""})

    assert dict(found) == shell | {
        "ROUTER_QUEUE": "mine",
        "ROUTER_SCOPE": "b c",
        "ROUTER_QUEUE_CAP": "",
        "REDIS_URL": "redis://:p${x}@h",
    }


def test_nothing_but_settings_is_taken_from_the_file(written: Written) -> None:
    shell = written("AWS_PROFILE=other\nPATH=/nowhere\nROUTER_NAME_THAT_IS_NONE=x\n")

    assert with_env_file(shell).keys() - shell.keys() == {"ROUTER_NAME_THAT_IS_NONE"}  # Settings names it


def test_no_file_is_no_fault(tmp_path: Path) -> None:
    assert with_env_file({LOCAL_ENV_FILE: str(tmp_path / "none")}).keys() == {LOCAL_ENV_FILE}


def test_a_line_that_is_none_is_named_and_not_shown(written: Written) -> None:
    with pytest.raises(SettingsError, match=r"^\.env, line 2: ") as refused:
        with_env_file(written("ROUTER_QUEUE=a\nREDIS_URL='redis://:hunter2@h\n"))
    assert "hunter2" not in str(refused.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"ROUTER_QUEUE=\xff")
    for path in (tmp_path, tmp_path / ".env"):
        with pytest.raises(SettingsError, match="cannot be read"):
            with_env_file({LOCAL_ENV_FILE: str(path)})


def test_lambda_reads_no_file(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in written("ROUTER_CORS_ORIGIN=https://evil.example.com\n").items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("ROUTER_CORS_ORIGIN", raising=False)
    assert wiring.surface().cors_origin == "https://evil.example.com"
    monkeypatch.setenv("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001")
    assert wiring.surface().cors_origin == ""
