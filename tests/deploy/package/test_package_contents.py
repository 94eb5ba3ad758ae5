"""The package holds what a running function reads, and no more than it can import."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import MakeToken, gateway_event
from tests.contract.repository import files, name_of
from tests.deploy.kit.artefact import built, lambda_python
from tools.package.bytecode import OURS
from tools.package.contents import LEFT_OUT, METADATA_READ
from tools.package.writer import contents_table, unpack

pytestmark = [pytest.mark.package, pytest.mark.timeout(300)]

_RUN = """
import json, os, sys
task, runtime, events = os.path.realpath(sys.argv[1]), sys.argv[2], json.load(sys.stdin)
opened, compiled = set(), set()
def hook(event, arguments):
    if event == "open" and isinstance(arguments[0], str):
        opened.add(os.path.realpath(arguments[0]))
    elif event == "import" and isinstance(arguments[1], str):
        opened.add(os.path.realpath(arguments[1]))
    elif event == "compile" and isinstance(arguments[1], str) and arguments[1].endswith(".py"):
        compiled.add(arguments[1])
sys.addaudithook(hook)
sys.path[:0], sys.path[len(sys.path):] = [task], [runtime]
import app
class Context:
    function_version, aws_request_id = "7", "request-1"
    def get_remaining_time_in_millis(self): return 29000
statuses, job = [], ""
for event in events:
    text = json.dumps(event).replace("job_id_of_the_first", job)
    answer = app.app(json.loads(text), Context())
    statuses.append(answer["statusCode"])
    job = job or json.loads(answer["body"] or "{}").get("id", "")
print()
inside = sorted(os.path.relpath(path, task) for path in opened if path.startswith(task + os.sep))
print(json.dumps({"statuses": statuses, "opened": inside, "compiled": sorted(compiled)}))
"""

#: What Lambda starts itself.
EXECUTABLE = {"chalicelib/streaming/wrapper"}
OPEN_PATHS = ("/health", "/ready", "/openapi.json", "/.well-known/oauth-protected-resource")
JOB = {"type": "generate", "input": {"prompt": "Why is the sky blue?"}}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Chalice's own package, with all that its wheels hold."""
    folder = tmp_path_factory.mktemp("whole")
    unpack(built().original, folder)
    return folder


@pytest.fixture
def events(make_token: MakeToken) -> list[dict[str, Any]]:
    """Every route, and every way to be refused."""
    good = {"Authorization": f"Bearer {make_token()}", "Content-Type": "application/json"}
    expired = good | {"Authorization": f"Bearer {make_token(exp=1)}"}
    one = "/v1/jobs/job_id_of_the_first"
    return [
        gateway_event("POST", "/v1/jobs", JOB, good | {"Idempotency-Key": '"a"', "traceparent": "no"}),
        gateway_event("POST", "/v1/jobs", JOB | {"type": "unknown"}, good),
        gateway_event("POST", "/v1/jobs", b"{", good),
        gateway_event("POST", "/v1/jobs", JOB, good | {"Content-Type": "text/plain"}),
        gateway_event("POST", "/v1/jobs", JOB, expired),
        gateway_event("POST", "/v1/jobs", JOB, {}),
        gateway_event("POST", "/v1/jobs/batch", {"jobs": [JOB, JOB]}, good),
        gateway_event("GET", "/v1/jobs", None, good, {"limit": ["1"]}),
        gateway_event("GET", one, None, good),
        gateway_event("GET", one, None, good | {"Prefer": "wait=1"}),
        gateway_event("DELETE", one, None, good),
        gateway_event("PUT", "/v1/jobs", None, good),
        *(gateway_event("GET", path, None, {"Host": "example.com"}) for path in OPEN_PATHS),
    ]


def _run(task: Path, settings: Mapping[str, str], events: list[dict[str, Any]]) -> dict[str, Any]:
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", _RUN, str(task), str(lambda_python())],
        input=json.dumps(events),
        env={"PATH": os.defpath, "AWS_REGION": "eu-central-1"} | dict(settings),
        check=False,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    said: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return said


def test_every_file_that_a_run_of_the_whole_opens_is_shipped(
    whole: Path, environ: dict[str, str], events: list[dict[str, Any]]
) -> None:
    said = _run(whole, environ, events)

    assert said["statuses"] == [202, 422, 400, 415, 401, 401, 200, 200, 200, 200, 200, 405, 200, 200, 200, 200]
    assert len(said["opened"]) > 100
    assert _needed(said, whole) - _names() == set()


def test_every_file_that_a_run_without_servers_opens_is_shipped(
    whole: Path, environ: dict[str, str], events: list[dict[str, Any]]
) -> None:
    nowhere = {"REDIS_URL": "redis://127.0.0.1:1/0", "COGNITO_JWKS": "http://127.0.0.1:1/jwks.json"}

    said = _run(whole, environ | nowhere, events)

    assert set(said["statuses"]) == {503, 405, 200, 401}
    assert _needed(said, whole) - _names() == set()


def test_nothing_is_compiled_when_it_starts(environ: dict[str, str], events: list[dict[str, Any]]) -> None:
    said = _run(built().task, environ, events)

    assert said["statuses"][0] == 202
    assert said["compiled"] == []


def test_each_source_has_bytecode_that_no_time_can_spoil() -> None:
    compiled = [name for name in _names() if name.endswith(".pyc")]

    ours = {name for name in _names() if name.endswith(".py")}
    assert {name for name in ours if not name.startswith(OURS)} == set()
    assert {_source_of(name) for name in compiled if "__pycache__" in name} == ours
    # PEP 552: the flags behind the magic number; hash-based, and not checked against the source.
    assert {(built().task / name).read_bytes()[4:8] for name in compiled} == {b"\x01\x00\x00\x00"}


def test_packages_keep_the_docstrings_of_classes_and_leave_away_those_of_functions() -> None:
    bytecode = (built().task / "jwt/api_jws.pyc").read_bytes()

    assert b"Returns a list of supported values" not in bytecode
    assert b"/var/task/jwt/api_jws.py" in bytecode


def test_bytecode_names_the_place_where_lambda_unpacks() -> None:
    bytecode = (built().task / "chalicelib/__pycache__/wiring.cpython-313.pyc").read_bytes()

    assert b"/var/task/chalicelib/wiring.py" in bytecode


def test_all_of_ours_is_in_it() -> None:
    ours = {name_of(path).removeprefix("vendor/") for path in files() if name_of(path).startswith(("vendor", *OURS))}
    ours = {name for name in ours if not name.startswith("chalicelib/pages/")}  # test_package_pages.py

    assert ours - {"lambda_router_queue/py.typed"} <= _names()  # a mark for type checkers


def test_what_never_runs_is_not_in_it() -> None:
    tops = {name.split("/")[0] for name in _names()}
    metadata = {name for name in _names() if ".dist-info/" in name}

    never = {"boto3", "botocore", "cffi", "pycparser", "lambda_router_worker", "tools", "tests", "pip", "setuptools"}
    assert tops & never == set()
    assert [name for name in _names() if name.endswith((".pyi", ".typed", ".js", ".md", ".txt"))] == []
    assert {name.split("-")[0] for name in metadata} == set(METADATA_READ)
    assert all(name.endswith("/METADATA") for name in metadata)
    left_out = [name for name in _names() for pattern in LEFT_OUT if fnmatchcase(name, pattern)]
    assert [name for name in left_out if name not in metadata] == []


def test_what_a_developers_machine_needs_is_not_in_the_zip() -> None:
    """``chalicelib/entry.py`` knows by it that no request in Lambda comes from Chalice's own server."""
    roots = {name for name in _names() if name.startswith(("chalice/", "dotenv", ".env"))}

    assert {_source_of(name) for name in roots} == {"chalice/__init__.py", "chalice/app.py"}


def test_the_zip_depends_on_nothing_but_names_and_contents() -> None:
    with zipfile.ZipFile(built().zip) as archive:
        entries = archive.infolist()

    assert [entry.filename for entry in entries] == sorted(entry.filename for entry in entries)
    assert {(entry.date_time, entry.create_system) for entry in entries} == {((1980, 1, 1, 0, 0, 0), 3)}
    assert {entry.external_attr >> 16 for entry in entries if entry.filename not in EXECUTABLE} == {0o100644}


def test_lambda_can_execute_what_git_says_is_executable() -> None:
    with zipfile.ZipFile(built().zip) as archive:
        modes = {entry.filename: entry.external_attr >> 16 for entry in archive.infolist()}

    assert {name for name, mode in modes.items() if mode == 0o100755} == EXECUTABLE


def test_the_table_adds_up() -> None:
    with zipfile.ZipFile(built().zip) as archive:
        total = sum(entry.file_size for entry in archive.infolist())
    lines = list(contents_table(built().zip))

    assert lines[-1].split()[:3] == ["all", str(len(_names())), f"{total:,}"]
    assert {"cryptography", "chalicelib", "app"} <= {line.split()[0] for line in lines}


def _needed(said: dict[str, Any], whole: Path) -> set[str]:
    """Files, not mere tries; pydantic asks every distribution whether it is a plugin of its own, and none is."""
    opened = {name for name in said["opened"] if (whole / name).is_file() and not name.endswith("/entry_points.txt")}
    shipped_as_bytecode = {_source_of(name) for name in _names() if name.endswith(".pyc")}
    return opened - shipped_as_bytecode


def _source_of(name: str) -> str:
    return name.replace("__pycache__/", "").replace(".cpython-313", "").removesuffix("c")


def _names() -> set[str]:
    with zipfile.ZipFile(built().zip) as archive:
        return set(archive.namelist())
