"""chalicelib.jobs.job_pages: a cursor comes back as it went out, or is refused."""

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.errors import MalformedRequest
from chalicelib.jobs.job_pages import Cursor

JOB_ID = "job_" + "0123456789abcdef" * 2
CURSOR = Cursor(1_795_421_730_123, JOB_ID)


def written(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


@given(st.integers(0, 10**15 - 1), st.from_regex(r"job_[0-9a-f]{32}", fullmatch=True))
def test_a_cursor_comes_back_as_it_went_out(created_at: int, job_id: str):
    cursor = Cursor(created_at, job_id)
    assert Cursor.decode(cursor.encode()) == cursor


def test_a_cursor_fits_into_a_url_as_it_stands():
    assert re.fullmatch(r"[A-Za-z0-9_-]+", CURSOR.encode())


def test_cursors_sort_by_time_and_then_by_id():
    early, late, late_too = Cursor(1, "job_b"), Cursor(2, "job_a"), Cursor(2, "job_b")
    assert sorted([late_too, early, late]) == [early, late, late_too]


STRANGE = {
    "empty": "",
    "words": "next",
    "not base64": "!!!!",
    "not ASCII": "ü",
    "a lone surrogate": "\ud800",
    "base64 of bytes that are not ASCII": base64.urlsafe_b64encode(b"\xff" * 40).decode(),
    "another job's form": written("1:job_123"),
    "no time": written(f":{JOB_ID}"),
    "a negative time": written(f"-1:{JOB_ID}"),
    "a time of 16 digits": written(f"{10**15}:{JOB_ID}"),
    "a time in other digits": written(f"\N{ARABIC-INDIC DIGIT ONE}:{JOB_ID}"),
    "upper case": written(f"1:{JOB_ID.upper()}"),
    "a newline at the end": written(f"1:{JOB_ID}\n"),
    "a newline after it": CURSOR.encode() + "\n",
    "white space inside": CURSOR.encode()[:8] + " " + CURSOR.encode()[8:],
    "more than one": CURSOR.encode() * 2,
    "very long": "A" * 100_000,
    "padding": written(f"1:{JOB_ID}") + "=",
    "a time with leading zeros": written(f"007:{JOB_ID}"),
    "stray bits at the end": written(f"1:{JOB_ID}")[:-1] + "Z",
}


def test_the_strange_cursors_below_differ_from_a_good_one_by_little():
    assert Cursor.decode(written(f"1:{JOB_ID}")) == (1, JOB_ID)
    assert written(f"1:{JOB_ID}")[-1] == "Y"


@pytest.mark.parametrize("text", STRANGE.values(), ids=STRANGE)
def test_what_encode_did_not_write_is_refused(text: str):
    with pytest.raises(MalformedRequest, match="cursor was not issued by this API"):
        Cursor.decode(text)


@given(st.text() | st.text(alphabet="ABCDabcd0189-_=+/", max_size=60))
def test_any_text_is_a_cursor_or_refused(text: str):
    try:
        cursor = Cursor.decode(text)
    except MalformedRequest:
        return
    assert cursor.encode() == text
