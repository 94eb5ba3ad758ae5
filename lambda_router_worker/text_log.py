"""The worker's log for people: one line for each event, and below it the places in the code, if there are any."""

import json
import logging
import re
from typing import Any

#: Values that need no quotes.
_BARE = re.compile(r"[!#-<>-~]+")
#: Shown at other places.
_ELSEWHERE = ("timestamp", "level", "message", "location", "exception")
#: Left out: every line has the same service, and a task's number tells people nothing.
_LEFT_OUT = ("service", "taskName")


class TextFormatter(logging.Formatter):
    r"""Formats the fields that the JSON line would have, such as ``job_id=job_1 outcome=completed``.

    Lines are ASCII: control characters and all else are escaped as in JSON. Only ``exception`` has several lines, each
    behind ``|``, so that nothing written by others looks like a line of its own.

    Args:
        fields: formats a record as JSON.
    """

    def __init__(self, fields: logging.Formatter) -> None:
        super().__init__()
        self._fields = fields

    def format(self, record: logging.LogRecord) -> str:
        facts: dict[str, Any] = json.loads(self._fields.format(record))
        head = f"{facts.get('timestamp', '')} {facts.get('level', ''):<7} {_escaped(str(facts.get('message', '')))}"
        others = {name: value for name, value in facts.items() if name not in (*_ELSEWHERE, *_LEFT_OUT)}
        pairs = [f"{_escaped(name)}={_value(value)}" for name, value in others.items()]
        place = [f"({_escaped(str(facts['location']))})"] if "location" in facts else []
        frames = [f"    | {_escaped(line)}" for line in str(facts.get("exception", "")).splitlines()]
        return "\n".join([" ".join([head, *pairs, *place]), *frames])


def _value(value: Any) -> str:
    if isinstance(value, str) and _BARE.fullmatch(value):
        return value
    return json.dumps(value, separators=(",", ":"))


def _escaped(text: str) -> str:
    return json.dumps(text)[1:-1]
