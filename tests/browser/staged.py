"""``python -m tests.browser.staged --port N --prefix /api``: the app below a stage's name, as API Gateway serves it."""

import sys
from typing import Any

import click

from tools.local.asgi import GatewayApp
from tools.local.gateway import Gateway, HttpRequest
from tools.local.ports import port_option
from tools.local.problems import Answer, problem_answer
from tools.local.server import listen, serve


class StagedGateway(Gateway):
    """A gateway with one stage. Everything beside it is not there."""

    prefix = ""

    def answer(self, request: HttpRequest) -> Answer:
        """Send the app the path without the stage's name."""
        path, question, query = request.target.partition("?")
        if path != self.prefix and not path.startswith(f"{self.prefix}/"):
            return problem_answer(404)
        rest = path.removeprefix(self.prefix) or "/"
        return super().answer(HttpRequest(request.method, rest + question + query, request.headers, request.body))

    def _invoke(self, event: dict[str, Any]) -> Answer:
        event["requestContext"] |= {"path": self.prefix + event["path"], "stage": self.prefix.strip("/")}
        return super()._invoke(event)


@click.command()
@port_option
@click.option("--prefix", required=True)
def main(port: int, prefix: str) -> None:
    """Serve the app of this environment."""
    from app import app

    gateway = StagedGateway(app)
    gateway.prefix = prefix
    serve(GatewayApp(gateway), listen(port))


if __name__ == "__main__":
    sys.exit(main())
