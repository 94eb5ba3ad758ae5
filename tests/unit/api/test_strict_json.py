"""chalicelib.strict_json: any bytes are a value or NotStrictJSON, and a value means what was sent."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.strict_json import MAX_NUMBER_CHARACTERS, NotStrictJSON, strict_json

REFUSED = {
    "nothing": b"",
    "white space": b" \n",
    "not a number": b"NaN",
    "infinity": b'{"a": Infinity}',
    "minus infinity": b"[-Infinity]",
    "a number that overflows": b"1e999",
    "a negative number that overflows": b"[-1e400]",
    "a member that stands twice": b'{"a": 1, "a": 1}',
    "a member that stands twice, written differently": b'{"a": 1, "\\u0061": 2}',
    "a member that stands twice, further down": b'[{"b": {"a": 1, "c": 2, "a": 3}}]',
    "a lone high surrogate": b'"\\ud800"',
    "a lone low surrogate as a member": b'{"\\udc00": 1}',
    "not UTF-8": b'"\xff"',
    "an overlong form": b'"\xc0\xaf"',
    "a surrogate in UTF-8": b'"\xed\xa0\x80"',
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "a trailing comma": b"[1,]",
    "a comment": b"[1] // one",
    "a second document": b"{} {}",
    "single quotes": b"{'a': 1}",
    "a leading zero": b"[01]",
    "a leading plus": b"[+1]",
    "a bare point": b"[1.]",
    "hexadecimal": b"[0x1F]",
    "a raw control character": b'"a\x01b"',
    "a raw newline in a string": b'"a\nb"',
    "an unknown escape": b'"\\x41"',
    "an unfinished string": b'"abc',
    "an unfinished object": b'{"a":',
    "nesting 1,000 deep": b"[" * 1_000 + b"]" * 1_000,
    "nesting 100,000 deep, unfinished": b"[" * 100_000,
    "objects nested 100,000 deep": b'{"a":' * 100_000,
    "an integer of 129 digits": b"1" * (MAX_NUMBER_CHARACTERS + 1),
    "an integer of 10,000 digits": b"9" * 10_000,
    "a fraction of 129 characters": b"0." + b"1" * (MAX_NUMBER_CHARACTERS - 1),
}


@pytest.mark.parametrize("raw", REFUSED.values(), ids=REFUSED)
def test_what_is_not_strict_json_is_refused(raw: bytes):
    with pytest.raises(NotStrictJSON):
        strict_json(raw)


ACCEPTED = {
    "an object": (b'{"a": [1, 2.5, true, false, null, "x"]}', {"a": [1, 2.5, True, False, None, "x"]}),
    "a bare string": (b'"a"', "a"),
    "white space around": (b" \t\r\n1 ", 1),
    "an escaped pair of surrogates": (b'"\\ud83d\\ude00"', "\N{GRINNING FACE}"),
    "raw UTF-8": ('"ü€😀"'.encode(), "ü€😀"),
    "an escaped null character": (b'"\\u0000"', "\0"),
    "an integer of 128 digits": (b"1" * MAX_NUMBER_CHARACTERS, int("1" * MAX_NUMBER_CHARACTERS)),
    "a fraction of 128 characters": (b"0." + b"1" * (MAX_NUMBER_CHARACTERS - 2), 1 / 9),
    "the largest double": (b"1.7976931348623157e308", 1.7976931348623157e308),
    "a number that underflows": (b"1e-999", 0.0),
    "nesting 100 deep": (b"[" * 100 + b"]" * 100, None),
    "equal members of different objects": (b'[{"a":1},{"a":1}]', [{"a": 1}, {"a": 1}]),
    "an empty member name": (b'{"": 1}', {"": 1}),
}


@pytest.mark.parametrize(("raw", "value"), ACCEPTED.values(), ids=ACCEPTED)
def test_strict_json_is_read_as_it_was_meant(raw: bytes, value: Any):
    read = strict_json(raw)
    assert read == (json.loads(raw) if value is None else value)


def test_a_refusal_names_the_member_that_stands_twice_cut_to_a_readable_length():
    with pytest.raises(NotStrictJSON, match="duplicate member 'twice'"):
        strict_json(b'{"once": 1, "twice": 2, "twice": 3}')
    long = b"n" * 10_000
    with pytest.raises(NotStrictJSON) as refusal:
        strict_json(b'{"%s": 1, "%s": 2}' % (long, long))
    assert len(str(refusal.value)) < 150


def test_a_refusal_names_the_byte_that_is_not_utf8():
    with pytest.raises(NotStrictJSON, match="byte 2 is not UTF-8"):
        strict_json(b'"a\xff"')


@pytest.mark.parametrize("raw", [b'{"a": "hunter2"', b'["hunter2", NaN]', b'"hunter2\xff"'], ids=str)
def test_a_refusal_does_not_quote_values(raw: bytes):
    with pytest.raises(NotStrictJSON) as refusal:
        strict_json(raw)
    assert "hunter2" not in str(refusal.value)


def assert_faithful(raw: bytes) -> None:
    try:
        value = strict_json(raw)
    except NotStrictJSON:
        return
    written = json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    assert strict_json(written) == value == json.loads(raw)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_that_can_be_written_again_or_a_refusal(raw: bytes):
    assert_faithful(raw)


@given(st.text(alphabet='{}[]",:0123456789.eE+-truefalsnN\\u \ud800\udc00', max_size=40))
def test_any_text_that_looks_like_json_is_a_value_or_a_refusal(text: str):
    assert_faithful(text.encode("utf-8", "surrogatepass"))


leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(10**60), 10**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
documents = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(alphabet="abü/~\0"), inner))


@given(documents, st.booleans())
def test_any_document_comes_through_unchanged(document: Any, escaped: bool):
    assert strict_json(json.dumps(document, ensure_ascii=escaped).encode()) == document


@given(documents, st.integers(0, 10_000))
def test_a_document_that_lost_a_byte_is_still_a_value_or_a_refusal(document: Any, place: int):
    raw = json.dumps(document).encode()
    cut = place % len(raw)
    assert_faithful(raw[:cut] + raw[cut + 1 :])
