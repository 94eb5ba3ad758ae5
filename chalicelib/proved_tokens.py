"""Tokens whose signature was proved a short while ago, so that a caller who polls pays for the proof once."""

import hashlib
import threading
from collections import OrderedDict
from typing import Any, NamedTuple

from jwt.api_jwk import PyJWK

from chalicelib.jwks import SigningKeys

#: A function that this many callers share has about a megabyte of claims in memory.
MAX_TOKENS = 512


class Proof(NamedTuple):
    """What a token says, and the key that proved it."""

    kid: str
    key: PyJWK
    claims: dict[str, Any]


class ProvedTokens:
    """Remembers that a signature is good, and nothing else: times, issuer, client and scope are checked each time.

    A token is known by its SHA-256, so memory holds no token. A proof counts only while the key set still has that very
    key under that id: a rotation, a withdrawal or a refresh of the set ends it. The oldest makes room for the newest.
    """

    def __init__(self, limit: int = MAX_TOKENS) -> None:
        self._limit = limit
        self._proofs: OrderedDict[bytes, Proof] = OrderedDict()  # a dict takes ever longer to find its oldest
        self._lock = threading.Lock()

    def claims(self, digest: bytes, keys: SigningKeys) -> dict[str, Any] | None:
        """What a token says whose signature was proved before; None where it has to be proved.

        Args:
            digest: what the token is known by; see ``digest_of``.

        Raises:
            SigningKeysUnavailable: the keys could not be had.
        """
        proof = self._proofs.get(digest)
        return proof.claims if proof is not None and keys.key(proof.kid) is proof.key else None

    def remember(self, digest: bytes, proof: Proof) -> None:
        """Keep a proof; a newer one of the same token takes its place."""
        with self._lock:
            self._proofs.pop(digest, None)
            while len(self._proofs) >= self._limit:
                self._proofs.popitem(last=False)
            self._proofs[digest] = proof


def digest_of(token: str) -> bytes:
    """What a token is known by: its SHA-256."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()
