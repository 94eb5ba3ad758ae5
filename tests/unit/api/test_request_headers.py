"""chalicelib.api.request_headers: any text is a value or a MalformedRequest that says what to send."""

import re
from typing import Any, get_args

import pytest
from chalice.app import Request
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.api import request_headers
from chalicelib.errors import MalformedRequest, NotAcceptable
from lambda_router_queue.models import Status
from tests.conftest import LambdaContext, gateway_event

LIMIT = 20


def request(headers: dict[str, Any] | None = None, query: dict[str, list[str]] | None = None) -> Request:
    return Request(gateway_event("GET", "/v1/jobs", None, headers or {}, query), LambdaContext())


def test_every_value_of_a_repeated_header_is_seen_whatever_its_case():
    assert request_headers.header_values(request({"X-Thing": ["a", "b"]}), "x-thing") == ["a", "b"]


def test_a_header_that_was_not_sent_has_no_values():
    assert request_headers.header_values(request({"Other": "a"}), "x-thing") == []
    assert request_headers.one_header(request(), "x-thing") is None


def test_an_event_without_multi_value_headers_is_read_too():
    event = gateway_event("GET", "/v1/jobs", None, {"X-Thing": "a"}) | {"multiValueHeaders": None}
    assert request_headers.header_values(Request(event, LambdaContext()), "x-thing") == ["a"]


def test_a_header_that_may_stand_once_is_refused_when_it_stands_twice():
    assert request_headers.one_header(request({"X-Thing": "a"}), "x-thing") == "a"
    with pytest.raises(MalformedRequest, match="x-thing was sent 2 times; send it once"):
        request_headers.one_header(request({"X-Thing": ["a", "a"]}), "x-thing")


def test_a_header_spelt_in_two_cases_counts_as_sent_twice():
    with pytest.raises(MalformedRequest, match="2 times"):
        request_headers.one_header(request({"X-Thing": "a", "x-thing": "b"}), "x-thing")


KEYS = {
    "none": (None, None),
    "bare": ("abc-DEF_123.~:", "abc-DEF_123.~:"),
    "a bare UUID": ("0b0e3c1a-9f4b-4c52-9d2e-1d2f3a4b5c6d", "0b0e3c1a-9f4b-4c52-9d2e-1d2f3a4b5c6d"),
    "quoted": ('"abc"', "abc"),
    "quoted with spaces": ('"a b c"', "a b c"),
    "quoted with an escaped quote": (r'"a\"b"', 'a"b'),
    "quoted with an escaped backslash": (r'"a\\b"', "a\\b"),
    "surrounded by spaces": ("  abc ", "abc"),
    "the longest bare": ("k" * 255, "k" * 255),
    "the longest quoted": (f'"{"k" * 255}"', "k" * 255),
    "the longest escaped": ('"' + r"\"" * 255 + '"', '"' * 255),
}


@pytest.mark.parametrize(("value", "key"), KEYS.values(), ids=KEYS)
def test_an_idempotency_key_is_a_quoted_string_or_a_bare_token(value: str | None, key: str | None):
    assert request_headers.idempotency_key(value) == key


BAD_KEYS = {
    "empty": "",
    "spaces": "   ",
    "empty in quotes": '""',
    "256 bare": "k" * 256,
    "256 quoted": f'"{"k" * 256}"',
    "256 escaped": '"' + r"\"" * 256 + '"',
    "a space": "a b",
    "a comma": "a,b",
    "a slash": "a/b",
    "one quote": '"abc',
    "a quote inside": '"a"b"',
    "an unknown escape": r'"a\nb"',
    "a lone backslash": '"abc\\"',
    "not ASCII": "schlüssel",
    "not ASCII in quotes": '"schlüssel"',
    "digits that are not ASCII": "\N{ARABIC-INDIC DIGIT ONE}",
    "a newline": "a\nb",
    "a newline in quotes": '"a\nb"',
    "a control character in quotes": '"a\x7f"',
    "two keys": '"a", "b"',
}


@pytest.mark.parametrize("value", BAD_KEYS.values(), ids=BAD_KEYS)
def test_any_other_idempotency_key_is_refused(value: str):
    with pytest.raises(MalformedRequest, match="Idempotency-Key is not usable; send 1 to 255"):
        request_headers.idempotency_key(value)


@given(st.text() | st.from_regex(r'\A"?[ -~\\"]{0,300}"?\Z'))
def test_any_idempotency_key_is_1_to_255_printable_ascii_characters_or_refused(value: str):
    try:
        key = request_headers.idempotency_key(value)
    except MalformedRequest:
        return
    assert re.fullmatch(r"[\x20-\x7e]{1,255}", key or "")


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=255))
def test_any_printable_key_can_be_sent_in_quotes(key: str):
    escaped = key.replace("\\", r"\\").replace('"', r"\"")
    assert request_headers.idempotency_key(f'"{escaped}"') == key


WAITS = {
    "no header": ([], None),
    "another preference": (["respond-async"], None),
    "a wait without a value": (["wait"], None),
    "ten seconds": (["wait=10"], 10),
    "in quotes": (['wait="10"'], 10),
    "in capitals, with spaces": (["  WAIT = 10 "], 10),
    "zero": (["wait=0"], 0),
    "the limit": (["wait=20"], 20),
    "more than the limit": (["wait=21"], LIMIT),
    "very much more": (["wait=999999999"], LIMIT),
    "beside others": (["respond-async, wait=5; foo=bar"], 5),
    "in a second header": (["respond-async", "wait=5"], 5),
    "the first of two": (["wait=5, wait=7"], 5),
    "a preference that ends in wait": (["await=10"], None),
}


@pytest.mark.parametrize(("values", "seconds"), WAITS.values(), ids=WAITS)
def test_a_preferred_wait_is_read_and_cut_to_the_limit(values: list[str], seconds: int | None):
    assert request_headers.preferred_wait(values, LIMIT) == seconds


@pytest.mark.parametrize(
    "wait", ["", "-1", "1.5", "ten", "1e3", "0x10", "+5", "\N{ARABIC-INDIC DIGIT ONE}", '""', "x" * 5_000]
)
def test_a_wait_that_is_no_whole_number_is_ignored(wait: str):
    assert request_headers.preferred_wait([f"wait={wait}"], LIMIT) is None


@given(st.lists(st.text() | st.from_regex(r'\A(wait|WAIT) ?= ?"?[0-9.]{0,12}"?[,;]?')))
def test_any_preference_is_a_wait_within_the_limit_or_none(values: list[str]):
    wait = request_headers.preferred_wait(values, LIMIT)
    assert wait is None or 0 <= wait <= LIMIT


GOOD_TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
BAD_TRACES = {
    "none": None,
    "empty": "",
    "another version": "01" + GOOD_TRACE[2:],
    "version ff": "ff" + GOOD_TRACE[2:],
    "upper case": GOOD_TRACE.upper(),
    "a trace id of zeros": f"00-{'0' * 32}-00f067aa0ba902b7-01",
    "a parent id of zeros": f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01",
    "too short": GOOD_TRACE[:-1],
    "too long": GOOD_TRACE + "-x",
    "a newline inside": GOOD_TRACE[:10] + "\n" + GOOD_TRACE[11:],
}


@pytest.mark.parametrize("value", [GOOD_TRACE, f" {GOOD_TRACE} ", GOOD_TRACE[:-2] + "00"])
def test_a_callers_trace_context_is_taken_over(value: str):
    assert request_headers.traceparent(value) == value.strip()


@pytest.mark.parametrize("value", BAD_TRACES.values(), ids=BAD_TRACES)
def test_a_trace_context_that_cannot_be_used_is_replaced_by_a_new_one(value: str | None):
    first, second = request_headers.traceparent(value), request_headers.traceparent(value)
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", first)
    assert first not in (second, value)


@given(st.text())
def test_any_trace_context_ends_up_as_a_valid_one(value: str):
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", request_headers.traceparent(value))


@pytest.mark.parametrize(
    "values",
    [
        [],
        [""],
        ["application/json"],
        ["APPLICATION/JSON"],
        ["application/*"],
        ["*/*"],
        ["text/html, application/json;q=0.1"],
        ["text/html", "*/*;q=0.8"],
        ["application/problem+json"],
        ["application/json; charset=utf-8; q=1.0"],
        ["text/html;q=0, */*"],
    ],
    ids=str,
)
def test_accept_headers_that_take_json_pass(values: list[str]):
    assert request_headers.require_json_acceptable(values) is None


@pytest.mark.parametrize(
    "values",
    [
        ["text/html"],
        ["text/*, image/png"],
        ["application/xml", "text/plain"],
        ["application/json;q=0"],
        ["application/json; q=0.000"],
        ["*/*;q=0"],
        ["application/jsonp"],
        ["nonsense"],
        pytest.param(["application/json;q=0, */*"], id="JSON is ruled out by name beside a wildcard"),
    ],
    ids=str,
)
def test_accept_headers_that_rule_json_out_are_refused(values: list[str]):
    with pytest.raises(NotAcceptable, match="Only application/json is served"):
        request_headers.require_json_acceptable(values)


@given(st.lists(st.text()))
def test_any_accept_header_passes_or_is_not_acceptable(values: list[str]):
    try:
        passed = request_headers.require_json_acceptable(values)
    except NotAcceptable:
        return
    assert passed is None


@pytest.mark.parametrize(
    ("query", "size"), [({}, 20), ({"limit": "1"}, 1), ({"limit": "100"}, 100), ({"limit": "007"}, 7)]
)
def test_a_page_size_is_read(query: dict[str, str], size: int):
    assert request_headers.page_size(query, 20, 100) == size


@pytest.mark.parametrize(
    "limit", ["0", "101", "", "-1", "1.5", "ten", " 1", "1\n", "9" * 5_000, "\N{ARABIC-INDIC DIGIT ONE}"]
)
def test_a_page_size_out_of_bounds_is_refused(limit: str):
    with pytest.raises(MalformedRequest, match="send a whole number from 1 to 100") as refused:
        request_headers.page_size({"limit": limit}, 20, 100)
    assert len(refused.value.detail) < 120


@given(st.text())
def test_any_page_size_is_within_bounds_or_refused(limit: str):
    try:
        size = request_headers.page_size({"limit": limit}, 20, 100)
    except MalformedRequest:
        return
    assert 1 <= size <= 100


@pytest.mark.parametrize("status", ["queued", "in_progress", "completed", "failed", "cancelled", "expired"])
def test_a_status_that_there_is_can_be_asked_for(status: str):
    assert request_headers.wanted_status({"status": status}) == status


def test_no_status_is_asked_for_when_none_is_sent():
    assert request_headers.wanted_status({}) is None


# hypothesis draws words from the source, too, and so now and then a status that there is
@given(
    st.text().filter(lambda text: text not in get_args(Status))
    | st.sampled_from(["", "Queued", "queued ", "x" * 5_000])
)
def test_any_other_status_is_refused_with_those_there_are(status: str):
    with pytest.raises(MalformedRequest, match="send one of queued, in_progress, completed") as refused:
        request_headers.wanted_status({"status": status})
    assert len(refused.value.detail) < 500  # unprintable characters are shown escaped


def test_query_parameters_are_read_once_each():
    assert request_headers.single_query(request(), frozenset({"a"})) == {}
    assert request_headers.single_query(request(query={"a": ["1"], "b": [""]}), frozenset({"a", "b"})) == {
        "a": "1",
        "b": "",
    }


def test_a_query_parameter_that_is_repeated_is_refused():
    with pytest.raises(MalformedRequest, match="a was sent 2 times; send it once"):
        request_headers.single_query(request(query={"a": ["1", "1"]}), frozenset({"a"}))


@pytest.mark.parametrize("name", ["A", "limits", "x" * 5_000], ids=["other case", "misspelt", "very long"])
def test_a_query_parameter_that_is_not_known_is_refused_with_those_there_are(name: str):
    with pytest.raises(MalformedRequest, match="is not known; send only a, limit") as refused:
        request_headers.single_query(request(query={name: ["1"]}), frozenset({"a", "limit"}))
    assert len(refused.value.detail) < 120
