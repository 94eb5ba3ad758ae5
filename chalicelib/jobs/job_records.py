"""Conversion of a job's record in Redis to the job as its caller sees it."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

from pydantic_core import from_json

from chalicelib.limits import LATE_PART
from chalicelib.observability import log, odd_figure
from lambda_router_queue.encryption.sealing import CannotDecrypt, Place, Sealer, data_key_of, is_sealed
from lambda_router_queue.flow import Flow
from lambda_router_queue.models import FINAL_STATUSES, Job, JobError, Priority, Status, rfc3339
from lambda_router_queue.queue_keys import LANES, PRIORITIES

JOB_ID = re.compile(r"job_[0-9a-f]{32}", re.ASCII)
STREAMS = LANES * len(PRIORITIES)
#: The digits of milliseconds up to the year 5138, which a date can represent.
_DIGITS = 14


class Record(NamedTuple):
    """A job as one read found it.

    Attributes:
        openai: its request as the OpenAI API shows it, as JSON; None for a job of another API.
        poll_ms: milliseconds after which to look at the job again; 0 once it is final.
    """

    job: Job
    openai: str | None
    poll_ms: float = 0


def records_from_reply(reply: Sequence[Any], sealer: Sealer | None = None) -> list[Record | None]:
    """Parse the reply of ``settle.lua``; encrypted texts are decrypted. Raises KeyUnavailable."""
    now_ms, figures, records = int(reply[0]), reply[1], reply[2]
    flow = Flow.from_line(figures, now_ms, odd_figure)
    return [_readable(record, flow, now_ms, sealer) if record else None for record in records]


def jobs_from_reply(reply: Sequence[Any], sealer: Sealer | None = None) -> list[Job | None]:
    """Parse the reply as ``records_from_reply`` does, and return the jobs alone."""
    return [record and record.job for record in records_from_reply(reply, sealer)]


def data_keys_in(reply: Sequence[Any]) -> set[str]:
    """Return the encrypted data keys of that reply's texts: at most one call of KMS each."""
    return {data_key_of(text) for record in reply[2] if record for text in record[1::2] if is_sealed(text)}


def result_bytes(reply: Sequence[Any]) -> list[int]:
    """Return the length of each record's result in that reply."""
    return [_result_bytes(record) if record else 0 for record in reply[2]]


def _result_bytes(flat: Sequence[str]) -> int:
    result = next((value for name, value in zip(flat[::2], flat[1::2], strict=True) if name == "result"), "")
    return len(result) if result.isascii() else len(result.encode(errors="surrogateescape"))


def _readable(flat: Sequence[str], flow: Flow, now_ms: int, sealer: Sealer | None) -> Record | None:
    """Return the record; None, with a log line, if neither this service nor its workers write such a record."""
    record = dict(zip(flat[::2], flat[1::2], strict=True))
    try:
        job = _job(record, flow, now_ms, sealer)
        poll_ms = 0 if job.status in FINAL_STATUSES else _poll_ms(record, job.position, flow, now_ms)
        return Record(job, _openai(record, sealer), poll_ms)
    except (KeyError, ValueError, OverflowError) as error:
        job_id = record.get("id", "")
        named = {"job_id": job_id} if JOB_ID.fullmatch(job_id) else {}
        log.error("unreadable_record", extra=named | {"error": type(error).__name__})
        return None


def _job(record: Mapping[str, str], flow: Flow, now_ms: int, sealer: Sealer | None) -> Job:
    position, start_at = _place(record, flow, now_ms)
    result, error = _outcome(record, sealer)
    return Job(
        id=record["id"],
        type=_text(record, "type"),
        queue=_text(record, "queue"),
        status=cast(Status, record["status"]),  # the model validates it
        priority=cast(Priority, record["priority"]),
        created_at=rfc3339(int(record["created_at"])),
        started_at=_time(record, "started_at"),
        finished_at=_time(record, "finished_at"),
        expires_at=rfc3339(int(record["deadline_at"])),
        attempts=_number(record, "attempts") or 0,
        position=position,
        estimated_start_at=start_at,
        result=result,
        error=error,
        last_error=_last_error(record),
        metadata=_metadata(record),
        store=record.get("store") != "0",
        request_id=_text(record, "request_id"),
    )


#: Shown for a result that was encrypted for another job, or with a key that is not the service's.
NOT_DECRYPTED = JobError(code="cannot_decrypt", message="The result of this job cannot be decrypted.")
#: Shown for an outcome that is not JSON, which workers in other languages may write.
BAD_OUTCOME = JobError(code="worker_error", message="The worker wrote an outcome that cannot be read.")


def _outcome(record: Mapping[str, str], sealer: Sealer | None) -> tuple[Any, JobError | None]:
    """Return the result and the error as the worker wrote them."""
    try:
        result = from_json(_result(record, sealer).encode(), allow_inf_nan=False) if "result" in record else None
        return result, JobError.model_validate_json(record["error"]) if "error" in record else None
    except CannotDecrypt:
        return None, NOT_DECRYPTED
    except ValueError:
        return None, BAD_OUTCOME


def _last_error(record: Mapping[str, str]) -> JobError | None:
    try:
        return JobError.model_validate_json(record["last_error"]) if "last_error" in record else None
    except ValueError:
        return BAD_OUTCOME


def _result(record: Mapping[str, str], sealer: Sealer | None) -> str:
    """Return the result's JSON. Raises CannotDecrypt, KeyUnavailable."""
    return opened(record["result"], Place(record["queue"], record["id"], record["owner"], "result"), sealer)


def _openai(record: Mapping[str, str], sealer: Sealer | None) -> str | None:
    """Return the request as the OpenAI API shows it; None if there is none that can be decrypted."""
    if "openai" not in record:
        return None
    try:
        return opened(record["openai"], Place(record["queue"], record["id"], record["owner"], "openai"), sealer)
    except CannotDecrypt as error:
        log.error("unreadable_record", extra={"job_id": record["id"], "error": str(error)})
        return None


def opened(text: str, place: Place, sealer: Sealer | None) -> str:
    """Return a stored text, decrypted if it is encrypted. Raises CannotDecrypt, KeyUnavailable."""
    if sealer is not None:
        return sealer.unseal(text, place)
    if is_sealed(text):
        raise CannotDecrypt("ROUTER_KMS_KEY_ID is not set")
    return text


def _place(record: Mapping[str, str], flow: Flow, now_ms: int) -> tuple[int | None, str | None]:
    if record["status"] != "queued":
        return None, None
    stream, seq, due = (_number(record, name) for name in ("stream", "seq", "due"))
    if stream is not None and stream >= STREAMS:
        stream = None
    return flow.place(now_ms, stream, seq, due or 0)


def _poll_ms(record: Mapping[str, str], position: int | None, flow: Flow, now_ms: int) -> float:
    """Return the milliseconds until an open job is likely to be done; if that is unknown, a part of its time so far."""
    if record["status"] == "in_progress":
        ran_ms = max(0, now_ms - (_number(record, "attempt_at") or now_ms))
        return max(flow.service_ms - ran_ms, ran_ms * LATE_PART)
    due_ms = _number(record, "due") or 0
    if position is None:  # delayed, or waits for a retry
        return max(0, due_ms - now_ms) + flow.service_ms
    start_ms = flow.start_delay_ms(position)
    is_foretold = start_ms is not None and flow.service_ms > 0
    waited_ms = 0 if is_foretold else now_ms - max(due_ms, _number(record, "created_at") or now_ms)
    return max((start_ms or 0) + flow.service_ms, waited_ms * LATE_PART)


def _text(record: Mapping[str, str], name: str) -> str:
    """Return a field. Raises ValueError if it contains bytes that are not UTF-8."""
    text = record[name]
    text.encode()
    return text


def _number(record: Mapping[str, str], name: str) -> int | None:
    """Return a field's number; None if it is missing, or is not a time or a count."""
    value = record.get(name, "")
    return int(value) if value.isdecimal() and len(value) <= _DIGITS else None


def _time(record: Mapping[str, str], name: str) -> str | None:
    value = _number(record, name)
    return None if value is None else rfc3339(value)


def _metadata(record: Mapping[str, str]) -> dict[str, str]:
    """Return the metadata as the caller sent them; none if they were overwritten with something else."""
    try:
        found = from_json(record["metadata"].encode())
    except ValueError:
        return {}
    is_ours = isinstance(found, dict) and all(isinstance(value, str) for value in found.values())
    return found if is_ours else {}
