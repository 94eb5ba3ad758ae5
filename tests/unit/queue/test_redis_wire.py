"""lambda_router_queue.redis.wire: RESP2 as the specification has it, and nothing else."""

import sys
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_router_queue.redis.wire import MAX_STRING_BYTES, NOT_WHOLE, Broken, Refused, Replies, command


def reading(sent: bytes) -> Replies:
    replies = Replies()
    replies.feed(sent)
    return replies


@pytest.mark.parametrize(
    ("parts", "sent"),
    [
        (("PING",), b"*1\r\n$4\r\nPING\r\n"),
        (("SET", "k", "ä\r\n"), b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\n\xc3\xa4\r\n\r\n"),
        (("EVALSHA", -1, 1.5), b"*3\r\n$7\r\nEVALSHA\r\n$2\r\n-1\r\n$3\r\n1.5\r\n"),
    ],
)
def test_a_command_is_an_array_of_strings(parts: tuple[Any, ...], sent: bytes):
    assert command(*parts) == sent


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        (b"+OK\r\n", "OK"),
        (b":-12\r\n", -12),
        (b"$-1\r\n", None),
        (b"$0\r\n\r\n", ""),
        (b"$4\r\n\r\n\xc3\xa4\r\n", "\r\nä"),
        (b"*-1\r\n", None),
        (b"*0\r\n", []),
        (b"*3\r\n:1\r\n*1\r\n$1\r\na\r\n$-1\r\n", [1, ["a"], None]),
    ],
)
def test_a_reply_is_read_to_its_end_and_no_further(sent: bytes, meant: Any):
    replies = reading(sent + b"+next\r\n")
    assert replies.take() == meant
    assert replies.take() == "next"


def test_an_error_is_refused_in_its_words_and_the_next_reply_is_read():
    replies = reading(b"-NOSCRIPT No matching script.\r\n:1\r\n")
    refused = replies.take()
    assert isinstance(refused, Refused)
    assert str(refused) == "NOSCRIPT No matching script."
    assert replies.take() == 1


@pytest.mark.parametrize(
    "sent",
    [
        b"*1\r\n-ERR inside\r\n",
        b"H",
        b"+" + b"a" * 70_000,
        b"HTTP/1.1 400 Bad Request\r\n",
        b"%1\r\n+a\r\n:1\r\n",
        b":x\r\n",
        b"$x\r\n",
        b"$-2\r\n",
        f"${MAX_STRING_BYTES + 1}\r\n".encode(),
        b"\r\n",
    ],
)
def test_what_is_no_reply_is_broken(sent: bytes):
    with pytest.raises(Broken):
        reading(sent).take()


def test_arrays_in_arrays_without_an_end_are_broken():
    with pytest.raises(Broken):
        reading(b"*1\r\n" * 100_000).take()


def test_what_is_no_text_is_an_error_or_replaced_as_one_likes():
    with pytest.raises(UnicodeDecodeError):
        reading(b"$1\r\n\xff\r\n").take()
    replies = Replies(errors="replace")
    replies.feed(b"$1\r\n\xff\r\n")
    assert replies.take() == "\ufffd"


@pytest.mark.parametrize(
    "strings",
    [
        [b"a", b"b"],
        [b"a", b"two\r\nlines", b"c"],
        [b"", b"\r\n", b""],
        [b"\xff", b"\xfe"],
        [b"\xc3", b"\xa4"],  # the halves of an ä
        [b"x" * 20_000, b"y"],
        [b"x"] * 5_000,
    ],
    ids=["two", "a line's end within", "nothing but line ends", "no UTF-8", "half characters", "a long one", "many"],
)
def test_an_array_of_strings_is_what_each_of_them_is_alone(strings: list[bytes]):
    replies = Replies("surrogateescape")
    replies.feed(b"*%d\r\n" % len(strings) + b"".join(b"$%d\r\n%b\r\n" % (len(each), each) for each in strings))
    replies.feed(b"+next\r\n")

    assert replies.take() == [each.decode("utf-8", "surrogateescape") for each in strings]
    assert replies.take() == "next"


@pytest.mark.parametrize("size", [10**9, 2**63, 10**30])
def test_an_array_that_claims_to_be_endless_is_not_whole(size: int):
    assert reading(b"*%d\r\n$1\r\na\r\n" % size).take() is NOT_WHOLE


@pytest.mark.parametrize("size", [b"$2", b"$01", b"$+1", b"$ 1", b"$1 "])
def test_a_string_of_another_length_than_it_says_is_not_taken_for_two(size: bytes):
    replies = Replies()
    replies.feed(b"*2\r\n$1\r\na\r\n" + size + b"\r\nb\r\n")
    with suppress(Broken):
        assert replies.take() in (NOT_WHOLE, ["a", "b"])


values = st.recursive(st.none() | st.integers(-(2**63), 2**63 - 1) | st.text(), st.lists, max_leaves=30)


def as_bytes(value: Any) -> bytes:
    if value is None:
        return b"$-1\r\n"
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, str):
        return b"$%d\r\n%b\r\n" % (len(value.encode()), value.encode())
    return b"*%d\r\n" % len(value) + b"".join(map(as_bytes, value))


@given(values)
def test_whatever_a_server_can_say_is_understood(value: Any):
    assert reading(as_bytes(value)).take() == value


@given(values, values, st.integers(1, 9))
def test_whatever_comes_in_pieces_is_taken_once_it_is_whole(first: Any, second: Any, size: int):
    sent = as_bytes(first) + as_bytes(second)
    replies = Replies()
    taken = []
    for at in range(0, len(sent), size):
        replies.feed(sent[at : at + size])
        while (value := replies.take()) is not NOT_WHOLE:
            taken.append(value)
    assert taken == [first, second]


@given(values, st.data())
def test_whatever_is_cut_short_is_not_whole(value: Any, data: st.DataObject):
    whole = as_bytes(value)
    assert reading(whole[: data.draw(st.integers(0, len(whole) - 1))]).take() is NOT_WHOLE


def test_what_was_read_of_a_long_reply_is_not_read_again_with_every_piece():
    """A page of megabytes comes in many pieces; read from its start each time it took longer than a request has."""
    page = [["name", "x" * 1_000, ["nested"]] for _ in range(200)]
    raw = b"*200\r\n" + b"".join(
        b"*3\r\n$4\r\nname\r\n$1000\r\n%s\r\n*1\r\n$6\r\nnested\r\n" % (b"x" * 1_000) for _ in range(200)
    )
    pieces = [raw[at : at + 500] for at in range(0, len(raw), 500)]
    at_once = _calls_to_read([raw], page)
    assert _calls_to_read(pieces, page) <= 3 * at_once + 20 * len(pieces)  # some more for each, and not all anew


def _calls_to_read(pieces: list[bytes], reply: object) -> int:
    """Function calls that it takes to read a reply that comes in those pieces."""
    calls = 0
    replies = Replies()

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        for piece in pieces:
            replies.feed(piece)
            read = replies.take()
            assert (read is NOT_WHOLE) is (piece is not pieces[-1])
    finally:
        sys.setprofile(None)
    assert read == reply
    return calls
