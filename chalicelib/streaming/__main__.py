"""``python -m chalicelib.streaming``: the process of the streaming function, started by ``wrapper``.

The variables that it reads are those that Lambda sets for any runtime. They are no settings.
"""

import importlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from io import TextIOWrapper
from typing import TYPE_CHECKING

from chalicelib.streaming.runtime_api import Failure, ResponseNotTaken, RuntimeApi, RuntimeApiFailed

if TYPE_CHECKING:
    from chalicelib.streaming.loop import Handler


class SnapStartUnsupported(Exception):
    """This runtime does not take part in snapshots."""


def main() -> None:
    """Load the app and serve events until Lambda ends the process."""
    # Exits as from any other place: the pieces of a response are closed, and so its log line is written.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # Lambda reads a pipe, which Python would fill first
    api = RuntimeApi(os.environ["AWS_LAMBDA_RUNTIME_API"])
    try:
        handler = load(os.environ)
    except Exception as error:
        explain(error)
        with suppress(ResponseNotTaken, RuntimeApiFailed):
            api.report_start(Failure.of("Runtime", error, str(error)))
        sys.exit(1)
    from chalicelib.streaming.loop import serve  # after app.py, whose first import shortens a cold start

    try:
        serve(api, handler, os.environ)
    except RuntimeApiFailed as error:
        sys.exit(f"{error}")


def load(environ: Mapping[str, str]) -> "Handler":
    """Import the function's handler, such as ``app.app``. Raises whatever the import raises."""
    if environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
        raise SnapStartUnsupported("this runtime cannot start from a snapshot: the function may have no snap_start")
    module, _, name = environ["_HANDLER"].rpartition(".")
    handler: Handler = getattr(importlib.import_module(module.replace("/", ".")), name)
    return handler


def explain(error: Exception) -> None:
    """Write why the function cannot start, without the app's logger, which may be what is missing."""
    line = {"level": "ERROR", "message": "start_failed", "error": type(error).__name__, "explanation": str(error)}
    trace = "".join(traceback.format_exception(error))
    sys.stdout.write(json.dumps(line | {"exception": trace}) + "\n")


if __name__ == "__main__":
    main()
