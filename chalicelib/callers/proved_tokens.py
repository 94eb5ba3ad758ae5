"""A cache of verified tokens, so that a caller who polls pays for the verification once."""

import hashlib
import sys
import threading
from collections import OrderedDict
from typing import Any, NamedTuple

from jwt.api_jwk import PyJWK

from chalicelib.callers.jwks import SigningKeys

#: Cognito's tokens need about 1.5 KB of claims each; longer ones leave room for fewer.
MAX_TOKENS = 512
MAX_BYTES = 1024 * 1024
#: Memory for a dict of claims without its values, and for its entry here.
_BYTES_EACH = 1024

#: The claims that are checked on each request.
READ = frozenset({"sub", "iss", "token_use", "client_id", "scope", "exp", "iat", "nbf"})


class Proof(NamedTuple):
    """The claims of a verified token, and the key that verified it."""

    kid: str
    key: PyJWK
    claims: dict[str, Any]


class ProvedTokens:
    """A memory of valid signatures and of nothing else: times, issuer, client and scope are checked each time.

    A token is identified by its SHA-256, so memory contains no token. A proof counts only while the key set still has
    the same key under that id: a rotation or a withdrawal ends it. The oldest proof makes room for the newest.

    Only the claims in ``READ`` are kept. If one of them is neither text nor an integer, the token is verified each
    time.
    """

    def __init__(self, limit: int = MAX_TOKENS) -> None:
        self._limit = limit
        self._bytes = 0
        self._proofs: OrderedDict[bytes, Proof] = OrderedDict()  # a plain dict gets slower at finding its oldest entry
        self._lock = threading.Lock()

    def claims(self, digest: bytes, keys: SigningKeys) -> dict[str, Any] | None:
        """Return the claims of a token that was verified before; None if it has to be verified.

        Args:
            digest: the token's digest; see ``digest_of``.

        Raises:
            SigningKeysUnavailable: no keys are available.
        """
        proof = self._proofs.get(digest)
        return proof.claims if proof is not None and keys.key(proof.kid) is proof.key else None

    def remember(self, digest: bytes, proof: Proof) -> None:
        """Store a proof; it replaces an older one of the same token."""
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
    """Return the SHA-256 that identifies a token."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()
