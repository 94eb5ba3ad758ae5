"""Headers, paths, cursors and texts as an enemy writes them: no 5xx, nothing injected, nothing raw in a log line."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import Reply, Router, gateway_event
from tests.security.test_any_event import called_with

many = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])

HEADERS = (
    "Accept", "Authorization", "Content-Type", "Idempotency-Key", "If-None-Match", "Last-Event-ID", "Prefer",
    "traceparent", "Origin", "X-Request-Id", "X-Forwarded-For", "Content-Length", "Host", "Cookie", "Transfer-Encoding",
)  # fmt: skip
VALUES: dict[str, str] = {
    "a line feed": "x\r\nX-Injected: 1",
    "a bare line feed": "x\nX-Injected: 1",
    "a null character": "x\0y",
    "an escape": "\x1b[31mred",
    "nothing": "",
    "spaces": "   ",
    "a comma": ",",
    "many commas": "," * 5_000,
    "8 KB": "x" * 8_192,
    "1 MB": "x" * 1_000_000,
    "quotes": '"' * 1_001,
    "backslashes": '"' + "\\" * 999 + '"',
    "semicolons": ";q=" * 2_000,
    "no ASCII": "ä€😀\u202e",
    "percent": "%0d%0aX-Injected:%201",
    "a format": "%s%n{0}{__class__}",
    "JSON": '{"$gt":""}',
    "a template": "${jndi:ldap://127.0.0.1/x}",
    "a huge wait": "wait=99999999999999999999",
    "a star": "*",
}


def assert_unharmed(reply: Reply) -> None:
    assert reply.status < 500, reply.body
    assert "x-injected" not in reply.headers
    assert not any(char in value for value in reply.headers.values() for char in "\r\n\0")


@pytest.mark.parametrize("name", HEADERS)
def test_an_odd_header_harms_nothing(name: str, router: Router, generate: dict[str, Any]) -> None:
    for value in VALUES.values():
        assert_unharmed(router.post("/v1/jobs", generate, headers={name: value}))
        assert_unharmed(router.get("/v1/jobs/job_x", headers={name: value}))
        assert_unharmed(router.get("/v1/jobs/job_x/events", headers={name: value}))


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_repeated_a_thousand_times_harms_nothing(name: str, router: Router, generate: dict[str, Any]) -> None:
    assert_unharmed(router.post("/v1/jobs", generate, headers={name: ["x"] * 1_000}))


def test_a_thousand_unknown_headers_change_nothing(router: Router, generate: dict[str, Any]) -> None:
    headers: dict[str, Any] = {f"X-{number}": "x" * 100 for number in range(1_000)}

    assert router.post("/v1/jobs", generate, headers=headers).status == 202


@many
@given(st.sampled_from(HEADERS), st.text(max_size=60))
def test_any_text_in_any_header_harms_nothing(router: Router, name: str, text: str) -> None:
    event = gateway_event("GET", "/v1/jobs", None, {"Authorization": f"Bearer {router.token}", name: text})
    answer = called_with(event)

    assert answer["statusCode"] < 500
    assert not any(char in value for value in answer["headers"].values() for char in "\r\n\0")


@pytest.mark.parametrize("member", ["requestId", "path"])
@pytest.mark.parametrize("text", ["x\r\nX-Injected: 1", "x\0", "\x1b[2J"], ids=repr)
def test_what_would_come_back_in_a_header_holds_no_control_characters(
    member: str, text: str, router: Router, generate: dict[str, Any]
) -> None:
    headers: dict[str, Any] = {"Authorization": f"Bearer {router.token}", "Content-Type": "application/json"}
    event = gateway_event("POST", "/v1/jobs", generate, headers)
    event["requestContext"][member] = text
    answer = called_with(event)

    assert answer["statusCode"] == 400
    assert not any(text in value for value in answer["headers"].values())


PATHS = (
    "%2e%2e", "..%2f..%2fetc%2fpasswd", "%00", "%0d%0aX-Injected:%201", "%", "%zz", "%c0%af", "%ff", "job_%2500",
    "job_" + "0" * 10_000, "💥", "*", "{job_id}", "?", "#", "job_x;a=b", "__proto__", "lr:{tinyllama}:dead",
    " ",
)  # fmt: skip


@pytest.mark.parametrize("path", PATHS, ids=lambda path: repr(path)[:20])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_odd_id_is_404(method: str, path: str, router: Router, db: redis.Redis) -> None:
    reply = router.call(method, f"/v1/jobs/{path}")

    assert reply.status == 404
    assert_unharmed(reply)
    assert not list(db.scan_iter())


CURSORS = (
    "", "x", "====", "AAAA", "%00", "ä", "W10", "bnVsbA", "e30", "eyJhIjoxfQ", "-1", "0", "LTE", "1e999", "x" * 10_000,
    "\ud7ff", "\r\n", "MTIzOng", "Og", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk6am9i",
)  # fmt: skip


@pytest.mark.parametrize("cursor", CURSORS, ids=lambda cursor: repr(cursor)[:20])
def test_a_cursor_that_is_not_ours_is_400(cursor: str, router: Router) -> None:
    assert router.get("/v1/jobs", query={"cursor": [cursor]}).status == 400


@many
@given(st.text(max_size=60))
def test_any_cursor_is_a_page_or_400(router: Router, cursor: str) -> None:
    event = gateway_event("GET", "/v1/jobs", None, {"Authorization": f"Bearer {router.token}"}, {"cursor": [cursor]})

    assert called_with(event)["statusCode"] in {200, 400}


#: A selection of our own, in the spirit of the "big list of naughty strings".
NAUGHTY: dict[str, str] = {
    "undefined": "undefined",
    "an apostrophe": "Robert'); DROP TABLE jobs;--",
    "markup": "<script>alert(1)</script>",
    "a log line": '{"level":"ERROR","message":"forged"}',
    "line feeds": "one\r\ntwo\ntwo and a half\u2028three\u2029",
    "a null character": "nu\0ll",
    "control characters": "".join(map(chr, range(1, 32))) + "\x7f\x80\x9f",
    "right to left": "\u202etfel ot thgir\u202c \u2066\u2069",
    "zero width": "zero\u200bwidth\u2060\ufeff",
    "combining": "z\u0351\u036b\u0343\u036a\u0302a\u0310l\u030ago",
    "an emoji family": "👨‍👩‍👧‍👦🏳️‍🌈",
    "beyond the basic plane": "\U0001f600\U00020bb7\U0010ffff",
    "no characters": "\ufffe\uffff\ufdd0",
    "a Lua injection": "]]..redis.call('FLUSHALL')..[[",
    "a Redis command": "\r\n*1\r\n$8\r\nFLUSHALL\r\n",
    "a format": "%s %d %n {0} {x!r} ${HOME} $(id) `id` {{7*7}}",
    "numbers": "1e999 NaN -0 0x1F 2147483648 9007199254740993",
    "a path": "../../../../etc/passwd\\..\\",
    "a URL": "file:///etc/passwd http://169.254.169.254/",
    "quotes": '"\'`\\\\"',
    "spaces": " \t\u00a0\u2003\u3000 ",
}
PLACES: dict[str, Callable[[str], dict[str, Any]]] = {
    "prompt": lambda text: {"type": "generate", "input": {"prompt": text}},
    "system": lambda text: {"type": "generate", "input": {"prompt": "x", "system": text}},
    "stop": lambda text: {"type": "generate", "input": {"prompt": "x", "stop": [text]}},
    "content": lambda text: {"type": "chat", "input": {"messages": [{"role": "user", "content": text}]}},
    "metadata value": lambda text: {"type": "generate", "input": {"prompt": "x"}, "metadata": {"k": text}},
    "metadata name": lambda text: {"type": "generate", "input": {"prompt": "x"}, "metadata": {text: "v"}},
}


def holds(document: Any, text: str) -> bool:
    """Whether the text stands in the document, as a member's name or as a value."""
    if isinstance(document, dict):
        return text in document or any(holds(value, text) for value in document.values())
    return any(holds(value, text) for value in document) if isinstance(document, list) else document == text


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_a_naughty_text_reads_back_equal_and_is_not_logged(
    place: Callable[[str], dict[str, Any]],
    router: Router,
    db: redis.Redis,
    log_lines: Callable[[], list[dict[str, Any]]],
) -> None:
    for text in NAUGHTY.values():
        job = place(text)
        reply = router.post("/v1/jobs", job)
        assert reply.status == 202, reply.body
        stored = [json.loads(db.xrange(key)[-1][1]["job"]) for key in db.scan_iter(_type="stream") if db.xlen(key)]
        assert any(holds(envelope, text) for envelope in stored), text
        assert router.get(reply.headers["location"]).json["metadata"] == job.get("metadata", {})
    assert not any(text in json.dumps(line, ensure_ascii=False) for text in NAUGHTY.values() for line in log_lines())


@pytest.mark.parametrize("text", NAUGHTY.values(), ids=NAUGHTY)
def test_a_naughty_text_elsewhere_is_the_callers_problem(text: str, router: Router, generate: dict[str, Any]) -> None:
    for reply in (
        router.post("/v1/jobs", generate | {text: 1}),
        router.post("/v1/jobs", generate | {"priority": text}),
        router.post("/v1/jobs", {"type": text, "input": {}}),
        router.get("/v1/jobs", query={"status": [text]}),
        router.get("/v1/jobs", query={text: ["1"]}),
        router.get(f"/v1/jobs/{text}"),
    ):
        assert 400 <= reply.status < 500
        assert_unharmed(reply)


#: Structured Field Strings (RFC 9651 section 3.3.3) and what is not one, after the cases of the HTTP working group's
#: tests: key, or None where it has to be refused.
KEYS: dict[str, tuple[str, str | None]] = {
    "a string": ('"foo bar"', "foo bar"),
    "escaped quotes": (r'"b \"a\" r"', 'b "a" r'),
    "an escaped backslash": (r'"\\foo"', "\\foo"),
    "spaces around": ('  "foo"  ', "foo"),
    "every printable character": (
        '"' + "".join(f"\\{char}" if char in '"\\' else char for char in map(chr, range(32, 127))) + '"',
        "".join(map(chr, range(32, 127))),
    ),
    "an empty string": ('""', None),
    "a bare quote": ('"', None),
    "an unfinished string": ('"foo', None),
    "an unfinished escape": ('"foo \\', None),
    "an unknown escape": (r'"foo \,"', None),
    "single quotes": ("'foo'", None),
    "two strings": ('"foo" "bar"', None),
    "a list": ('"foo", "bar"', None),
    "a parameter": ('"foo";a=1', None),
    "a line feed": ('" \n"', None),
    "a tab": ('"\t"', None),
    "a null character": ('"\0"', None),
    "not ASCII": ('"füü"', None),
    "binary": (":aGVsbG8=:", None),
}


@pytest.mark.parametrize(("header", "key"), KEYS.values(), ids=KEYS)
def test_an_idempotency_key_is_read_as_a_structured_field(
    header: str, key: str | None, router: Router, db: redis.Redis, generate: dict[str, Any]
) -> None:
    reply = router.post("/v1/jobs", generate, headers={"Idempotency-Key": header})

    assert reply.status == (400 if key is None else 202)
    assert [found.endswith(f":{key}") for found in db.scan_iter("*:idem:*")] == ([] if key is None else [True])
