"""The pages in the package: all of them or nothing, as router_docs says, and Swagger UI without what it comes in."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chalicelib.pages.files import SWAGGER_UI, SWAGGER_UI_PACKAGE
from tests.conftest import gateway_event
from tests.contract.repository import files, name_of
from tests.deploy.cloud.runtime_api import RuntimeApi
from tests.deploy.kit.artefact import built, running
from tools.merge.document import merge
from tools.merge.openapi import API_HANDLER
from tools.merge.shape import part
from tools.package import pages
from tools.package.source import copy_source
from tools.stack.configured import Stack
from tools.stack.refusal import Refusal
from tools.stack.repository import SBOM

pytestmark = [pytest.mark.package, pytest.mark.timeout(300)]

#: What the pages may add to the zip. With Swagger UI's next versions it may grow by a fifth.
MOST_BYTES = 600_000
MARGIN_BYTES = 60_000
PATHS = {"/", "/docs", "/docs/oauth2-redirect", "/pages/{name}"}


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def function(environ: dict[str, str]) -> Iterator[RuntimeApi]:
    with running(built(has_pages=True).task, environ | {"ROUTER_DOCS": "true"}) as api:
        yield api


def test_with_the_pages_it_has_their_files_and_swagger_uis_two_and_nothing_else() -> None:
    ours = {name_of(path) for path in files() if name_of(path).startswith("chalicelib/pages/")}
    swagger_ui = {f"{SWAGGER_UI_PACKAGE}/dist/{name}" for name in (*SWAGGER_UI, "LICENSE")}

    added = names(built(has_pages=True).task) - names(built().task)

    assert {name for name in added if not name.endswith(".pyc")} == ours | swagger_ui
    assert names(built().task) - names(built(has_pages=True).task) == set()


def test_without_them_it_has_no_file_of_theirs() -> None:
    assert [name for name in names(built().task) if "/pages/" in name or "swagger" in name] == []


def test_their_routes_come_and_go_with_their_files() -> None:
    off, on = (set(json.loads(_locals(is_on)["chalice_api_swagger"])["paths"]) for is_on in (False, True))

    assert (on - off, off - on) == (PATHS, set())


def test_the_document_says_whether_it_has_them() -> None:
    assert [_locals(is_on)["has_pages"] for is_on in (False, True)] == [False, True]


def test_the_function_gets_what_the_package_was_built_with() -> None:
    documents = [built(has_pages=is_on).document for is_on in (False, True)]
    variables = [part(document, "resource", *API_HANDLER, "environment", "variables") for document in documents]

    assert [each["ROUTER_DOCS"] for each in variables] == ["false", "true"]


def test_the_zip_grows_by_less_than_it_may() -> None:
    grown = built(has_pages=True).zip.stat().st_size - built().zip.stat().st_size

    assert grown <= MOST_BYTES - MARGIN_BYTES


def test_the_list_of_what_is_in_it_names_swagger_ui() -> None:
    def listed(is_on: bool) -> dict[str, str]:
        document = json.loads((built(has_pages=is_on).zip.parent / SBOM).read_text())
        return {each["name"]: each["version"] for each in document["components"]}

    added = listed(True).items() - listed(False).items()

    assert [name for name, _ in added] == ["flask-swagger-ui"]


def test_the_packaged_function_serves_them(function: RuntimeApi) -> None:
    for path in ("/", "/docs"):
        answer = function.invoke(gateway_event("GET", path, None, {}))
        assert (answer["statusCode"], answer["headers"]["Content-Type"]) == (200, "text/html; charset=utf-8"), path

    bundle = function.invoke(_file("swagger-ui-bundle.js"))

    assert bundle["statusCode"] == 200
    assert "SwaggerUIBundle" in bundle["body"]
    assert not bundle.get("isBase64Encoded")  # the gateway compresses text alone


@pytest.fixture
def source(tmp_path: Path) -> Path:
    copy_source(tmp_path / "source", "terraform", None)
    return tmp_path / "source"


def stack(folder: Path, value: str = "", **environ: str) -> Stack:
    """A folder of Terraform with that value."""
    folder.mkdir()
    environ = {**os.environ, **environ}  # noqa: TID251
    (folder / "settings.tf").write_text(
        'variable "router_docs" {\n  description = "x"\n  type        = string\n  default     = "false"\n}\n'
    )
    if value:
        (folder / "stack.auto.tfvars").write_text(f"router_docs = {value}\n")
    return Stack(folder.parent, folder, environ)


@pytest.mark.parametrize(
    ("value", "is_on"), [("", False), ("true", True), ('"true"', True), ("false", False), ('"false"', False)]
)
def test_the_stacks_variable_decides(terraform: None, source: Path, tmp_path: Path, value: str, is_on: bool) -> None:
    assert pages.wanted(source, "terraform", stack(tmp_path / "stack", value)) is is_on


def test_without_terraform_the_shells_variable_is_read(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERRAFORM", str(tmp_path / "no-such-program"))

    assert pages.wanted(source, "terraform", stack(tmp_path / "stack", TF_VAR_router_docs="true"))


def test_a_folder_without_terraform_wants_no_pages(source: Path, tmp_path: Path) -> None:
    """A release's files are built beside no stack."""
    assert not pages.wanted(source, "terraform", Stack(tmp_path, tmp_path, {"TF_VAR_router_docs": "true"}))


def test_a_value_that_is_neither_is_refused(terraform: None, source: Path, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"^router_docs is 'yes': set it to true or false$"):
        pages.wanted(source, "terraform", stack(tmp_path / "stack", '"yes"'))


def test_stage_devs_own_value_decides(source: Path, tmp_path: Path) -> None:
    config = json.loads((source / ".chalice/config.json").read_text())
    config["stages"]["dev"]["environment_variables"]["ROUTER_DOCS"] = "true"
    (source / ".chalice/config.json").write_text(json.dumps(config))

    assert pages.wanted(source, "dev", Stack(tmp_path, tmp_path, {}))


def _locals(is_on: bool) -> dict[str, Any]:
    return dict(merge(built(has_pages=is_on).document)["locals"])


def _file(name: str) -> dict[str, Any]:
    event = gateway_event("GET", f"/pages/{name}", None, {})
    event["resource"] = event["requestContext"]["resourcePath"] = "/pages/{name}"
    return event | {"pathParameters": {"name": name}}
