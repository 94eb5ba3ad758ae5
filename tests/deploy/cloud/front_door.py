"""The URL of the deployed stage: HTTP requests become events for the packaged function, as the alias has it."""

import base64
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import chalice
from chalice.local import RouteMatcher

import app as app_module
from tests.deploy.cloud.inventory import REGION, client
from tests.deploy.cloud.runtime_api import RuntimeApi
from tests.deploy.kit.artefact import running
from tests.http_server import serving
from tools.local.gateway import HttpRequest, lambda_event
from tools.local.problems import Answer, problem_answer

#: Paths of the pages, which the app here does not have. A function without them says that there is no such route.
PAGES = ("/", "/docs", "/docs/oauth2-redirect", "/pages/{name}")


class FrontDoor:
    """Listens while it is entered. moto cannot run a function; this runs it with the variables that moto has for it.

    Args:
        task_of: the folder of the unpacked package whose zip has this sha256, as Lambda writes it.
        stage: what API Gateway's own URL begins its paths with.

    Attributes:
        base_paths: by custom domain, what comes before the API's own paths there.
    """

    def __init__(
        self, task_of: Callable[[str], Path], aws_url: str, function_name: str, alias: str, stage: str = ""
    ) -> None:
        self._task_of = task_of
        self._aws_url = aws_url
        self._stage = stage
        self._named = {"FunctionName": function_name, "Qualifier": alias}
        self._routes = RouteMatcher([*app_module.app.routes, *PAGES])
        self.base_paths: dict[str, str] = {}
        self._server = ExitStack()
        self._port = 0
        self._running = ExitStack()
        self._function: tuple[str, dict[str, str], RuntimeApi] | None = None

    def __enter__(self) -> "FrontDoor":
        self._port = self._server.enter_context(serving(self))
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()
        self._running.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def answer(self, request: HttpRequest) -> Answer:
        base = self.base_paths.get(dict(request.headers).get("host", ""), "")
        if not request.target.startswith(f"{base}/"):
            return Answer(403, [("Content-Type", "application/json")], b'{"message":"Forbidden"}')  # API Gateway's own
        try:
            inside = request.target.removeprefix(base).removeprefix(self._stage)
            event = lambda_event(self._routes, replace(request, target=inside))
        except LookupError:
            return problem_answer(404, "There is no such route.")
        event["path"] = event["requestContext"]["path"] = base + event["path"]
        raw = self._alias().invoke(event)
        given = [("x-amzn-RequestId", event["requestContext"]["requestId"]), *raw["headers"].items()]
        repeated = [(name, value) for name, values in raw["multiValueHeaders"].items() for value in values]
        body = base64.b64decode(raw["body"]) if raw.get("isBase64Encoded") else raw["body"].encode()
        return Answer(raw["statusCode"], [*given, *repeated], body)

    def _alias(self) -> RuntimeApi:
        """The function as the alias has it by now; another process when that changed."""
        code, environ = self._described()
        if self._function is None or self._function[:2] != (code, environ):
            self._running.close()
            at_work = running(self._task_of(code), environ, Path(chalice.__file__).parents[1])
            self._function = (code, environ, self._running.enter_context(at_work))
        return self._function[2]

    def _described(self) -> tuple[str, dict[str, str]]:
        """Sha256 of its code, and the variables that it runs with."""
        configuration: dict[str, Any] = client("lambda", self._aws_url).get_function_configuration(**self._named)
        return configuration["CodeSha256"], configuration["Environment"]["Variables"] | {
            "AWS_LAMBDA_FUNCTION_VERSION": configuration["Version"],
            "AWS_ENDPOINT_URL": self._aws_url,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
        }
