"""A stack whose parts a test may kill."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
from openai import OpenAI

from tests.e2e.calling_model import MODEL, CallingModel, calling_model
from tests.faults.kit import Server
from tests.log_secrets import remember_secret
from tests.parts import Parts


class Site:
    """A Redis that writes down what it is sent, an app, a model, and workers as a test needs them."""

    def __init__(self, folder: Path, resources: ExitStack, shared: dict[str, str], **settings: str) -> None:
        self.server = Server(folder / "valkey")
        resources.callback(self.server.close)
        self.model: CallingModel = resources.enter_context(calling_model())
        where = (self.server.url, self.model.base_url, MODEL, folder)
        self.parts = resources.enter_context(Parts(*where, shared, **settings))
        self.app = self.parts.start_app()
        self._resources = resources

    def client(self, user: str) -> OpenAI:
        key = self.parts.token(user)
        remember_secret(key)
        client = OpenAI(base_url=f"{self.parts.url}/v1", api_key=key, max_retries=0, _strict_response_validation=True)
        return self._resources.enter_context(client)

    def caller(self, user: str) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.parts.token(user)}"}
        client = httpx.Client(base_url=self.parts.url, headers=headers, timeout=30, trust_env=False)
        return self._resources.enter_context(client)


@contextmanager
def running_site(folder: Path, shared: dict[str, str] | None = None, **settings: str) -> Iterator[Site]:
    (folder / "valkey").mkdir()
    with ExitStack() as resources:
        yield Site(folder, resources, shared or {}, **settings)


def job_of(response_id: str) -> str:
    return response_id.replace("resp_", "job_")
