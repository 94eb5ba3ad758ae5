"""``lambda-router-worker``: options, help, refusals."""

import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lambda_router_worker.cli import main

NO_VARIABLES = dict.fromkeys(
    ["REDIS_URL", "WORKER_REDIS_URL_FILE", "WORKER_QUEUE", "WORKER_HANDLER", "WORKER_BACKEND", "WORKER_MODEL",
     "WORKER_CONCURRENCY", "WORKER_LEASE_SECONDS", "WORKER_MAX_DEATHS", "WORKER_HEALTH_PORT", "WORKER_HEALTH_HOST",
     "ROUTER_STACK", "BACKEND_API_KEY", "WORKER_API_KEY_FILE", "WORKER_OBEY_PROXIES", "WORKER_LOG_FORMAT"]
)  # fmt: skip
A_REDIS = "redis://127.0.0.1:1/0"
BACKEND = ["--model", "m", "--backend"]
DEMO = ["--handler", "lambda_router_worker.demo:answer"]

REFUSED_OPTIONS: dict[str, tuple[list[str], dict[str, str], str]] = {
    "no REDIS_URL": (DEMO, {}, "REDIS_URL"),
    "empty REDIS_URL": (DEMO, {"REDIS_URL": ""}, "REDIS_URL"),
    "URL on the command line": ([*DEMO, "--redis-url", A_REDIS], {}, "No such option"),
    "two URLs": ([*DEMO, "--redis-url-file", "no-such"], {"REDIS_URL": A_REDIS}, "give one of them"),
    "two URLs, by variable": (DEMO, {"REDIS_URL": A_REDIS, "WORKER_REDIS_URL_FILE": "no-such"}, "give one of them"),
    "two URLs of a command": (["stats", "--redis-url-file", "no-such"], {"REDIS_URL": A_REDIS}, "give one of them"),
    "URL file of a command": (["stats"], {"WORKER_REDIS_URL_FILE": "no-such"}, "--redis-url-file 'no-such' cannot be"),
    "neither handler nor backend": ([], {"REDIS_URL": A_REDIS}, "either --handler module:function or --backend URL"),
    "both": ([*DEMO, "--backend", "http://b", "--model", "m"], {"REDIS_URL": A_REDIS}, "either --handler"),
    "both, one by variable": (DEMO, {"REDIS_URL": A_REDIS, "WORKER_BACKEND": "http://b"}, "either --handler"),
    "backend without model": (["--backend", "http://b"], {"REDIS_URL": A_REDIS}, "--backend wants --model NAME"),
    "backend with a password": ([*BACKEND, "http://a:hunter2@b"], {"REDIS_URL": A_REDIS}, "BACKEND_API_KEY"),
    "backend with a query": ([*BACKEND, "http://b/v1?a=b"], {"REDIS_URL": A_REDIS}, "without ? and #"),
    "key on the command line": ([*BACKEND, "http://b", "--backend-api-key", "x"], {"REDIS_URL": A_REDIS}, "No such"),
    "key file missing": ([*BACKEND, "http://b", "--api-key-file", "no-such"], {"REDIS_URL": A_REDIS}, "cannot be read"),
    "no such option": ([*DEMO, "--colour", "red"], {"REDIS_URL": A_REDIS}, "--colour"),
    "concurrency 0": ([*DEMO, "--concurrency", "0"], {"REDIS_URL": A_REDIS}, "1<=x<=1024"),
    "concurrency word": ([*DEMO, "--concurrency", "many"], {"REDIS_URL": A_REDIS}, "--concurrency"),
    "lease 2": ([*DEMO, "--lease-seconds", "2"], {"REDIS_URL": A_REDIS}, "3<=x<=3600"),
    "no deaths": ([*DEMO, "--max-deaths", "0"], {"REDIS_URL": A_REDIS}, "1<=x<=100"),
    "no such command": (["dance"], {"REDIS_URL": A_REDIS}, "No such command 'dance'"),
    "no name of a queue": ([*DEMO, "--queue", "Bad Queue"], {"REDIS_URL": A_REDIS}, "'Bad Queue' does not match"),
    "no name of a queue, by variable": (DEMO, {"REDIS_URL": A_REDIS, "WORKER_QUEUE": "a{b}"}, "'a{b}' does not match"),
    "a cluster's database": (DEMO, {"REDIS_URL": "redis+cluster://127.0.0.1:1/3"}, "names a database"),
    "a user without a password": (DEMO, {"REDIS_URL": "redis://hunter2@127.0.0.1:1/0"}, "a user and no password"),
    "an unknown check": (DEMO, {"REDIS_URL": "rediss://127.0.0.1:1/0?ssl_cert_reqs=hunter2"}, "another ssl_cert_reqs"),
    "no name of a stack": ([*DEMO, "--stack", "Prod!"], {"REDIS_URL": A_REDIS}, "'Prod!' does not match"),
    "no name of a stack, by variable": (DEMO, {"REDIS_URL": A_REDIS, "ROUTER_STACK": "Prod!"}, "does not match"),
    "port 65536": ([*DEMO, "--health-port", "65536"], {"REDIS_URL": A_REDIS}, "0<=x<=65535"),
    "handler without function": (["--handler", "os.path"], {"REDIS_URL": A_REDIS}, "wants module:function"),
    "handler without module": (["--handler", ":answer"], {"REDIS_URL": A_REDIS}, "wants module:function"),
    "no such module": (["--handler", "no_such:answer"], {"REDIS_URL": A_REDIS}, "cannot be imported"),
    "no such function": (["--handler", "os.path:question"], {"REDIS_URL": A_REDIS}, "has no 'question'"),
    "not callable": (["--handler", "lambda_router_worker.demo:__doc__"], {"REDIS_URL": A_REDIS}, "takes one argument"),
    "no argument": (["--handler", "os:getpid"], {"REDIS_URL": A_REDIS}, "takes one argument"),
    "two arguments": (["--handler", "operator:add"], {"REDIS_URL": A_REDIS}, "takes one argument"),
    "unreadable signature": (["--handler", "builtins:dict"], {"REDIS_URL": A_REDIS}, "takes one argument"),
    "relative module": (["--handler", ".demo:answer"], {"REDIS_URL": A_REDIS}, "cannot be imported"),
}  # fmt: skip


def invoke(arguments: list[str], variables: dict[str, str]) -> Any:
    return CliRunner().invoke(main, arguments, env=NO_VARIABLES | variables, prog_name="lambda-router-worker")


@pytest.mark.parametrize(("arguments", "variables", "words"), REFUSED_OPTIONS.values(), ids=REFUSED_OPTIONS.keys())
def test_options_that_make_no_sense_are_refused_with_clear_words(
    arguments: list[str], variables: dict[str, str], words: str
):
    result = invoke(arguments, variables)
    assert (result.exit_code, type(result.exception)) == (2, SystemExit)
    assert result.output.startswith("Usage: lambda-router-worker ")
    assert words in " ".join(result.output.split())
    assert "hunter2" not in result.output


def test_a_health_host_that_cannot_be_a_name_is_refused_by_its_option() -> None:
    refused = invoke([*DEMO, "--health-port", "0", "--health-host", "a..b"], {"REDIS_URL": A_REDIS})

    assert refused.exit_code == 1
    assert "--health-host 'a..b'" in refused.output


@pytest.mark.parametrize(
    "url",
    [
        "hunter2",
        "http://:hunter2@host:6379/0",
        "redis://",
        "redis:///0",
        "unix:///run/redis.sock?password=hunter2",
        "redis://:hunter2@host:port/0",
        "redis://:hunter2@host:99999/0",
        "redis://:hunter2@[::1/0",
        "redis://user:hunter#2@host:6379/0",
        "redis://user:hunter/2@host:6379/0",
        "redis://:hunter2@host:6379/123456",
        "redis://:hunter2@host:6379/٣",
    ],
    ids=["word", "http", "no host", "path only", "socket", "port word", "port 99999", "half an IPv6 address",
         "# in the password", "/ in the password", "database of six digits", "other digits"],
)  # fmt: skip
def test_a_redis_url_that_is_none_is_refused_without_being_shown(url: str):
    result = invoke(DEMO, {"REDIS_URL": url})
    assert (result.exit_code, type(result.exception)) == (2, SystemExit)
    assert "wants redis://host:6379/0" in result.output
    assert "hunter" not in result.output


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read"),
        (b" \n", "is empty"),
        (b"redis://:hunter2@host:port/0\n", "wants redis://host:6379/0"),
        (b"redis://:hunter2@host:6379/0\nredis://:hunter3@host:6379/0\n", "several lines"),
        ("redis://:hunter2ü@host:6379/0".encode("utf-16"), "UTF-8"),
        (b"redis://:" + b"hunter2" * 2_000 + b"@host:6379/0", "more than 8192 bytes"),
    ],
    ids=["missing", "empty", "port word", "two lines", "UTF-16", "a book"],
)
def test_a_url_file_that_holds_none_is_named_without_being_shown(tmp_path: Path, content: bytes | None, words: str):
    file = tmp_path / "url"
    if content is not None:
        file.write_bytes(content)
    result = invoke([*DEMO, "--redis-url-file", str(file)], {})
    assert (result.exit_code, type(result.exception)) == (2, SystemExit)
    text = " ".join(result.output.split())
    assert f"--redis-url-file '{file}'" in text
    assert words in text
    assert "hunter" not in text


def test_a_folder_is_no_url_file(tmp_path: Path):
    result = invoke([*DEMO, "--redis-url-file", str(tmp_path)], {})
    assert (result.exit_code, type(result.exception)) == (2, SystemExit)
    assert str(tmp_path) in " ".join(result.output.split())


@pytest.mark.parametrize("name", ["boto3", "cryptography"])
def test_a_worker_of_encrypted_jobs_that_cannot_decrypt_does_not_start(monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.setitem(sys.modules, name, None)  # as if it were not installed
    result = invoke([*DEMO, "--kms-key-id", "alias/jobs"], {"REDIS_URL": A_REDIS})
    assert (result.exit_code, type(result.exception)) == (2, SystemExit)
    text = " ".join(result.output.split())
    assert f"wants {name}: " in text
    assert "lambda-router-worker[kms]" in text


def test_the_version_of_a_checkout_is_not_that_of_a_package():
    result = invoke(["--version"], {})
    assert (result.exit_code, result.output) == (0, "lambda-router-worker of a checkout\n")


def test_help_of_a_command_wants_no_url():
    assert invoke(["stats", "--help"], {"WORKER_REDIS_URL_FILE": "no-such"}).exit_code == 0


def test_help_names_every_option_and_its_variable():
    result = invoke(["--help"], {})
    assert result.exit_code == 0
    for option in (
        "--redis-url-file",
        "--queue",
        "--handler",
        "--backend",
        "--model",
        "--concurrency",
        "--health-port",
    ):
        assert option in result.output
    for variable in NO_VARIABLES:
        assert variable in result.output
