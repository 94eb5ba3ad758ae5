"""A job's record in Redis → the job as its caller sees it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import from_json

from chalicelib.flow import Flow
from chalicelib.models import Job, JobError, rfc3339
from chalicelib.sealing import CannotDecrypt, Place, Sealer, is_sealed


def jobs_from_reply(reply: Sequence[Any], sealer: Sealer | None = None) -> list[Job | None]:
    """From the answer of ``settle.lua``; encrypted results are decrypted. Raises KeyUnavailable."""
    now_ms, figures, records = int(reply[0]), reply[1], reply[2]
    flow = Flow.from_line(figures, now_ms)
    return [_job(record, flow, now_ms, sealer) if record else None for record in records]


def _job(flat: Sequence[str], flow: Flow, now_ms: int, sealer: Sealer | None) -> Job:
    record: dict[str, Any] = dict(zip(flat[::2], flat[1::2], strict=True))
    position, start_at = _place(record, flow, now_ms)
    result, error = _outcome(record, sealer)
    return Job(
        id=record["id"],
        type=record["type"],
        queue=record["queue"],
        status=record["status"],
        priority=record["priority"],
        created_at=rfc3339(int(record["created_at"])),
        started_at=_time(record, "started_at"),
        finished_at=_time(record, "finished_at"),
        expires_at=rfc3339(int(record["deadline_at"])),
        attempts=int(record.get("attempts", 0)),
        position=position,
        estimated_start_at=start_at,
        result=result,
        error=error,
        last_error=_last_error(record),
        metadata=json.loads(record["metadata"]),
        store=record.get("store") != "0",
        request_id=record["request_id"],
    )


#: What was encrypted for another job, or with a key that is not the service's: its caller reads this.
NOT_DECRYPTED = JobError(code="cannot_decrypt", message="The result of this job cannot be decrypted.")
#: Workers in other languages may write what is no JSON: their callers then read this.
BAD_OUTCOME = JobError(code="worker_error", message="The worker wrote an outcome that cannot be read.")


def _outcome(record: Mapping[str, Any], sealer: Sealer | None) -> tuple[Any, JobError | None]:
    """Result and error as the worker wrote them."""
    try:
        result = from_json(_result(record, sealer), allow_inf_nan=False) if "result" in record else None
        return result, JobError.model_validate_json(record["error"]) if "error" in record else None
    except CannotDecrypt:
        return None, NOT_DECRYPTED
    except ValueError:
        return None, BAD_OUTCOME


def _last_error(record: Mapping[str, Any]) -> JobError | None:
    try:
        return JobError.model_validate_json(record["last_error"]) if "last_error" in record else None
    except ValueError:
        return BAD_OUTCOME


def _result(record: Mapping[str, Any], sealer: Sealer | None) -> str:
    """The result's JSON. Raises CannotDecrypt, KeyUnavailable."""
    text: str = record["result"]
    if sealer is None:
        if is_sealed(text):
            raise CannotDecrypt("ROUTER_KMS_KEY_ID is not set")
        return text
    return sealer.unseal(text, Place(record["queue"], record["id"], record["owner"], "result"))


def _place(record: Mapping[str, Any], flow: Flow, now_ms: int) -> tuple[int | None, str | None]:
    if record["status"] != "queued":
        return None, None
    seq = int(record["seq"]) if "seq" in record else None
    return flow.place(now_ms, int(record["stream"]), seq, int(record.get("due", 0)))


def _time(record: Mapping[str, Any], name: str) -> str | None:
    return rfc3339(int(record[name])) if name in record else None
