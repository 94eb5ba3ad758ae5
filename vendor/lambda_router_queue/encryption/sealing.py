"""Texts that only holders of a KMS key can read: a job's input for the worker, its result on the way back, and its
request as the OpenAI API shows it.

A sealed text is ``A256GCM.<data key>.<nonce>.<ciphertext and tag>``: AES-256-GCM (NIST SP 800-38D), the data key as KMS
encrypted it, each part in base64url without padding. No JSON begins like this. The text's place is authenticated with
it, so that nobody who can write to Redis can pass one job's text off as another's.
"""

import base64
import binascii
import os
from dataclasses import dataclass, field
from typing import NamedTuple

from lambda_router_queue.encryption.data_keys import DataKey, DataKeys, KeyRefused

ALGORITHM = "A256GCM"
_NONCE_BYTES = 12


class CannotDecrypt(Exception):
    """The text was not sealed for this place, or was sealed under another key; a retry does not help."""


class Place(NamedTuple):
    """The place of a sealed text: the queue, job and owner that it belongs to, and the part of the job that it is."""

    queue: str
    job_id: str
    owner: str
    part: str  # input, result, openai, or the part that ``event_part`` names

    @property
    def authenticated(self) -> bytes:
        """The additional authenticated data; only the last part can contain a colon."""
        return f"lambda-router:1:{self.part}:{self.job_id}:{self.queue}:{self.owner}".encode()


@dataclass(frozen=True)
class Unsealed:
    """A decrypted text, and the data key that it was sealed under."""

    text: str = field(repr=False)
    key: DataKey


def event_part(token: int | str, number: int | str) -> str:
    """Return the part that a piece of live output is: its place in the log of its job."""
    return f"event {token}-{number}"


def is_sealed(text: str) -> bool:
    return text.startswith(f"{ALGORITHM}.")


def data_key_of(sealed: str) -> str:
    """Return the part of a sealed text that is its data key, as KMS encrypted it."""
    return sealed.split(".")[1]


class Sealer:
    """Sealing and unsealing with the data keys of one KMS key.

    Args:
        accept_plain_text: accept a text that is not sealed. Anybody who can write to Redis can forge one, so this is
            for the day on which encryption is turned on.
    """

    def __init__(self, keys: DataKeys, *, accept_plain_text: bool = False) -> None:
        self._keys = keys
        self.accepts_plain_text = accept_plain_text

    def seal(self, text: str, place: Place) -> str:
        """Seal the text under the current key. Raises KeyUnavailable."""
        return seal_under(self._keys.current(place.queue), text, place)

    def unseal(self, sealed: str, place: Place) -> str:
        """Return a text that was sealed for this place. Raises KeyUnavailable, CannotDecrypt."""
        if self.accepts_plain_text and not is_sealed(sealed):
            return sealed
        return self.open(sealed, place).text

    def open(self, sealed: str, place: Place) -> Unsealed:
        """Return the same together with its key. Raises KeyUnavailable, CannotDecrypt."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        encrypted_key, nonce, ciphertext = _parts(sealed)
        key = self._opened(place.queue, encrypted_key)
        try:
            text = AESGCM(key.plaintext).decrypt(nonce, ciphertext, place.authenticated).decode()
        except InvalidTag:
            raise CannotDecrypt("the text was sealed for another place, or changed since") from None
        return Unsealed(text, key)

    def _opened(self, queue: str, encrypted_key: bytes) -> DataKey:
        try:
            return self._keys.opened(queue, encrypted_key)
        except KeyRefused as refused:
            raise CannotDecrypt(str(refused)) from None


def seal_under(key: DataKey, text: str, place: Place) -> str:
    """Seal the text under that data key, which must be one of the place's queue."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(_NONCE_BYTES)
    ciphertext = AESGCM(key.plaintext).encrypt(nonce, text.encode(), place.authenticated)
    return ".".join([ALGORITHM, *map(_encoded, (key.encrypted, nonce, ciphertext))])


def _parts(sealed: str) -> tuple[bytes, bytes, bytes]:
    """Split a sealed text into encrypted data key, nonce and ciphertext. Raises CannotDecrypt."""
    try:
        algorithm, encrypted_key, nonce, ciphertext = map(_decoded, sealed.split("."))
    except ValueError:
        raise CannotDecrypt("the text is not encrypted") from None
    if algorithm != _decoded(ALGORITHM) or len(nonce) != _NONCE_BYTES or not encrypted_key:
        raise CannotDecrypt("the text is not encrypted")
    return encrypted_key, nonce, ciphertext


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("no base64url") from error
