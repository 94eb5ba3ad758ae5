"""A handler for any server that implements OpenAI's chat completions: vLLM, llama.cpp, Ollama and others."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self

from pydantic import JsonValue

from lambda_router_queue.images import image_fault
from lambda_router_queue.models import Envelope
from lambda_router_worker.backend import open_files
from lambda_router_worker.backend.backend_options import api_key, checked_url
from lambda_router_worker.backend.chat_completion import Completion, Emit
from lambda_router_worker.backend.completion_stream import error_document, read_completion
from lambda_router_worker.backend.http_client import clients
from lambda_router_worker.backend.model_probe import listed_models, refused_probe
from lambda_router_worker.backend.model_server import PATIENCE, ModelServer, Patience
from lambda_router_worker.backend.server_errors import failure, unreachable
from lambda_router_worker.backend.server_trouble import Kind, ServerTrouble
from lambda_router_worker.job import Job
from lambda_router_worker.outcomes import JobFailed, TryAgain, UnsupportedType
from lambda_router_worker.worker_log import log

#: Members of a job's input that the server accepts under the same name.
_PASSED_ON = (
    "max_tokens",
    "temperature",
    "top_p",
    "stop",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "reasoning_effort",
)
_ONE_TOKEN = {"messages": [{"role": "user", "content": "ping"}], "max_tokens": 1}


class Sample(NamedTuple):
    """A completion of one token: the seconds that it took, and whether the server streamed it."""

    seconds: float
    streamed: bool


class OpenAIBackend:
    """A handler that sends each job to ``<base_url>/chat/completions``.

    Args:
        base_url: ends in ``/v1`` on every server named above.
        model: the model's name on that server. The name that a caller gives only selects the queue.
        api_key: sent as ``Authorization: Bearer``.
        concurrency: maximum number of jobs at a time, and of idle connections to keep.
        obey_proxies: use ``HTTP_PROXY`` and the like from the environment.
        image_hosts: hosts from which the images of a chat may come; the server fetches them.

    Raises:
        BadBackend: the URL is invalid, or a proxy from the environment cannot be used.
    """

    def __init__(  # noqa: PLR0913 (one per thing that an operator may set)
        self,
        base_url: str,
        model: str,
        api_key: str | None = None,
        concurrency: int = 1,
        obey_proxies: bool = False,
        *,
        image_hosts: Sequence[str] = (),
        patience: Patience = PATIENCE,
    ) -> None:
        url = checked_url(base_url)
        self.name = str(url).rstrip("/")
        self.model = model
        self._api_key = api_key
        self._image_hosts = image_hosts
        self._usage_asked: bool | None = None
        self._told = False
        self._patience = patience
        self._probe_seconds = patience.probe
        headers = {
            "Accept": "text/event-stream, application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "lambda-router-worker",
        } | ({"Authorization": f"Bearer {api_key}"} if api_key else {})
        open_files.allow(concurrency)
        self._server = ModelServer(clients(url, headers, concurrency, obey_proxies), patience)

    @classmethod
    def of(cls, options: Mapping[str, Any], patience: Patience = PATIENCE) -> Self:
        """Return the handler that the worker's options describe. Raises BadBackend."""
        hosts = [host.strip() for host in options["image_hosts"].split(",") if host.strip()]
        key = api_key(options["backend_api_key"], options["api_key_file"])
        given = (options["backend"], options["model"], key, options["concurrency"], options["obey_proxies"])
        return cls(*given, image_hosts=hosts, patience=patience)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.aclose()

    async def __call__(self, job: Job) -> JsonValue:
        """Return ``text``, ``finish_reason``, ``model``, ``usage``, any ``tool_calls``, and a chat's whole ``message``.

        Emit each piece of the message as it comes.

        Raises:
            ServerTrouble: no response, 5xx, 400, or a status that every other job would get, too.
            TryAgain: the server is busy (408, 409, 425, 429). The error carries its ``Retry-After``.
            JobFailed: the server rejects this job, or its response is not a chat completion.
            UnsupportedType: the job contains nothing to send.
        """
        for url in _image_urls(job.input.get("messages")):
            if fault := image_fault(url, self._image_hosts):
                raise JobFailed("image_not_allowed", f"The worker does not pass the image on: {fault}.")
        options = {name: job.input[name] for name in _PASSED_ON if name in job.input}
        body, headers = {"messages": _messages(job)} | options, {"traceparent": job.traceparent}
        completion = await self._complete(body, headers, job.emit_now)
        return completion.result() | ({"message": completion.message()} if "messages" in job.input else {})

    async def probe(self, *, thorough: bool) -> None:
        """Check that the server can process this worker's jobs, as far as a probe can tell.

        After each probe that times out, the time limit of the next one doubles. Otherwise a server would never become
        ready if it loads its model on the first request and stops loading when the client disconnects.

        Args:
            thorough: have the server generate a token. Otherwise it does so only if it does not list the model.

        Raises:
            ServerTrouble: it cannot. The reason may quote the server, because a probe contains nothing from a caller.
        """
        try:
            async with asyncio.timeout(self._probe_seconds):
                if not await self._lists_model() or thorough:
                    await self._complete_one_token()
        except TimeoutError as error:
            waited, longest = self._probe_seconds, max(self._patience.probe, self._patience.first)
            self._probe_seconds = min(2 * waited, longest)
            raise unreachable(f"no response for {waited:g} s", Kind.BROKEN) from error
        self._probe_seconds = self._patience.probe

    async def models(self) -> list[str] | None:
        """Return the names that the server lists, or None if it has no list. Raises ServerTrouble."""
        return await listed_models(self._server, self._api_key)

    async def sample(self) -> Sample:
        """Have the server complete one token. Raises ServerTrouble, or TryAgain if the server is busy."""
        began = time.monotonic()
        try:
            completion = await self._complete(_ONE_TOKEN)
        except (ServerTrouble, JobFailed) as error:
            raise refused_probe(error) from error
        return Sample(time.monotonic() - began, completion.streamed)

    async def _lists_model(self) -> bool:
        names = await self.models()
        if names is None or self.model in names:
            return names is not None
        if not self._told:
            self._told = True
            log.warning("model not listed", extra={"backend": self.name, "model": self.model, "listed": names[:8]})
        return False

    async def _complete_one_token(self) -> None:
        try:
            await self._complete(_ONE_TOKEN)
        except TryAgain:
            return  # busy, so it is running
        except (ServerTrouble, JobFailed) as error:
            raise refused_probe(error) from error

    async def _complete(
        self, job: dict[str, Any], headers: dict[str, str] | None = None, emit: Emit | None = None
    ) -> Completion:
        """Request a stream, so that the server stops computing when the client disconnects.

        The request also asks for the usage at the stream's end. Some servers reject that option. It is omitted for good
        once a request has succeeded only without it.
        """
        body = {"model": self.model, "stream": True} | job
        if self._usage_asked is False:
            return await self._ask(body, headers, Completion(emit))
        completion = Completion(emit)
        try:
            await self._ask(body | {"stream_options": {"include_usage": True}}, headers, completion)
        except (ServerTrouble, JobFailed) as refusal:
            if self._usage_asked or completion.begun or not _may_be_about_options(refusal):
                raise
            completion = await self._ask(body, headers, Completion(emit))
            self._usage_asked = False
        else:
            self._usage_asked = True
        return completion

    async def _ask(self, body: dict[str, Any], headers: dict[str, str] | None, completion: Completion) -> Completion:
        async with self._server.asked("POST", "chat/completions", body, headers) as (response, heard):
            if not response.is_success:
                raise failure(response.status_code, await error_document(response), response.headers, self._api_key)
            return await read_completion(response, completion, heard, self._api_key)


def _messages(job: Envelope) -> Any:
    """Return the messages to send.

    Raises UnsupportedType if the input has neither messages nor a prompt. A server would respond to an empty prompt.
    """
    if job.input.get("messages"):
        return job.input["messages"]
    if not job.input.get("prompt"):
        raise UnsupportedType
    system = [{"role": "system", "content": job.input["system"]}] if "system" in job.input else []
    return [*system, {"role": "user", "content": job.input["prompt"]}]


def _image_urls(messages: Any) -> Iterator[str]:
    """Yield the addresses of all images. Whoever can write to Redis may have written anything."""
    for message in messages if isinstance(messages, list) else []:
        content = message.get("content") if isinstance(message, dict) else None
        for part in content if isinstance(content, list) else []:
            if isinstance(part, dict) and "image_url" in part:
                image = part["image_url"]
                yield str(image.get("url") if isinstance(image, dict) else image)


def _may_be_about_options(refusal: ServerTrouble | JobFailed) -> bool:
    """Return whether the stream options may be the cause: 400, or 422 from servers that reject unknown members."""
    if isinstance(refusal, ServerTrouble):
        return refusal.kind is Kind.DOUBTFUL
    return refusal.code == "backend_rejected"
