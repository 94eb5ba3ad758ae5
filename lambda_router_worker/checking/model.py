"""Checks of the model server: it answers, completes a token, has the model, and streams."""

from lambda_router_worker.backend.backend_options import BadBackend
from lambda_router_worker.backend.model_server import Patience
from lambda_router_worker.backend.openai_backend import OpenAIBackend
from lambda_router_worker.backend.server_trouble import ServerTrouble
from lambda_router_worker.checking.box import Box
from lambda_router_worker.checking.findings import Finding, in_short, unseen, well, wrong
from lambda_router_worker.outcomes import TryAgain

#: Time limit of one token. Ollama and llama-swap load a model for its first request.
TOKEN_SECONDS = 60.0
#: Models of the server to show.
_MOST_NAMES = 8

_WHY = "this worker would claim no job until it is mended"


async def server(box: Box) -> Finding:
    """Check that the server answers."""
    try:
        box.backend = OpenAIBackend.of(box.options, Patience(TOKEN_SECONDS, TOKEN_SECONDS))
        await box.open.enter_async_context(box.backend)
    except BadBackend as error:
        return wrong(str(error), why="the worker would refuse to start", fix="correct that option")
    try:
        box.listed = await box.backend.models()
    except ServerTrouble as error:
        return _trouble(box, error)
    return well(f"{box.backend.name} answers")


def _trouble(box: Box, error: ServerTrouble) -> Finding:
    where = box.backend.name
    fix = f"start it, or correct --backend: curl {where}/models"
    if error.reason.startswith(("status 401", "status 403")):
        fix = "put the server's key into BACKEND_API_KEY, or into the file that --api-key-file names"
    return wrong(f"{where}: {in_short(error.reason)}", why=_WHY, fix=fix)


async def token(box: Box) -> Finding:
    """Check that the server completes a token, and measure the time."""
    try:
        box.sample = await box.backend.sample()
    except TryAgain as busy:
        return unseen(in_short(busy.message), why="the server is busy with others", fix="run check again later")
    except ServerTrouble as error:
        fix = f"look at the server's log; it lists these models: {_names(box)}"
        return wrong(in_short(error.reason), why=_WHY, fix=fix)
    return well(f"one token in {box.sample.seconds:.2f} s")


async def listing(box: Box) -> Finding:
    """Check that the server lists the model; some list aliases or paths, and complete all the same."""
    model = box.options["model"]
    if box.listed is None:
        return well("the server has no list, and answers")
    if model in box.listed:
        return well(f"{model} is listed")
    return well(f"{model} is not listed, and the server answers all the same; it lists {_names(box)}")


def _names(box: Box) -> str:
    return in_short(", ".join((box.listed or ["none"])[:_MOST_NAMES])) or "none"


async def stream(box: Box) -> Finding:
    """Check that the server streams."""
    if box.sample.streamed:
        return well("the response came in chunks")
    why = "callers who stream get all text at the end, and cancelled jobs go on computing"
    fix = "turn on streaming in the server, or in the proxy before it"
    return wrong("the response came in one piece", wanted="server-sent events", why=why, fix=fix)
