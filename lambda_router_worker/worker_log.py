"""The worker's log, as JSON lines or as text. It never contains a prompt, a result or the Redis URL."""

import json

from aws_lambda_powertools import Logger

from lambda_router_worker.text_log import TextFormatter

log = Logger(
    service="lambda-router-worker",
    log_uncaught_exceptions=False,
    log_record_order=["level", "message"],
    json_serializer=json.JSONEncoder(default=str, separators=(",", ":")).encode,  # ASCII: see chalicelib.observability
)


def odd_figure(field: str) -> None:
    """Log that a field of the queue's figures holds no number."""
    log.error("odd_figure", extra={"field": field})


def write_text() -> None:
    """Write text for people from now on."""
    for handler in log.handlers:
        if handler.formatter is not None and not isinstance(handler.formatter, TextFormatter):
            handler.setFormatter(TextFormatter(handler.formatter))


def is_text() -> bool:
    """Return whether the log is written as text."""
    return any(isinstance(handler.formatter, TextFormatter) for handler in log.handlers)
