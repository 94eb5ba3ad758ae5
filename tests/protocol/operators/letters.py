"""Dead letters that tests make."""

from typing import Any

from tests.protocol.conftest import Callers, Hand

PROMPT = "a secret prompt of the caller"


def bury(queue: Callers, hand: Hand, owner: str = "alice", **body: Any) -> str:
    """Have one job given up on; its id."""
    job_id = queue.send_one(owner, input={"prompt": PROMPT}, **body)
    assert (
        hand.call("retry", hand.begin(), 0, 1, "backend_busy", "The model server responded with status 500.") == "dead"
    )
    return job_id
