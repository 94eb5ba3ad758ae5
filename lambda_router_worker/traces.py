"""The place in the code where a thread currently is, for the log."""

import sys
from collections.abc import Iterator
from itertools import islice
from types import FrameType

from lambda_router_queue.traces import LAST, place


def standing(thread_id: int) -> str:
    """Return the innermost frames of a running thread, the innermost one last; empty if the thread has ended."""
    frame = sys._current_frames().get(thread_id)
    return "\n".join(reversed(list(islice(_of_stack(frame), LAST))))


def _of_stack(frame: FrameType | None) -> Iterator[str]:
    while frame is not None:
        yield place(frame.f_code, frame.f_lineno)
        frame = frame.f_back
