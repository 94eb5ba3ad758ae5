"""What ``make releases`` prints."""

import json

import pytest

from tools.release.live_alias import Traffic
from tools.release.published_versions import PublishedVersion
from tools.release.releases import as_json, table

VERSIONS = [
    PublishedVersion(12, "0.1.0+g0123456789ab", "2026-11-24T23:55:10.000+0000", "aGFsbG8gd2VsdCBkYXMgaXN0IGVz"),
    PublishedVersion(11, "0.1.0+gfedcba987654", "2026-11-23T09:01:02.000+0000", "bm9jaCBlaW4genVlcmljaGVyIHdv"),
]


def test_the_table_marks_who_serves() -> None:
    assert list(table(VERSIONS, "live", Traffic("11", {"12": 0.1}))) == [
        "version  build                         published                     code sha256   alias",
        "     12  0.1.0+g0123456789ab           2026-11-24T23:55:10.000+0000  aGFsbG8gd2Vs  live 10%",
        "     11  0.1.0+gfedcba987654           2026-11-23T09:01:02.000+0000  bm9jaCBlaW4g  live 90%",
    ]


@pytest.mark.parametrize(("serving", "shares"), [("12", [1, 0]), ("9", [0, 0])])
def test_machines_get_the_whole_sum_and_the_share(serving: str, shares: list[float]) -> None:
    listed = json.loads(as_json(VERSIONS, Traffic(serving)))

    assert [each["share"] for each in listed] == shares
    assert listed[0] | {"share": 0} == {
        "number": 12,
        "build": "0.1.0+g0123456789ab",
        "published_at": "2026-11-24T23:55:10.000+0000",
        "code_sha256": "aGFsbG8gd2VsdCBkYXMgaXN0IGVz",
        "share": 0,
    }
