"""Support for ``chalice local``, ``chalice.test.Client`` and the file ``.env``. Lambda never imports this module.

Chalice's events have less in them than API Gateway's: no ``isBase64Encoded`` and no ``httpMethod``, the body as bytes,
and path parameters still percent-encoded. Such an event is completed here and then checked like any other.

The event is recognised by its context, an object of ``chalice.local``. The deployed package does not contain that
module, and in Lambda the runtime creates the context. So a caller cannot choose this treatment, whatever the event
contains.
"""

import base64
import io
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from chalicelib.errors import Misconfigured
from chalicelib.observability import notes
from chalicelib.settings import LOCAL_ENV_FILE, OWN_PREFIXES, SettingsError

type Event = dict[str, Any]
type Answer = dict[str, Any]

#: Status for a missing setting here, where the developer can fix it. In Lambda it is 500.
NOT_SET_UP = 503

_WHERE_REDIS_IS = ("REDIS_URL", "REDIS_URL_PARAMETER")

ROOT = Path(__file__).parents[1]

ADVICE = (
    "Export these variables, or write them into .env beside app.py (.env.example lists them all); `make chalice-local`"
    ' brings values of its own. The test client takes them in stage `local` only: Client(app, stage_name="local"),'
    " run in the folder of app.py or with project_dir=…"
)


def is_chalices(event: Any, context: Any) -> bool:
    """Return whether Chalice made this event on this machine, without the members that API Gateway adds."""
    from chalice.local import LambdaContext

    return isinstance(context, LambdaContext) and isinstance(event, dict) and "httpMethod" not in event


def answer(handler: Callable[[Event, Any], Answer], event: Event, context: Any) -> Answer:
    """Complete and handle an event. The response names a missing setting, since here the caller can fix it."""
    answered = handler(rest_event(event), context)
    if answered["statusCode"] == Misconfigured.status and Misconfigured.uri() in answered["body"]:
        explanation = f"{notes().reason}\n{ADVICE}"
        answered["statusCode"] = NOT_SET_UP
        answered["body"] = json.dumps(json.loads(answered["body"]) | {"status": NOT_SET_UP, "detail": explanation})
        say(explanation)
    if event["requestContext"]["httpMethod"] == "HEAD":
        answered["body"] = ""  # Chalice's server would send it, and the client would read it as the next response
    return answered


def rest_event(event: Event) -> Event:
    """Return Chalice's event completed with the members that API Gateway would have added."""
    body, encoded = event["body"], event.get("isBase64Encoded", False)
    if isinstance(body, bytes):
        body, encoded = base64.b64encode(body).decode() if body else None, bool(body)
    parameters = {name: unquote(value) for name, value in event["pathParameters"].items()}
    return event | {"body": body, "isBase64Encoded": encoded, "pathParameters": parameters}


def warn_of_restarts(environ: Mapping[str, str]) -> None:
    """Warn that Chalice's reloader restarts the server whenever a running stack writes to ``.local``.

    The reloader watches the whole folder and cannot exclude a part of it.
    """
    if "CHALICE_WORKER" in environ and any(ROOT.glob(".local/*/stack.json")):
        say(
            "Chalice restarts this server at each change of a file in this folder, and `make run` writes here all the"
            " time: give chalice local --no-autoreload, or use make chalice-local"
        )


def say(explanation: str) -> None:
    """Write to the developer's terminal, where the log's JSON would hide the message."""
    sys.stderr.write(f"{explanation}\n")


def with_env_file(environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return these variables, with the file that stage ``local`` names as a fallback. The file is optional.

    A variable that is set wins, even when it is empty. Either variable that locates Redis overrides both of the file's.
    Only our own settings are read from the file.

    Raises:
        SettingsError: the file cannot be read.
    """
    from dotenv.parser import parse_stream

    path = ROOT / environ[LOCAL_ENV_FILE]
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return environ
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path.name} cannot be read: {error}") from None
    lines = list(parse_stream(io.StringIO(text)))
    bad = [line.original.line for line in lines if line.error]
    if bad:
        raise SettingsError(f"{path.name}, line {bad[0]}: not NAME=value; fix or remove it")
    ours = {line.key: line.value or "" for line in lines if line.key and line.key.startswith(OWN_PREFIXES)}
    if any(environ.get(name) for name in _WHERE_REDIS_IS):
        ours = {name: value for name, value in ours.items() if name not in _WHERE_REDIS_IS}
    return ours | dict(environ)
