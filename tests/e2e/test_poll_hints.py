"""What a job costs in requests, if its caller comes again when ``Retry-After`` says: on the service of ``make run``."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import httpx
import pytest

from tests.e2e.conftest import StartStack
from tests.e2e.running_stack import RunningStack, submit

MOST_POLLS = 3
#: Seconds that the jobs take; those of a model server vary like this, too.
TIMES = (1.0, 1.5, 2.2, 3.3, 5.5)


class Course(NamedTuple):
    """What one job cost: the hints that its caller was given, and how often it polled."""

    hints: list[int]
    polls: int
    status: str


@pytest.fixture(scope="module")
def timed(start_stack: StartStack) -> Iterator[RunningStack]:
    """A stack with a worker that takes as long for a job as the job says, and has done so once."""
    stack = start_stack(WORKER_HANDLER="tests.e2e.timed_handler:work", WORKER_CONCURRENCY="10")
    with stack.caller("ann") as ann:
        assert followed(ann, 2.0).status == "completed"
    yield stack
    assert stack.stop() == 0


def followed(caller: httpx.Client, seconds: float) -> Course:
    """Send one job, and poll it as it is told until it is final."""
    reply = submit(caller, str(seconds))
    course = Course([int(reply.headers["retry-after"])], 0, reply.json()["status"])
    path, etag = reply.headers["location"], ""
    while course.status in {"queued", "in_progress"}:
        time.sleep(course.hints[-1])
        reply = caller.get(path, headers={"If-None-Match": etag} if etag else {})
        status = course.status if reply.status_code == 304 else str(reply.json()["status"])
        etag = reply.headers["etag"]
        hint = reply.headers.get("retry-after")
        course = Course(course.hints + ([int(hint)] if hint else []), course.polls + 1, status)
    return course


def test_a_caller_that_honours_retry_after_polls_three_times_at_most(timed: RunningStack) -> None:
    with timed.caller("bob") as bob, ThreadPoolExecutor(len(TIMES)) as threads:
        courses = dict(zip(TIMES, threads.map(lambda seconds: followed(bob, seconds), TIMES), strict=True))
    assert {course.status for course in courses.values()} == {"completed"}
    assert {seconds: course for seconds, course in courses.items() if course.polls > MOST_POLLS} == {}
    # Each response but the last says when to come again, also one of 304.
    assert {len(course.hints) - course.polls for course in courses.values()} == {0}
    assert max(hint for course in courses.values() for hint in course.hints) <= 5
