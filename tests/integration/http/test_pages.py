"""The pages at / and /docs: who gets them, what is in them, and what no request can put into them."""

import gzip
import html
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest

import app as app_module
from chalicelib import wiring
from chalicelib.api.status_routes import serve_pages
from chalicelib.callers.app_clients import AppClients
from chalicelib.pages import files
from chalicelib.parameters import ParameterUnavailable
from chalicelib.settings import Surface
from tests.conftest import LambdaContext, gateway_event
from tests.integration.conftest import BuildRouter

DOMAIN = "https://team.auth.eu-central-1.amazoncognito.com"
LOGIN = "2h68lg6dqr28n1fnm23EXAMPLE"
PAGES = ("/", "/docs", "/docs/oauth2-redirect")
EVERY_PAGE = pytest.mark.parametrize("path", PAGES)

#: What the gateway tells of the address, and the path of the API with a "/" at its end.
WAYS = {
    "own domain": ({}, "/"),
    "stage": ({"stage": "/api"}, "/api/"),
    "base path": ({"base_path": "/router"}, "/router/"),
    "deep base path": ({"base_path": "/ai/router"}, "/ai/router/"),
    "base path like a page": ({"base_path": "/docs"}, "/docs/"),
    "characters of HTML": ({"base_path": "/a&b'c"}, "/a&b'c/"),
}


@pytest.fixture(autouse=True)
def pages() -> Iterator[None]:
    """The app with its pages."""
    before = dict(app_module.app.routes)
    serve_pages(app_module.app, Surface("", "", "", has_pages=True))
    yield
    for path in set(app_module.app.routes) - set(before):
        del app_module.app.routes[path]


def call(path: str, method: str = "GET", headers: dict[str, str] | None = None, **way: str) -> dict[str, Any]:
    event = gateway_event(method, path, None, headers or {}, **way)
    answer: dict[str, Any] = app_module.app(event, LambdaContext())
    return answer


def meta(body: str) -> dict[str, Any]:
    (found,) = re.findall(r'<meta name="lambda-router" content="([^"]*)">', body)
    return dict(json.loads(html.unescape(found)))


def base_of(body: str) -> str:
    (found,) = re.findall(r'<base href="([^"]*)">', body)
    return html.unescape(found)


def files_in(body: str) -> list[str]:
    return re.findall(r'(?:src|href)="(pages/[^"]+)"', body)


@EVERY_PAGE
@pytest.mark.parametrize(("way", "base"), WAYS.values(), ids=WAYS)
def test_every_address_in_a_page_is_below_the_address_of_the_api(
    build_router: BuildRouter, path: str, way: dict[str, str], base: str
) -> None:
    build_router()

    answer = call(path, **way)

    assert answer["statusCode"] == 200
    assert base_of(answer["body"]) == base
    assert files_in(answer["body"])


@pytest.mark.parametrize("path", ["/api", "/api/"])
def test_the_playground_is_the_same_with_and_without_the_last_slash(build_router: BuildRouter, path: str) -> None:
    build_router()
    event = gateway_event("GET", "/", None, {})
    event["requestContext"]["path"] = path

    assert base_of(app_module.app(event, LambdaContext())["body"]) == "/api/"


HOSTILE_PATHS = [
    "//evil.example.com/",
    "//evil.example.com",
    "/\\evil.example.com/",
    "/a//b/",
    "/a b/",
    '/"onload=/',
    "/é/",
]


@pytest.mark.parametrize("path", HOSTILE_PATHS)
def test_no_path_makes_the_base_another_host(build_router: BuildRouter, path: str) -> None:
    build_router()
    event = gateway_event("GET", "/", None, {})
    event["requestContext"]["path"] = path

    answer = app_module.app(event, LambdaContext())

    assert answer["statusCode"] == 404


@pytest.mark.parametrize("prefix", ["/api%2f", "/..", "/@evil.example.com", "/http:", "/javascript:alert(1)"])
def test_an_odd_prefix_stays_on_the_own_host(build_router: BuildRouter, prefix: str) -> None:
    build_router()

    base = base_of(call("/", base_path=prefix)["body"])

    assert urlsplit(urljoin("https://api.example.com/", base)).netloc == "api.example.com"


@EVERY_PAGE
def test_nothing_of_a_request_but_its_path_is_in_a_page(build_router: BuildRouter, path: str) -> None:
    build_router(COGNITO_DOMAIN=DOMAIN, COGNITO_LOGIN_CLIENT_ID=LOGIN)
    plain = call(path)
    hostile = dict.fromkeys(("Host", "X-Forwarded-Host", "X-Forwarded-Prefix", "Forwarded"), "evil.example.com")
    event = gateway_event("GET", path, None, hostile, query={"x": ["<script>"], "code": ["secret"]})

    answer = app_module.app(event, LambdaContext())

    assert answer["body"] == plain["body"]
    assert answer["headers"]["Content-Security-Policy"] == plain["headers"]["Content-Security-Policy"]


@EVERY_PAGE
def test_the_policy_allows_the_own_host_and_the_pools_domain_alone(build_router: BuildRouter, path: str) -> None:
    build_router(COGNITO_DOMAIN=DOMAIN)

    headers = call(path)["headers"]

    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": f"'self' {DOMAIN}",
        "base-uri": "'self'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert (headers["X-Content-Type-Options"], headers["Referrer-Policy"]) == ("nosniff", "no-referrer")


def test_only_the_window_that_comes_back_from_the_pool_keeps_its_opener(build_router: BuildRouter) -> None:
    build_router()

    found = {path: call(path)["headers"]["Cross-Origin-Opener-Policy"] for path in PAGES}

    assert found == {
        "/": "same-origin",
        "/docs": "same-origin-allow-popups",
        "/docs/oauth2-redirect": "unsafe-none",
    }


@EVERY_PAGE
def test_no_page_has_a_script_or_a_style_in_it(build_router: BuildRouter, path: str) -> None:
    build_router()

    body = call(path)["body"]

    assert re.findall(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=|javascript:|https?://", body) == []


@EVERY_PAGE
def test_a_page_is_compared_by_its_etag_each_time(build_router: BuildRouter, path: str) -> None:
    build_router()
    first = call(path)

    again = call(path, headers={"If-None-Match": first["headers"]["ETag"]})

    assert (first["statusCode"], first["headers"]["Cache-Control"]) == (200, "no-cache")
    assert (again["statusCode"], again["body"]) == (304, "")
    assert again["headers"]["ETag"] == first["headers"]["ETag"]


@EVERY_PAGE
def test_no_cache_keeps_the_address_with_a_code(build_router: BuildRouter, path: str) -> None:
    build_router()
    event = gateway_event("GET", path, None, {}, query={"code": ["secret"], "state": ["x"]})

    returned = app_module.app(event, LambdaContext())

    assert (returned["statusCode"], returned["headers"]["Cache-Control"]) == (200, "no-store")
    assert call(path)["headers"]["Cache-Control"] == "no-cache"


def test_another_setting_is_another_etag(build_router: BuildRouter) -> None:
    build_router()
    before = call("/")["headers"]["ETag"]

    build_router(COGNITO_DOMAIN=DOMAIN)

    assert call("/", headers={"If-None-Match": before})["statusCode"] == 200


def test_the_playground_is_light(build_router: BuildRouter) -> None:
    """Under 60 kB over the wire, compressed by the gateway: the page, its script and its style."""
    build_router(COGNITO_DOMAIN=DOMAIN, COGNITO_LOGIN_CLIENT_ID=LOGIN)
    page = call("/")["body"]

    bodies = [page, *(call(f"/{name}")["body"] for name in files_in(page))]

    assert len(bodies) >= 4
    assert sum(len(gzip.compress(body.encode())) for body in bodies) < 60_000


@EVERY_PAGE
def test_the_files_of_a_page_are_there_and_kept_for_ever(build_router: BuildRouter, path: str) -> None:
    build_router()

    answers = [call(f"/{name}") for name in files_in(call(path)["body"])]

    assert {answer["statusCode"] for answer in answers} == {200}
    assert {answer["headers"]["Cache-Control"] for answer in answers} == {"public, max-age=31536000, immutable"}
    assert {answer["headers"]["X-Content-Type-Options"] for answer in answers} == {"nosniff"}


def test_a_file_by_another_builds_hash_is_not_kept_under_that_name(build_router: BuildRouter) -> None:
    build_router()

    for name in ("docs.000000000000.js", "docs.js", "docs.1.2.js"):
        answer = call(f"/pages/{name}")
        assert (answer["statusCode"], answer["headers"]["Cache-Control"]) == (200, "no-cache"), name


@pytest.mark.parametrize(
    "name",
    ["nothing.js", "docs.html", "playground.html", "content.py", "..", "", ".", "swagger-ui.js", "LICENSE", "é.js"],
)
def test_there_is_no_file_beside_the_table(build_router: BuildRouter, name: str) -> None:
    build_router()
    event = gateway_event("GET", "/pages/x.js", None, {})
    event["pathParameters"] = {"name": name}

    assert app_module.app(event, LambdaContext())["statusCode"] == 404


@pytest.mark.parametrize(
    "name", ["../content.py", "..\\content.py", "a/../docs.js", "%2e%2e/app.py", "docs.js/", "\0docs.js"]
)
def test_a_name_is_no_path(build_router: BuildRouter, name: str) -> None:
    build_router()
    event = gateway_event("GET", "/pages/x.js", None, {})
    event["pathParameters"] = {"name": name}

    assert app_module.app(event, LambdaContext())["statusCode"] == 404


@pytest.mark.parametrize("path", [*PAGES, "/pages/docs.js"])
def test_head_has_the_headers_of_get(build_router: BuildRouter, path: str) -> None:
    build_router()
    got, asked = call(path), call(path, "HEAD")

    same = ("Content-Type", "ETag", "Cache-Control", "Vary")
    assert asked["statusCode"] == 200
    assert [asked["headers"][name] for name in same] == [got["headers"][name] for name in same]


@pytest.mark.parametrize("path", [*PAGES, "/pages/docs.js"])
def test_a_page_takes_no_other_method(build_router: BuildRouter, path: str) -> None:
    build_router()

    answer = call(path, "POST")

    assert (answer["statusCode"], answer["headers"]["Allow"]) == (405, "GET, HEAD")


def test_the_pages_know_where_people_sign_in(build_router: BuildRouter) -> None:
    build_router(COGNITO_DOMAIN=DOMAIN, COGNITO_LOGIN_CLIENT_ID=LOGIN)

    facts = meta(call("/")["body"])

    assert facts.pop("version")
    assert facts == {
        "domain": DOMAIN,
        "client_id": LOGIN,
        "scope": "openid lambda-router/jobs",
        "missing": [],
    }


@pytest.mark.parametrize(
    ("variables", "missing"),
    [
        ({}, ["COGNITO_DOMAIN", "COGNITO_LOGIN_CLIENT_ID"]),
        ({"COGNITO_DOMAIN": DOMAIN}, ["COGNITO_LOGIN_CLIENT_ID"]),
        ({"COGNITO_LOGIN_CLIENT_ID": LOGIN}, ["COGNITO_DOMAIN"]),
    ],
    ids=["neither", "no client", "no domain"],
)
def test_the_pages_name_what_is_missing_for_a_sign_in(
    build_router: BuildRouter, variables: dict[str, str], missing: list[str]
) -> None:
    build_router(**variables)

    assert meta(call("/docs")["body"])["missing"] == missing


def with_clients(fetch: Any) -> Any:
    """The parts with clients of a parameter that is fetched so."""
    parts = wiring.services()
    return wiring.use(parts._replace(clients=AppClients([LOGIN], "/pages-client", fetch=fetch)))


def test_the_pages_client_is_the_first_of_the_parameter(build_router: BuildRouter) -> None:
    build_router(COGNITO_DOMAIN=DOMAIN, COGNITO_LOGIN_CLIENT_ID=LOGIN, COGNITO_AUD_PARAMETER="/pages-client")

    with with_clients(lambda _setting, _name: "first,second"):
        facts = meta(call("/")["body"])

    assert (facts["client_id"], facts["missing"]) == ("first", [])


@pytest.mark.parametrize("decided", [True, False], ids=["no such parameter", "SSM is down"])
def test_without_the_parameter_the_pages_come_and_say_so(build_router: BuildRouter, decided: bool) -> None:
    build_router(COGNITO_DOMAIN=DOMAIN, COGNITO_LOGIN_CLIENT_ID=LOGIN, COGNITO_AUD_PARAMETER="/pages-client")

    def fail(_setting: str, _name: str) -> str:
        raise ParameterUnavailable("not now", decided=decided)

    with with_clients(fail):
        answer = call("/")

    assert answer["statusCode"] == 200
    assert meta(answer["body"])["missing"] == ["COGNITO_AUD_PARAMETER"]


def test_the_parameter_is_read_for_a_page_alone(build_router: BuildRouter) -> None:
    build_router(COGNITO_DOMAIN=DOMAIN, COGNITO_AUD_PARAMETER="/pages-client")
    reads: list[str] = []

    def fetch(_setting: str, name: str) -> str:
        reads.append(name)
        return "first"

    with with_clients(fetch):
        call("/pages/docs.js")
        call("/health")
        before = list(reads)
        call("/")
        call("/docs")

    assert (before, reads) == ([], ["/pages-client"])


def test_text_of_settings_is_no_markup(build_router: BuildRouter) -> None:
    build_router(COGNITO_DOMAIN=DOMAIN, ROUTER_SCOPE="a'><script>&amp;$base")

    body = call("/")["body"]

    assert "<script>&" not in body
    assert meta(body)["scope"] == "openid a'><script>&amp;$base"


def test_the_pages_are_not_in_the_openapi_document(build_router: BuildRouter) -> None:
    build_router()

    paths = json.loads(call("/openapi.json")["body"])["paths"]

    assert [path for path in paths if not path.startswith(("/v1/", "/health", "/ready", "/openapi", "/.well"))] == []


def test_every_file_of_the_table_has_its_own_address(build_router: BuildRouter) -> None:
    found = [files.file(name) for name in (*files.OURS, *files.SWAGGER_UI)]

    assert None not in found
    assert len({each.address for each in found if each}) == len(found)
