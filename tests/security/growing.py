"""Bodies, tokens and headers that cost a careless reader more than their length, each at any length.

``CASES`` maps a name to what is read and what reads it. ``covers`` names the pattern that a case almost matches:
``tests/security/test_growth.py`` sees to it that no pattern is left out.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from chalice.app import Request
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import ValidationError

from chalicelib.api import body, middleware, request_headers
from chalicelib.api.openai.body import parse_request
from chalicelib.callers import protected_resource
from chalicelib.callers.auth import signed_payload
from chalicelib.callers.jwks import StaticKeys
from chalicelib.entry import ProxyEvent
from chalicelib.errors import Problem
from chalicelib.job_settings import InputLimits
from chalicelib.jobs.job_pages import Cursor
from chalicelib.jobs.job_records import JOB_ID
from chalicelib.jobs.job_types import JOB_TYPES, JobType
from chalicelib.jobs.live_output import EVENT_ID
from chalicelib.openai.chat_jobs import job_of_response
from chalicelib.openai.chat_messages import UnknownCall
from chalicelib.openai.input_items import items_of
from chalicelib.openai.response_request import ResponseRequest
from tests.conftest import LambdaContext, base64url, gateway_event, public_jwk
from tests.unit.forge import Forge

MIB = 1024 * 1024
#: Wide, so that a long input is read to its end.
_WIDE = InputLimits(prompt_bytes=2 * MIB, chat_bytes=2 * MIB)
_TYPES: dict[str, JobType] = {name: replace(kind, limits=_WIDE) for name, kind in JOB_TYPES.items()}


@dataclass(frozen=True)
class Case:
    """One kind of input.

    Attributes:
        make: the input of about so many bytes.
        read: what reads it, as a request would have it read.
        covers: the pattern that it is a near-miss of, as ``module.NAME``.
    """

    make: Callable[[int], Any]
    read: Callable[[Any], Any]
    covers: str | None = None

    def cost(self, size: int) -> Callable[[], None]:
        """A function without arguments that reads an input of this size; a refusal is as good as an answer."""
        made = self.make(size)

        def once() -> None:
            with suppress(Problem):
                self.read(made)

        return once


def _job(raw: bytes) -> Any:
    return body.parse_job(raw, "application/json", _TYPES, 8 * MIB)


def _batch(raw: bytes) -> Any:
    return body.parse_batch(raw, "application/json", _TYPES, 8 * MIB)


def _response(raw: bytes) -> Any:
    """Read a response's body and make the chat job of it, as the OpenAI API does."""
    request = parse_request(raw, "application/json", 8 * MIB, ResponseRequest)
    try:
        return _TYPES["chat"].request_model.model_validate(
            job_of_response(request, items_of(request.input), 4_096), strict=True
        )
    except (UnknownCall, ValidationError):
        return None


def _repeated(unit: str, before: str = "", after: str = "", between: str = "") -> Callable[[int], bytes]:
    """A text of so many bytes: its beginning, the unit as often as it fits, its end."""

    def make(size: int) -> bytes:
        count = max(1, (size - len(before) - len(after)) // len(unit + between))
        return (before + between.join([unit] * count) + after).encode()

    return make


def _members(size: int, value: str = "1", repeat_first: bool = False, repeat_last: bool = False) -> str:
    names = [f"{number:07}" for number in range(max(2, size // (11 + len(value))))]
    names += [names[0]] * repeat_first + [names[-1]] * repeat_last
    return "{" + ",".join(f'"{name}":{value}' for name in names) + "}"


def _nested(size: int, opening: str, closing: str) -> str:
    depth = 190
    one = opening * depth + "1" + closing * depth
    return "[" + ",".join([one] * max(1, size // (len(one) + 1))) + "]"


_PROMPT = '{"type":"generate","input":{"prompt":"'
_METADATA = '{"type":"generate","input":{"prompt":"x"},"metadata":'

BODIES: dict[str, Case] = {
    "an object whose last member repeats": Case(lambda n: _members(n, repeat_last=True).encode(), _job),
    "an object whose first member repeats": Case(lambda n: _members(n, repeat_first=True).encode(), _job),
    "every member the same": Case(_repeated('"a":1', "{", "}", ","), _job),
    "the same member in many objects": Case(_repeated('{"a":1,"a":1}', "[", "]", ","), _job),
    "many small members": Case(lambda n: _members(n).encode(), _job),
    "many members that no job has": Case(
        lambda n: ('{"type":"generate","input":{"prompt":"x"},' + _members(n)[1:]).encode(), _job
    ),
    "much metadata": Case(lambda n: (_METADATA + _members(n, '"v"') + "}").encode(), _job),
    "metadata of the wrong kind": Case(lambda n: (_METADATA + _members(n) + "}").encode(), _job),
    "names with long common beginnings": Case(
        lambda n: ("{" + ",".join(f'"{"n" * 200}{k}":1' for k in range(max(2, n // 210))) + "}").encode(), _job
    ),
    "arrays nested deep": Case(lambda n: _nested(n, "[", "]").encode(), _job),
    "objects nested deep": Case(lambda n: _nested(n, '{"a":', "}").encode(), _job),
    "brackets that never close": Case(_repeated("["), _job),
    "braces that never close": Case(_repeated('{"a":'), _job),
    "many empty arrays": Case(_repeated("[]", "[", "]", ","), _job),
    "one long integer": Case(_repeated("7"), _job),
    "one long fraction": Case(_repeated("7", "0."), _job),
    "one long exponent": Case(_repeated("7", "1e-"), _job),
    "many longest integers": Case(_repeated("7" * 128, "[", "]", ","), _job),
    "many longest fractions": Case(_repeated("1." + "7" * 120 + "e-9", "[", "]", ","), _job),
    "many small numbers": Case(_repeated("1", "[", "]", ","), _job),
    "a prompt of escapes": Case(_repeated("\\u00e9", _PROMPT, '"}}'), _job),
    "a prompt of surrogate pairs": Case(_repeated("\\ud83d\\ude00", _PROMPT, '"}}'), _job),
    "a prompt of backslashes": Case(_repeated("\\\\", _PROMPT, '"}}'), _job),
    "escapes, and a lone surrogate at the end": Case(_repeated("\\u00e9", '"', '\\ud800"'), _job),
    "a string that never ends": Case(_repeated("a", '"'), _job),
    "white space, and no value": Case(_repeated("\n"), _job),
    "not UTF-8 at the end": Case(lambda n: b" " * n + b"\xff", _job),
    "an odd type": Case(_repeated("\\u00e9", '{"type":"', '"}'), _job),
    "many messages": Case(
        _repeated('{"role":"user","content":"x"}', '{"type":"chat","input":{"messages":[', "]}}", ","), _job
    ),
    "an image that is almost a data URL": Case(
        _repeated(
            "A",
            '{"type":"chat","input":{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":'
            '"data:image/png;base64,',
            '~"}}]}]}}',
        ),
        _job,
        covers="images._DATA_URL",
    ),
    "many items of a response": Case(
        _repeated('{"role":"user","content":"x"}', '{"model":"tinyllama","input":[', "]}", ","), _response
    ),
    "many calls and their outputs": Case(
        _repeated(
            '{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},'
            '{"type":"function_call_output","call_id":"c","output":"x"}',
            '{"model":"tinyllama","input":[',
            "]}",
            ",",
        ),
        _response,
    ),
    "many items of no kind": Case(_repeated("{}", '{"model":"tinyllama","input":[', "]}", ","), _response),
    "a tool with a schema nested deep": Case(
        lambda n: (
            '{"model":"tinyllama","input":"x","tools":[{"type":"function","name":"f","parameters":{"a":'
            + _nested(n, '{"a":', "}")
            + "}}]}"
        ).encode(),
        _response,
    ),
    "many bad messages": Case(_repeated('{"role":1}', '{"type":"chat","input":{"messages":[', "]}}", ","), _job),
    "many bad jobs": Case(_repeated('{"type":"chat"}', '{"jobs":[', "]}", ","), _batch),
    "a hundred jobs of many members": Case(
        lambda n: ('{"jobs":[' + ",".join(['{"type":"chat",' + _members(n // 100)[1:]] * 100) + "]}").encode(), _batch
    ),
}

_KEY = rsa.generate_private_key(65_537, 2_048)
_KEYS = StaticKeys(json.dumps({"keys": [public_jwk(_KEY)]}).encode())
_FORGE = Forge(_KEY)


def _token(text: str) -> Any:
    return signed_payload(text, _KEYS)


def _header_of(make: Callable[[int], str]) -> Callable[[int], str]:
    return lambda n: f"{base64url(make(n * 3 // 4).encode())}.e30.c2ln"


TOKENS: dict[str, Case] = {
    "a token's header whose last member repeats": Case(_header_of(lambda n: _members(n, repeat_last=True)), _token),
    "a token's header nested deep": Case(_header_of(lambda n: _nested(n, "[", "]")), _token),
    "a token's long kid": Case(_header_of(lambda n: json.dumps({"alg": "RS256", "kid": "k" * n})), _token),
    "a token without dots": Case(lambda n: "A" * n, _token, "auth._COMPACT_JWS"),
    "a token of dots": Case(lambda n: "." * n, _token, "auth._COMPACT_JWS"),
    "a token with one dot too many": Case(lambda n: ".".join(["A" * (n // 4)] * 4), _token, "auth._COMPACT_JWS"),
    "a token's long claims": Case(lambda n: _FORGE.token(claims={"sub": "s" * n}), _token),
}


def _query(query: dict[str, list[str]]) -> Any:
    request = Request(gateway_event("GET", "/v1/jobs", None, {}, query), LambdaContext())
    return request_headers.single_query(request, frozenset({"limit", "cursor"}))


def _many_headers(headers: dict[str, str | list[str]]) -> Any:
    event = gateway_event("GET", "/v1/jobs", None, headers)
    return request_headers.header_values(Request(event, LambdaContext()), "prefer")


def _cursor(text: str) -> str:
    return base64url(text.encode())


HEADERS: dict[str, Case] = {
    "a quoted key of backslashes": Case(
        lambda n: '"' + "\\" * (n | 1), request_headers.idempotency_key, "request_headers._QUOTED_KEY"
    ),
    "a quoted key that never ends": Case(
        lambda n: '"' + "a" * n, request_headers.idempotency_key, "request_headers._QUOTED_KEY"
    ),
    "a bare key with a bad end": Case(
        lambda n: "a" * n + " b", request_headers.idempotency_key, "request_headers._BARE_KEY"
    ),
    "a long traceparent": Case(lambda n: "00-" + "0a" * n, request_headers.traceparent, "request_headers._TRACEPARENT"),
    "a wait of spaces": Case(
        lambda n: ["wait" + " " * n + "x"],
        lambda values: request_headers.preferred_wait(values, 20),
        "request_headers._WAIT",
    ),
    "a wait of spaces on both sides": Case(
        lambda n: ["wait" + " " * (n // 2) + "=" + " " * (n // 2) + '"'],
        lambda values: request_headers.preferred_wait(values, 20),
        "request_headers._WAIT",
    ),
    "a wait of digits": Case(lambda n: ["wait=" + "1" * n], lambda values: request_headers.preferred_wait(values, 20)),
    "many preferences": Case(
        lambda n: ["wait;a=b, " * (n // 10)], lambda values: request_headers.preferred_wait(values, 20)
    ),
    "many media ranges": Case(lambda n: ["a/b;q=0," * (n // 8)], request_headers.require_json_acceptable),
    "one media range of parameters": Case(
        lambda n: ["a/b" + ";q=0.0000" * (n // 9)],
        request_headers.require_json_acceptable,
        "request_headers._QUALITY_ZERO",
    ),
    "many tags in If-None-Match": Case(
        lambda n: 'W/"x",' * (n // 6), lambda value: request_headers.etag_matches(value, 'W/"y"')
    ),
    "a content type of parameters": Case(
        lambda n: "application/json" + ";charset=utf-8" * (n // 14), lambda value: body.parse_job(b"{}", value, _TYPES)
    ),
    "a limit of digits": Case(
        lambda n: {"limit": "1" * n}, lambda query: request_headers.page_size(query, 20, 100), "request_headers._NUMBER"
    ),
    "a cursor of digits": Case(lambda n: _cursor("1" * n), Cursor.decode, "job_pages._CURSOR"),
    "a cursor with a long id": Case(lambda n: _cursor("1:job_" + "a" * n), Cursor.decode, "job_pages._CURSOR"),
    "a long id": Case(lambda n: "job_" + "a" * n, JOB_ID.fullmatch, "job_records.JOB_ID"),
    "an event's id of digits": Case(lambda n: "1" * n, EVENT_ID.fullmatch, "live_output.EVENT_ID"),
    "an event's id with a long number": Case(lambda n: "1-" + "1" * n, EVENT_ID.fullmatch, "live_output.EVENT_ID"),
    "a host of many labels": Case(
        lambda n: "a." * (n // 2) + "/", protected_resource._AUTHORITY.fullmatch, "protected_resource._AUTHORITY"
    ),
    "a prefix of many segments": Case(
        lambda n: "/a" * (n // 2) + " ", protected_resource._PREFIX.fullmatch, "protected_resource._PREFIX"
    ),
    "a long request id": Case(lambda n: "0a" * n, middleware._UUID.fullmatch, "middleware._UUID"),
    "many query parameters": Case(lambda n: {f"q{k}": ["x" * 24] for k in range(n // 32)}, _query),
    "one query parameter many times": Case(lambda n: {"limit": ["1"] * (n // 8)}, _query),
    "many headers": Case(lambda n: {f"X-{k}": "x" * 24 for k in range(n // 32)}, _many_headers),
    "one header many times": Case(lambda n: {"Prefer": ["a"] * (n // 8)}, _many_headers),
    "an event with many headers": Case(
        lambda n: gateway_event("GET", "/health", None, {f"X-{k}": "x" * 24 for k in range(n // 32)}),
        ProxyEvent.model_validate,
    ),
    "an event with a long path": Case(
        lambda n: gateway_event("GET", "/" + "{a" * (n // 2), None, {}), ProxyEvent.model_validate, "entry._PARAMETER"
    ),
}

CASES: dict[str, Case] = BODIES | TOKENS | HEADERS
