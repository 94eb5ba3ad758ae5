"""Whatever bytes are sent as a body: a problem of the caller's, or a job that reads back as it was sent."""

import json
from collections.abc import Iterator

import pytest
import redis
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from chalicelib import wiring
from tests import corpora
from tests.conftest import MakeToken, Reply, Router
from tests.security.any_job import TYPES, job_with, stored_value

#: Valid by RFC 8259, and refused on purpose: which of two equal members counts depends on the reader (RFC 7493).
DUPLICATES = {"y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"}

many = settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def router(environ: dict[str, str], make_token: MakeToken) -> Iterator[Router]:
    """The app with a job type that takes any JSON."""
    with wiring.use(wiring.build(environ, TYPES)):
        yield Router(make_token())


def send(router: Router, value: bytes) -> Reply:
    return router.post("/v1/jobs", job_with(value))


#: 100,000 and more brackets, and bytes enough to tell a parser that calls itself from one that counts.
LARGE = {"n_structure_100000_opening_arrays.json", "n_structure_open_array_object.json"}


def wanted(name: str) -> set[int]:
    """The statuses that a file of JSONTestSuite may get: its first letter says y(es), n(o) or i(t depends)."""
    if name in DUPLICATES:
        return {400}
    return {"y": {202}, "n": {400}, "i": {202, 400}}[name[0]]


def test_each_document_of_json_test_suite_gets_its_status_and_reads_back_equal(router: Router, db: redis.Redis) -> None:
    files = sorted(corpora.JSON_TEST_SUITE.place().iterdir())
    replies = {file.name: send(router, file.read_bytes()) for file in files}

    assert [sum(name[0] == kind for name in replies) for kind in "yni"] == [95, 188, 35]
    assert {name: reply.status for name, reply in replies.items() if reply.status not in wanted(name)} == {}
    for file in files:
        if replies[file.name].status == 202:
            assert stored_value(replies[file.name], db) == json.loads(file.read_bytes()), file.name


@pytest.mark.parametrize("name", sorted(LARGE))
def test_a_document_of_100000_brackets_is_400_in_a_batch(router: Router, name: str) -> None:
    value = (corpora.JSON_TEST_SUITE.place() / name).read_bytes()
    reply = router.post("/v1/jobs/batch", b'{"jobs":[' + job_with(value) + b"]}")

    assert reply.status == 400, reply.body


def assert_a_problem_or_the_same(reply: Reply, value: bytes, db: redis.Redis) -> None:
    if reply.status == 202:
        assert stored_value(reply, db) == json.loads(value)
        return
    assert 400 <= reply.status < 500
    assert reply.headers["content-type"] == "application/problem+json"


@many
@given(st.binary(max_size=200))
@example(b"\xef\xbb\xbf1")
@example(b'1},"type":"any"')
@example(b"1}}{")
def test_any_bytes_as_a_value_are_a_problem_or_read_back_equal(router: Router, db: redis.Redis, value: bytes) -> None:
    reply = send(router, value)
    if reply.status != 202 or json.loads(job_with(value)).keys() == {"type", "input"}:
        assert_a_problem_or_the_same(reply, value, db)


@many
@given(st.binary(max_size=300))
def test_any_bytes_as_a_body_are_a_problem(router: Router, raw: bytes) -> None:
    reply = router.post("/v1/jobs", raw)

    assert 400 <= reply.status < 500
    assert reply.headers["content-type"] == "application/problem+json"


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
documents = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**60), 10**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=10,
)


@many
@given(documents, st.booleans())
def test_any_document_is_taken_and_reads_back_equal(
    router: Router, db: redis.Redis, document: object, escaped: bool
) -> None:
    value = json.dumps(document, ensure_ascii=escaped).encode()
    reply = send(router, value)

    assert reply.status == 202, reply.body
    assert json.dumps(stored_value(reply, db), sort_keys=True) == json.dumps(document, sort_keys=True)


@pytest.mark.parametrize("depth", [10, 50, 100, 150, 195, 1_000, 10_000, 30_000])
def test_any_depth_is_taken_or_400(router: Router, db: redis.Redis, depth: int) -> None:
    value = b"[" * depth + b"]" * depth

    assert_a_problem_or_the_same(send(router, value), value, db)


@pytest.mark.parametrize("number", ["1" * 128, "1" * 129, "1e308", "1e309", "-0", "-0.0", "1E-400", "0.1" + "0" * 130])
def test_any_number_reads_back_equal_or_is_400(router: Router, db: redis.Redis, number: str) -> None:
    assert_a_problem_or_the_same(send(router, number.encode()), number.encode(), db)
