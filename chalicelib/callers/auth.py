"""Verification of bearer tokens; the result is a principal.

In AWS, API Gateway's authorizer has already checked the token, but this module does not rely on that.

Rules: RFC 8725 (best current practices), RFC 7515, RFC 7519, and Cognito's description of access tokens (Amazon Cognito
Developer Guide, "Understanding the access token").
"""

import base64
import binascii
import hashlib
import re
import time
from collections.abc import Callable, Collection
from functools import lru_cache
from typing import Any, NamedTuple

from jwt.api_jwk import PyJWK
from jwt.api_jws import PyJWS
from jwt.exceptions import InvalidTokenError

from chalicelib.callers.app_clients import AppClients
from chalicelib.callers.jwks import SigningKeys
from chalicelib.callers.proved_tokens import Proof, ProvedTokens, digest_of
from chalicelib.errors import InsufficientScope, Unauthenticated
from chalicelib.strict_json import NotStrictJSON, strict_json

ALGORITHM = "RS256"
#: API Gateway rejects more than 10,240 bytes of headers; a Cognito access token has about 1,100.
MAX_TOKEN_CHARACTERS = 8_192
#: Cognito's own maximum for the lifetime of an access token.
MAX_LIFE_SECONDS = 86_400

_COMPACT_JWS = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]*)\.([A-Za-z0-9_-]+)", re.ASCII)
#: Accepted values of the header's ``typ``.
_TYPES = (None, "JWT", "at+jwt")
_JWS = PyJWS()


class Signed(NamedTuple):
    """The payload of a verified token, and the key that verified it."""

    kid: str
    key: PyJWK
    payload: bytes


class Principal(NamedTuple):
    """The caller of a request, known from a verified token.

    Attributes:
        owner: a hash of ``sub``. It names the caller in Redis and in logs, so that neither contains a personal
            identifier.
        scopes: the scopes of the token.
    """

    owner: str
    scopes: frozenset[str]

    def has(self, scope: str | None) -> bool:
        """Return whether the token carries the scope; always true for None."""
        return scope is None or scope in self.scopes

    def require(self, scope: str | None) -> None:
        """Raise InsufficientScope unless the token carries the scope; None requires nothing."""
        if scope is not None and not self.has(scope):
            raise InsufficientScope(scope)


class TokenVerifier:
    """A verifier of access tokens of one Cognito user pool."""

    def __init__(
        self,
        keys: SigningKeys,
        *,
        issuers: Collection[str],
        clients: AppClients,
        leeway_seconds: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._issuers = frozenset(issuers)
        self._clients = clients
        self._leeway = leeway_seconds
        self._clock = clock
        self._proved = ProvedTokens()

    def authenticate(self, authorization: list[str]) -> Principal:
        """Verify the token in a request's ``Authorization`` headers and return its principal.

        Raises:
            Unauthenticated: there is no bearer token, or it fails a check.
            SigningKeysUnavailable: the signing keys, or the list of clients, are unavailable.
        """
        claims = self._proved_claims(bearer_token(authorization))
        self._check_claims(claims)
        # Cognito always sets ``sub``, to a user's id or, for the client credentials grant, to the client's.
        subject = claims.get("sub")
        if not isinstance(subject, str) or not subject:
            raise Unauthenticated("sub")
        scope = claims.get("scope")
        return Principal(
            owner=hashlib.sha256(subject.encode()).hexdigest()[:32],
            scopes=frozenset(scope.split()) if isinstance(scope, str) else frozenset(),
        )

    def _proved_claims(self, token: str) -> dict[str, Any]:
        """Return the claims of a token with a valid signature; those of a token verified before come from the cache."""
        digest = digest_of(token)
        claims = self._proved.claims(digest, self._keys)
        if claims is None:
            kid, key, payload = signed_payload(token, self._keys)
            claims = _json_object(payload)
            self._proved.remember(digest, Proof(kid, key, claims))
        return claims

    def _check_claims(self, claims: dict[str, Any]) -> None:
        issuer = claims.get("iss")
        if not isinstance(issuer, str) or issuer not in self._issuers:
            raise Unauthenticated("iss")
        if claims.get("token_use") != "access":
            raise Unauthenticated("token_use")
        self._check_times(claims)
        self._clients.check(claims.get("client_id"))  # the last, as only this one may have to ask another server

    def _check_times(self, claims: dict[str, Any]) -> None:
        now = self._clock()
        expires, issued, not_before = (_seconds(claims, name) for name in ("exp", "iat", "nbf"))
        if expires is None or issued is None:
            raise Unauthenticated("exp or iat is missing")
        if expires <= now - self._leeway:
            raise Unauthenticated("exp")
        if issued > now + self._leeway or (not_before is not None and not_before > now + self._leeway):
            raise Unauthenticated("iat or nbf")
        if not 0 < expires - issued <= MAX_LIFE_SECONDS:
            raise Unauthenticated("exp is too far from iat")


def bearer_token(authorization: list[str]) -> str:
    """Return the token of the only ``Authorization: Bearer`` header (RFC 6750 section 2.1).

    Raises:
        Unauthenticated: there is no header or more than one, it has another scheme, or the token is too long.
    """
    if len(authorization) != 1:
        raise Unauthenticated(f"{len(authorization)} Authorization headers")
    if len(authorization[0]) > len("Bearer ") + MAX_TOKEN_CHARACTERS:
        raise Unauthenticated("token is too long")
    scheme, _, token = authorization[0].partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated("scheme is not Bearer")
    return token


def signed_payload(token: str, keys: SigningKeys, algorithm: str = ALGORITHM) -> Signed:
    """Verify a compact JWS (RFC 7515 section 7.1), and return its payload and the key that verified it.

    Raises:
        Unauthenticated: the token is not a compact JWS, its header is not as ``_key_id`` requires, its key is unknown
            or for another algorithm, or its signature is invalid.
        SigningKeysUnavailable: the signing keys are unavailable.
    """
    segments = _COMPACT_JWS.fullmatch(token)
    if segments is None:
        raise Unauthenticated("not a compact JWS")
    header, payload, signature = segments.groups()
    kid, payload_bytes = _key_id(header, algorithm), _decoded(payload)
    _decoded(signature)  # only to reject a signature that is not strict base64url
    key = keys.key(kid)
    if key is None:
        raise Unauthenticated("unknown kid")
    if key.algorithm_name != algorithm:
        raise Unauthenticated("the key is for another algorithm")
    try:  # PyJWT parses the token again, less strictly: docs/decisions/0068-pyjwt-proves-the-signature.md
        _JWS.decode(token, key, algorithms=[algorithm])
    except InvalidTokenError:
        raise Unauthenticated("signature") from None
    return Signed(kid, key, payload_bytes)


def _decoded(segment: str) -> bytes:
    """Decode a base64url segment. Padding and stray bits after the last byte are rejected (RFC 7515 section 2)."""
    try:
        raw = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except binascii.Error:
        raise Unauthenticated("a segment is not base64url") from None
    if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != segment:
        raise Unauthenticated("a segment has stray bits")
    return raw


def _json_object(raw: bytes) -> dict[str, Any]:
    """Parse strict JSON into an object; duplicate members are rejected."""
    try:
        document = strict_json(raw)
    except NotStrictJSON:
        raise Unauthenticated("a segment is not strict JSON") from None
    if not isinstance(document, dict):
        raise Unauthenticated("a segment is not an object")
    return document


@lru_cache(maxsize=16)
def _key_id(segment: str, algorithm: str) -> str:
    """Return the key id of a header. The header may have only the members ``alg``, ``kid`` and ``typ``.

    Cognito's headers have no others. So ``crit``, ``b64``, ``jwk``, ``jku``, ``x5u``, ``x5c``, ``zip`` and ``enc`` are
    rejected unread. All tokens that an issuer signs with one key have the same header, so a few valid headers are
    cached. Rejections are never cached.
    """
    header = _json_object(_decoded(segment))
    if not header.keys() <= {"alg", "kid", "typ"} or header.get("alg") != algorithm:
        raise Unauthenticated("header")
    typ, kid = header.get("typ"), header.get("kid")
    if typ not in _TYPES or not isinstance(kid, str):
        raise Unauthenticated("typ or kid")
    return kid


def _seconds(claims: dict[str, Any], name: str) -> int | None:
    """Return a time claim, or None if it is missing. Raises Unauthenticated unless it is an integer."""
    value = claims.get(name)
    if value is not None and type(value) is not int:
        raise Unauthenticated(f"{name} is not an integer")
    return value
