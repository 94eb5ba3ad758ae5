"""Tokens of the local pool, with Cognito's claims, and the key that signs them."""

import base64
import hashlib
import json
import os
import secrets
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from tools.local.pool.clients import Client, Directory
from tools.local.pool.sessions import Session

ALGORITHM = "RS256"
#: As in ``terraform/modules/cognito``.
TOKEN_SECONDS = 3_600


class SigningKey:
    """The pool's key. It is kept in a file, so that tokens in a shell's variables survive a restart."""

    def __init__(self, private: rsa.RSAPrivateKey) -> None:
        self._private = private
        public = json.loads(RSAAlgorithm.to_jwk(private.public_key()))
        self._kid = base64.b64encode(hashlib.sha256(public["n"].encode()).digest()).decode()
        self._public = public

    @classmethod
    def kept_in(cls, file: Path) -> "SigningKey":
        """Return the key of that file; made, readable by its owner alone, if it is missing."""
        try:
            private = serialization.load_pem_private_key(file.read_bytes(), password=None)
        except FileNotFoundError:
            private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            pem = private.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            draft = file.with_suffix(".new")
            draft.unlink(missing_ok=True)
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
                opened.write(pem)
            draft.replace(file)
        if not isinstance(private, rsa.RSAPrivateKey):
            raise TypeError(f"{file} holds no RSA key; remove it")
        return cls(private)

    def jwks(self) -> dict[str, Any]:
        named = {"alg": ALGORITHM, "kid": self._kid, "use": "sig"}
        return {"keys": [{name: self._public[name] for name in ("e", "kty", "n")} | named]}

    def signed(self, claims: dict[str, Any]) -> str:
        return jwt.encode(claims, self._private, ALGORITHM, headers={"kid": self._kid, "typ": None})

    def claims(self, token: str) -> dict[str, Any] | None:
        """Return the claims of a token of this pool that is not over yet; None for any other."""
        try:
            return jwt.decode(token, self._private.public_key(), [ALGORITHM], options={"verify_aud": False})
        except jwt.InvalidTokenError:
            return None


class Minter:
    """A maker of tokens.

    Args:
        seconds: the life of access and id tokens.
    """

    def __init__(
        self,
        key: SigningKey,
        directory: Directory,
        issuer: str,
        *,
        seconds: int = TOKEN_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._key, self._directory, self._issuer = key, directory, issuer
        self._seconds, self._clock = seconds, clock

    def of_person(self, session: Session, nonce: str | None = None) -> dict[str, Any]:
        """Return the members of a token response for a person, without the refresh token.

        An id token comes with the scope ``openid`` alone, as from Cognito.
        """
        grant = session.grant
        signed_in = {
            "sub": self._directory.subject(grant.user),
            "origin_jti": session.origin,
            "event_id": str(uuid.uuid4()),
            "auth_time": grant.auth_time,
        }
        access = self._access(
            grant.client_id, grant.scopes, {**signed_in, "username": self._directory.subject(grant.user)}
        )
        if "openid" not in grant.scopes:
            return access
        id_claims = signed_in | {
            "at_hash": _half_hash(access["access_token"]),
            "aud": grant.client_id,
            "cognito:username": self._directory.subject(grant.user),
            "email": f"{grant.user}@example.com",
            "email_verified": True,
            "token_use": "id",
        }
        return access | {"id_token": self._sign(id_claims | ({"nonce": nonce} if nonce else {}))}

    def of_program(self, client: Client, scopes: Sequence[str]) -> dict[str, Any]:
        """Return the members of a token response for a program: its ``sub`` is the client's id."""
        return self._access(client.id, scopes, {"sub": client.id})

    def _access(self, client_id: str, scopes: Sequence[str], more: dict[str, Any]) -> dict[str, Any]:
        claims = more | {"client_id": client_id, "scope": " ".join(scopes), "token_use": "access", "version": 2}
        return {"access_token": self._sign(claims), "expires_in": self._seconds, "token_type": "Bearer"}

    def _sign(self, claims: dict[str, Any]) -> str:
        now = int(self._clock())
        times = {"iss": self._issuer, "iat": now, "exp": now + self._seconds, "jti": str(uuid.uuid4())}
        return self._key.signed(claims | times)


def _half_hash(token: str) -> str:
    """Return ``at_hash`` (OpenID Connect Core, section 3.1.3.6)."""
    return _base64url(hashlib.sha256(token.encode()).digest()[:16])


def matches_challenge(verifier: str, challenge: str) -> bool:
    """Return whether a PKCE verifier has this S256 challenge (RFC 7636 section 4.6)."""
    return secrets.compare_digest(_base64url(hashlib.sha256(verifier.encode()).digest()), challenge)


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
