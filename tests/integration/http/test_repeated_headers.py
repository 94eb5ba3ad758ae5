"""Headers that come in several lines: a list is one list, and what may stand once is not guessed at."""

from typing import Any

import redis

from tests.conftest import Router
from tests.integration.in_redis import entries

FIRST, SECOND = (f"00-{digit * 32}-{digit * 16}-01" for digit in "ab")


def test_if_none_match_in_several_lines_is_one_list(router: Router, location: str) -> None:
    etag = router.get(location).headers["etag"]

    assert router.get(location, headers={"If-None-Match": [etag, 'W/"other"']}).status == 304
    assert router.get(location, headers={"If-None-Match": ['W/"other"', etag]}).status == 304
    assert router.get(location, headers={"If-None-Match": ['W/"other"', 'W/"another"']}).status == 200


def test_of_several_traceparents_none_is_believed(router: Router, generate: dict[str, Any], db: redis.Redis) -> None:
    """Trace Context, section 2.2.2: a new trace is started where the header cannot be parsed."""
    router.post("/v1/jobs", generate, headers={"traceparent": FIRST})
    router.post("/v1/jobs", generate, headers={"traceparent": [FIRST, SECOND]})

    (_, one), (_, several) = entries(db)
    assert one["traceparent"] == FIRST
    assert several["traceparent"] not in {FIRST, SECOND}


def test_every_problem_carries_nosniff(router: Router) -> None:
    for reply in (router.get("/v1/jobs/nothing"), router.get("/nowhere"), router.as_caller(None).get("/v1/jobs")):
        assert reply.headers["x-content-type-options"] == "nosniff"
