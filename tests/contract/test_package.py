"""What ``chalice package`` builds is what Lambda can run."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from chalicelib import __version__
from tests.contract.repository import ROOT, files, name_of

pytestmark = [pytest.mark.package, pytest.mark.timeout(180)]

SHIPPED = ("app.py", "chalicelib/", "vendor/", "requirements.txt", ".chalice/config.json", ".chalice/policy-dev.json")
#: What Lambda's own Python has; a stand-in folder of links plays it.
LAMBDA_HAS = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3")
#: Lambda takes no more by direct upload.
MAX_ZIP_BYTES = 50_000_000

_FIRST_REQUEST = """
import json, sys
from pathlib import Path
sys.path[:0] = sys.argv[1:3]
import app
class Context:
    function_version = "7"
    aws_request_id = "request-1"
    def get_remaining_time_in_millis(self): return 29000
event = {
    "resource": "/health", "path": "/health", "httpMethod": "GET", "headers": {}, "multiValueHeaders": {},
    "queryStringParameters": None, "multiValueQueryStringParameters": None, "pathParameters": None,
    "stageVariables": None, "body": None, "isBase64Encoded": False,
    "requestContext": {"resourcePath": "/health", "httpMethod": "GET", "path": "/api/health", "requestId": "request-1"},
}
answer = app.app(event, Context())
files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
places = {str(Path(file).parent) for file in files if file}
print()
print(json.dumps({"answer": answer, "path": sys.path, "places": sorted(places)}))
"""

#: Chalice's main returns its status instead of ending with it.
_CHALICE = "import sys; from chalice.cli import main; sys.exit(main())"


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that ``chalice package --stage dev`` writes."""
    source = tmp_path_factory.mktemp("source")
    for path in files():
        if name_of(path).startswith(SHIPPED):
            (source / name_of(path)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, source / name_of(path))
    out = tmp_path_factory.mktemp("out")
    ran = subprocess.run(
        [sys.executable, "-c", _CHALICE, "package", "--stage", "dev", str(out)],
        cwd=source,
        env=os.environ | {"AWS_DEFAULT_REGION": "eu-central-1"},  # noqa: TID251
        check=False,
        capture_output=True,
        text=True,
        timeout=170,
    )
    said = ran.stdout + ran.stderr
    assert ran.returncode == 0, said
    # A wheel that cannot be had is a warning to Chalice, and exit status 0.
    assert "Could not install dependencies" not in said, said
    return out


@pytest.fixture(scope="module")
def unzipped(packaged: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("task")
    with zipfile.ZipFile(packaged / "deployment.zip") as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runtime")
    for name in LAMBDA_HAS:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        place = Path(spec.origin)
        target = place.parent if place.name == "__init__.py" else place
        (folder / target.name).symlink_to(target)
    return folder


def test_the_package_answers_its_first_request(unzipped: Path, runtime: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _FIRST_REQUEST, str(unzipped), str(runtime)],
        env={"PATH": os.defpath},
        cwd=unzipped,
        check=False,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    said: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])

    assert said["answer"]["statusCode"] == 200
    assert json.loads(said["answer"]["body"]) == {"status": "ok", "version": __version__, "function_version": "7"}
    assert not [place for place in [*said["path"], *said["places"]] if "site-packages" in place or str(ROOT) in place]


def test_the_package_holds_what_lambda_needs_and_nothing_else(unzipped: Path) -> None:
    held = {path.name for path in unzipped.iterdir()}

    assert {
        "app.py",
        "chalicelib",
        "lambda_router_queue",
        "chalice",
        "pydantic",
        "jwt",
        "redis",
        "cryptography",
    } <= held
    assert held & {"boto3", "botocore", "lambda_router_worker", "tools", "tests", "docs", "httpx", "pytest"} == set()


def test_the_scripts_are_in_the_package(unzipped: Path) -> None:
    shipped = {path.relative_to(unzipped).as_posix() for path in unzipped.rglob("*.lua")}
    ours = {name_of(path) for path in files(".lua") if name_of(path).startswith(("chalicelib/", "vendor/"))}

    assert shipped == {name.removeprefix("vendor/") for name in ours}


def test_the_package_fits_into_lambda(packaged: Path) -> None:
    assert (packaged / "deployment.zip").stat().st_size <= MAX_ZIP_BYTES


def test_the_template_has_the_stages_settings(packaged: Path) -> None:
    template = json.loads((packaged / "sam.json").read_text())
    function = template["Resources"]["APIHandler"]["Properties"]
    config = json.loads((ROOT / ".chalice/config.json").read_text())

    assert function["Runtime"] == "python3.13"
    assert function["Timeout"] == 29
    assert function["Environment"]["Variables"] == config["stages"]["dev"]["environment_variables"]
