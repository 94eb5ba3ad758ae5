"""Data keys for envelope encryption: generated and decrypted by AWS KMS, kept in memory for a while.

A data key encrypts many jobs, so that KMS is not called for each of them (AWS KMS developer guide, "Data keys"). KMS
binds each key to the queue by its encryption context and logs every use in CloudTrail.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from lambda_router_queue import deadlines
from lambda_router_queue.encryption.aws_calls import AWSRefused, ask, client

#: A data key encrypts new jobs for this long, and this many of them. That is far below the 2**32 texts that AES-GCM
#: with random nonces allows under one key (NIST SP 800-38D section 8.3).
MAX_AGE_SECONDS = 300.0
MAX_USES = 10_000
#: Decrypted keys that are kept, for ``MAX_AGE_SECONDS`` each.
MAX_OPENED = 256

#: KMS's codes for a text that this key did not encrypt, or not for this queue; a retry changes nothing.
_NOT_ITS_TEXT = frozenset({"InvalidCiphertextException", "IncorrectKeyException"})


class KeyUnavailable(Exception):
    """KMS did not provide the key. It may recover, or an operator has to act. The message is for the log."""


class KeyRefused(Exception):
    """KMS did not make this encrypted data key, or not for this queue: it can never be decrypted."""


@dataclass(frozen=True)
class DataKey:
    """A 256-bit key, in plain text and as encrypted by KMS."""

    plaintext: bytes = field(repr=False)
    encrypted: bytes


@dataclass
class _InUse:
    key: DataKey
    made_at: float
    uses: int = 0


class DataKeys:
    """The data keys of one KMS key.

    Args:
        key_id: ARN of a KMS key or of an alias, or ``alias/<name>``.
        connect: creates boto3's KMS client, at first use.
        clock: monotonic seconds.
    """

    def __init__(
        self, key_id: str, connect: Callable[[], Any] | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._key_id = key_id
        self._connect = connect or partial(_kms, key_id)
        self._clock = clock
        self._kms: Any = None
        self._lock = threading.Lock()
        self._in_use: dict[str, _InUse] = {}
        self._opened: OrderedDict[tuple[str, bytes], tuple[float, DataKey]] = OrderedDict()

    def current(self, queue: str) -> DataKey:
        """Return the key that encrypts the queue's next job. Raises KeyUnavailable."""
        with self._turn():
            in_use = self._in_use.get(queue)
            if in_use is None or in_use.uses >= MAX_USES or self._is_old(in_use.made_at):
                in_use = self._in_use[queue] = _InUse(self._generate(queue), self._clock())
            in_use.uses += 1
            return in_use.key

    def opened(self, queue: str, encrypted: bytes) -> DataKey:
        """Return the key that KMS once encrypted for this queue. Raises KeyUnavailable, KeyRefused."""
        with self._turn():
            since, key = self._opened.get((queue, encrypted), (0.0, None))
            if key is None or self._is_old(since):
                answer = self._ask(
                    "decrypt", KeyId=self._key_id, CiphertextBlob=encrypted, EncryptionContext=_context(queue)
                )
                key = self._remember(queue, DataKey(answer["Plaintext"], encrypted))
            return key

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Admit one thread at a time. The others wait no longer than a call may take: KMS may be slow."""
        if not self._lock.acquire(timeout=deadlines.QUESTION_SECONDS):
            raise KeyUnavailable(f"the KMS key {self._key_id!r} was not available in time")
        try:
            yield
        finally:
            self._lock.release()

    def _generate(self, queue: str) -> DataKey:
        answer = self._ask(
            "generate_data_key", KeyId=self._key_id, KeySpec="AES_256", EncryptionContext=_context(queue)
        )
        return self._remember(queue, DataKey(answer["Plaintext"], answer["CiphertextBlob"]))

    def _remember(self, queue: str, key: DataKey) -> DataKey:
        self._opened[queue, key.encrypted] = (self._clock(), key)
        self._opened.move_to_end((queue, key.encrypted))
        while len(self._opened) > MAX_OPENED:
            self._opened.popitem(last=False)
        return key

    def _is_old(self, since: float) -> bool:
        return self._clock() - since >= MAX_AGE_SECONDS

    def _ask(self, operation: str, **question: Any) -> dict[str, Any]:
        try:
            self._kms = self._kms or self._connect()
            return ask(self._kms, operation, **question)
        except AWSRefused as refused:
            if refused.code in _NOT_ITS_TEXT:
                raise KeyRefused(f"the KMS key {self._key_id!r} did not encrypt this ({refused.code})") from None
            raise KeyUnavailable(
                f"the KMS key {self._key_id!r} cannot be used ({refused.code}); check that it exists and is enabled,"
                " that this role has kms:GenerateDataKey (the router) and kms:Decrypt on it, and a way to KMS"
            ) from None


def _context(queue: str) -> dict[str, str]:
    return {"queue": queue}


def _kms(key_id: str) -> Any:
    """Return a client that makes one short attempt: a caller gets a response within 1.5 s, and may retry."""
    region = key_id.split(":")[3] if key_id.startswith("arn:") else None
    return client("kms", connect_seconds=0.5, read_seconds=0.8, attempts=1, region=region)
