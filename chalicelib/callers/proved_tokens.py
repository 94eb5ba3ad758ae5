"""Tokens whose signature was proved a short while ago, so that a caller who polls pays for the proof once."""

import hashlib
import sys
import threading
from collections import OrderedDict
from typing import Any, NamedTuple

from jwt.api_jwk import PyJWK

from chalicelib.callers.jwks import SigningKeys

#: Cognito's tokens need about 1.5 KB of claims each; a caller who has longer ones made leaves room for fewer.
MAX_TOKENS = 512
MAX_BYTES = 1024 * 1024
#: What a dict of claims takes besides their values, and its place here.
_BYTES_EACH = 1024

#: The claims that are looked at each time.
READ = frozenset({"sub", "iss", "token_use", "client_id", "scope", "exp", "iat", "nbf"})


class Proof(NamedTuple):
    """What a token says, and the key that proved it."""

    kid: str
    key: PyJWK
    claims: dict[str, Any]


class ProvedTokens:
    """Remembers that a signature is good, and nothing else: times, issuer, client and scope are checked each time.

    A token is known by its SHA-256, so memory holds no token. A proof counts only while the key set still has that very
    key under that id: a rotation or a withdrawal ends it. The oldest makes room for the newest.

    Claims that nobody reads are not kept, and a token with one that is neither text nor number is proved each time.
    """

    def __init__(self, limit: int = MAX_TOKENS) -> None:
        self._limit = limit
        self._bytes = 0
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
        claims = {name: value for name, value in proof.claims.items() if name in READ}
        if not all(isinstance(value, str | int) for value in claims.values()):
            return
        with self._lock:
            if (before := self._proofs.pop(digest, None)) is not None:
                self._bytes -= _size(before)
            self._proofs[digest] = kept = proof._replace(claims=claims)
            self._bytes += _size(kept)
            while len(self._proofs) > self._limit or self._bytes > MAX_BYTES:
                self._bytes -= _size(self._proofs.popitem(last=False)[1])


def _size(proof: Proof) -> int:
    return _BYTES_EACH + sum(map(sys.getsizeof, proof.claims.values()))


def digest_of(token: str) -> bytes:
    """What a token is known by: its SHA-256."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()
