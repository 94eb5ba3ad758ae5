"""Probes that find out whether a model server can take jobs."""

from typing import Any

from lambda_router_worker.backend.bounded_body import MAX_DOCUMENT_BYTES, beginning
from lambda_router_worker.backend.completion_stream import error_document, parsed
from lambda_router_worker.backend.model_server import ModelServer
from lambda_router_worker.backend.server_errors import BUSY, RIGHT_URL, failure, web_page
from lambda_router_worker.backend.server_trouble import Kind, ServerTrouble
from lambda_router_worker.outcomes import JobFailed, Unsuccessful

_MAX_WORDS = 200
#: The usual response if the base URL lacks its path.
_WRONG_PATH = frozenset({"status 404", "status 405"})
#: The server does not list its models. A test completion then tells more.
_NO_LIST = frozenset({400, 404, 405, 406, 410, 422, 501, *BUSY})


async def listed_models(server: ModelServer, secret: str | None) -> list[str] | None:
    """Return the names that ``GET models`` lists, or None if the server has no such list.

    Raises:
        ServerTrouble: there was no response, an error status, or no JSON.
    """
    async with server.asked("GET", "models") as (response, _):
        if response.status_code in _NO_LIST:
            return None
        if not response.is_success:
            document = await error_document(response)
            raise refused_probe(failure(response.status_code, document, response.headers, secret))
        try:
            return _names(parsed(await beginning(response, MAX_DOCUMENT_BYTES)))
        except JobFailed as error:
            raise web_page() from error


def refused_probe(refusal: ServerTrouble | Unsuccessful) -> ServerTrouble:
    """Convert a failed probe to server trouble, whatever the failure would have meant for a job.

    The reason may quote the server, because a probe contains nothing from a caller.
    """
    if isinstance(refusal, Unsuccessful):
        return ServerTrouble(refusal.message, Kind.REFUSED_US, refusal)
    kind = Kind.REFUSED_US if refusal.kind is Kind.DOUBTFUL else refusal.kind
    words = refusal.words[:_MAX_WORDS] or (RIGHT_URL if refusal.reason in _WRONG_PATH else "")
    reason = f"{refusal.reason}: {words}" if words else refusal.reason
    return ServerTrouble(reason, kind, refusal.otherwise)


def _names(document: Any) -> list[str]:
    """Return the ids and aliases in OpenAI's list; none if the document is of another kind."""
    models = document.get("data") if isinstance(document, dict) else None
    found = [model for model in models if isinstance(model, dict)] if isinstance(models, list) else []
    names = [[model.get("id"), *_aliases(model)] for model in found]
    return [name for some in names for name in some if isinstance(name, str)]


def _aliases(model: dict[str, Any]) -> list[Any]:
    aliases = model.get("aliases")  # llama.cpp
    return aliases if isinstance(aliases, list) else []
