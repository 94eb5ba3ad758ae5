"""A handler without a framework."""

import json
import time
from typing import Any

from rival_work import Request, log, look, owner_of, submit


def app(event: dict[str, Any], context: Any) -> dict[str, Any]:
    started, method, route = time.perf_counter(), event["httpMethod"], event["resource"]
    status, body = answer(event, method, route)
    log(method, route, status, started)
    return {"statusCode": status, "headers": {"Content-Type": "application/json"}, "body": json.dumps(body)}


def answer(event: dict[str, Any], method: str, route: str) -> tuple[int, dict[str, Any]]:
    if route == "/health":
        return 200, {"status": "ok"}
    owner = owner_of(event["headers"]["Authorization"])
    if method == "POST":
        return 202, submit(owner, Request.model_validate_json(event["body"]))
    return 200, look(owner, event["pathParameters"]["job_id"])
