"""The handler of the workers in these tests: writes down that it begins, and sleeps for as long as the job says."""

import os
import time
from typing import Any

from lambda_router_queue.models import Envelope


def work(job: Envelope) -> dict[str, Any]:
    """The prompt is the time to take, in milliseconds."""
    log = os.open(os.environ["ROUTER_FAULT_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)  # noqa: TID251
    os.write(log, f"{job.id} {os.getpid()}\n".encode())
    os.close(log)
    time.sleep(int(str(job.input["prompt"])) / 1000)
    return {"pid": os.getpid()}
