"""ministack with what it lacks, as a program: it ends when its standard input does, so it never outlives its parent.

Its settings are variables of the environment, which ``tests/gateway/account.py`` gives it. The Python is that of
``.local/gateway``, which also runs the functions.

    .local/gateway/bin/python -m tests.gateway.emulator
"""

import json
import os
import signal
import sys
import threading
from http import HTTPStatus
from typing import Any

import ministack.services.apigateway_v1 as v1
from ministack.app import main

from tests.gateway.openapi_body import patch, replace_body

_handle_request = v1.handle_request
_function_of = v1._extract_lambda_ref_from_integration_uri


async def _with_bodies(method: str, path: str, headers: Any, body: bytes, query: Any) -> Any:
    """API Gateway's control plane, with ``PutRestApi`` and some of its changes."""
    api_id = path.removeprefix("/restapis/").rstrip("/")
    if api_id in v1._rest_apis and method == "PUT":
        replace_body(api_id, json.loads(body))
        return v1._get_rest_api(api_id)
    if api_id in v1._rest_apis and method == "PATCH":
        others = patch(api_id, json.loads(body)["patchOperations"])
        body = json.dumps({"patchOperations": others}).encode()
    answer = await _handle_request(method, path, headers, body, query)
    return _with_escaped_paths(answer) if "/stages/" in path else answer


def _with_escaped_paths(answer: Any) -> Any:
    """A stage as API Gateway tells of it: in its method settings the path of a method has ``~1`` for each slash."""
    status, headers, body = answer
    if status != HTTPStatus.OK or b"methodSettings" not in body:
        return answer
    stage = json.loads(body)
    for key in [key for key in stage["methodSettings"] if key.startswith("/")]:
        path, _, verb = key.rpartition("/")
        stage["methodSettings"][f"{path.replace('/', '~1')}/{verb}"] = stage["methodSettings"].pop(key)
    return status, headers, json.dumps(stage).encode()


def _whole_function_of(uri: str) -> str:
    """The function of an integration that streams, too: ministack sends its response in one piece."""
    return str(_function_of(uri)).removesuffix("/response-streaming-invocations")


def _end_with_standard_input() -> None:
    """Whoever started this holds the other end of the pipe; the kernel lets go of it, however that process ends."""
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_end_with_standard_input, daemon=True).start()
    v1.handle_request = _with_bodies
    v1._extract_lambda_ref_from_integration_uri = _whole_function_of
    main()
