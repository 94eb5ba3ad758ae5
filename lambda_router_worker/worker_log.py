"""The worker's log, as JSON lines. It never contains a prompt, a result or the Redis URL."""

import json

from aws_lambda_powertools import Logger

log = Logger(
    service="lambda-router-worker",
    log_uncaught_exceptions=False,
    log_record_order=["level", "message"],
    json_serializer=json.JSONEncoder(default=str, separators=(",", ":")).encode,  # ASCII: see chalicelib.observability
)


def odd_figure(field: str) -> None:
    """Log that a field of the queue's figures holds no number."""
    log.error("odd_figure", extra={"field": field})
