"""Encrypted jobs in the worker: the input is decrypted before processing, and the result is encrypted afterwards."""

import asyncio
import importlib.util
from dataclasses import dataclass

from pydantic import JsonValue, TypeAdapter

from lambda_router_queue.encryption.data_keys import DataKey, DataKeys, KeyUnavailable
from lambda_router_queue.encryption.sealing import CannotDecrypt, Place, Sealer, Unsealed, seal_under
from lambda_router_worker.job import Job
from lambda_router_worker.outcomes import JobFailed, TryAgain
from lambda_router_worker.worker_log import log

#: Packages of the extra ``kms``, which only workers of encrypted jobs need.
_OF_KMS = ("boto3", "cryptography")

_INPUT: TypeAdapter[dict[str, JsonValue]] = TypeAdapter(dict[str, JsonValue])


def missing_of_kms() -> list[str]:
    """Return the packages of the extra ``kms`` that are not installed."""
    return [name for name in _OF_KMS if importlib.util.find_spec(name) is None]


@dataclass(frozen=True)
class Readable:
    """A job with its input in plain text, and the data key for its result: None if the input was not encrypted."""

    job: Job
    key: DataKey | None = None

    def encrypted(self, result: str) -> str:
        """Return the result as it may be stored: encrypted if the input was. KMS is not called."""
        return self.sealed(result, "result")

    def sealed(self, text: str, part: str) -> str:
        """Return a text as it may be stored as that part of the job: encrypted if the input was."""
        if self.key is None:
            return text
        return seal_under(self.key, text, Place(self.job.queue, self.job.id, self.job.owner, part))


class Encryption:
    """Decrypts jobs for a handler.

    Args:
        kms_key_id: ARN of the key or alias that the router's ``ROUTER_KMS_KEY_ID`` names. Without it, encrypted jobs
            are put back for an attempt by a worker that has it.
        accept_plain_text: process jobs that are not encrypted although there is a key. Anyone who can write to Redis
            can write such a job, so this is for the day on which encryption is turned on.
    """

    def __init__(self, kms_key_id: str | None = None, accept_plain_text: bool = False) -> None:
        self._refuses_plain_text = kms_key_id is not None and not accept_plain_text
        self._sealer = Sealer(DataKeys(kms_key_id)) if kms_key_id else None

    async def decrypted(self, job: Job) -> Readable:
        """Return the job with its input in plain text.

        Raises:
            TryAgain: the key is unavailable at present, or to this worker.
            JobFailed: the input was not encrypted, or was encrypted for another job or with another key.
        """
        if job.encrypted_input is None:
            if self._refuses_plain_text:
                explanation = "the input is not encrypted and this worker has a key; see --plain-text"
                log.error("encrypted", extra={"job_id": job.id, "explanation": explanation})
                raise JobFailed("cannot_decrypt", "The input of this job is not encrypted, although it must be.")
            return Readable(job)
        try:
            # In a thread, so that leases are renewed meanwhile: KMS may take a second.
            opened = await asyncio.to_thread(self._open, job, job.encrypted_input)
        except KeyUnavailable as error:
            log.error("encrypted", extra={"job_id": job.id, "explanation": str(error)})
            raise TryAgain("key_unavailable", "The key of this job cannot be used at present.") from None
        except CannotDecrypt as error:
            log.error("encrypted", extra={"job_id": job.id, "explanation": str(error)})
            raise JobFailed("cannot_decrypt", "The input of this job cannot be decrypted.") from None
        clear = {"input": _INPUT.validate_json(opened.text), "encrypted_input": None}
        return Readable(job.model_copy(update=clear), opened.key)

    def _open(self, job: Job, sealed: str) -> Unsealed:
        if self._sealer is None:
            raise KeyUnavailable("the job is encrypted and this worker has no key; set --kms-key-id")
        return self._sealer.open(sealed, Place(job.queue, job.id, job.owner, "input"))
