"""lambda_router_worker.backend.retry_after: how long a server asks to be left alone."""

import time
from email.utils import formatdate

import pytest

from lambda_router_queue.models import MAX_REST_SECONDS
from lambda_router_worker.backend.retry_after import retry_after_seconds

MOST = float(MAX_REST_SECONDS)

SECONDS: dict[str, tuple[str, float]] = {
    "zero": ("0", 0),
    "seconds": ("7", 7),
    "spaces": (" 7 ", 7),
    "decimal": ("2.5", 2.5),
    "no digit before the point": (".5", 0.5),
    "no digit behind it": ("2.", 2),
    "a day": ("86400", MOST),
    "a million digits": ("9" * 1_000_000, 0),
    "negative": ("-5", 0),
    "a word": ("soon", 0),
    "empty": ("", 0),
    "nan": ("nan", 0),
    "infinity": ("inf", 0),
    "exponent": ("1e9", 0),
    "other digits": ("\u0667", 0),
    "the end of time": ("Fri, 31 Dec 9999 23:59:59 GMT", MOST),
    "a date that is past": ("Fri, 31 Dec 1999 23:59:59 GMT", 0),
    "a day that no month has": ("Fri, 99 Dec 2099 23:59:59 GMT", MOST),
    "a year that no calendar has": ("Fri, 31 Dec 99999999999 23:59:59 GMT", 0),
    "half a date": ("Fri, 31 Dec", 0),
}


@pytest.mark.parametrize(("value", "seconds"), SECONDS.values(), ids=SECONDS.keys())
def test_every_form_is_read_or_counts_as_nothing(value: str, seconds: float):
    assert retry_after_seconds({"retry-after": value}) == seconds


@pytest.mark.parametrize("zone", ["GMT", "-0000", "+0000", "+9999", "-9999", "XYZ", ""])
def test_a_date_is_read_whatever_its_zone_is_called(zone: str):
    date = formatdate(time.time() + 60, usegmt=True).replace("GMT", zone)
    assert 55 <= retry_after_seconds({"retry-after": date}) <= 60


def test_a_zone_that_is_one_counts():
    date = formatdate(time.time() + 60 + 7_200, usegmt=True).replace("GMT", "+0200")
    assert 55 <= retry_after_seconds({"retry-after": date}) <= 60


def test_milliseconds_go_before_seconds():
    assert retry_after_seconds({"retry-after": "7", "retry-after-ms": "1500.5"}) == 1.5005
    assert retry_after_seconds({"retry-after": "7", "retry-after-ms": "soon"}) == 7
    assert retry_after_seconds({}) == 0
