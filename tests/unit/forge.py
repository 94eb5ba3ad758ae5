"""Tokens by hand: any header, any claims, any bytes, and a real signature over them."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.conftest import CLIENT_ID, ISSUER, KID, SCOPE, base64url, public_jwk

#: What the clocks of these tests show.
NOW = 1_800_000_000

HEADER: dict[str, Any] = {"alg": "RS256", "kid": KID}
CLAIMS: dict[str, Any] = {
    "sub": "alice",
    "iss": ISSUER,
    "client_id": CLIENT_ID,
    "token_use": "access",
    "scope": SCOPE,
    "iat": NOW - 60,
    "exp": NOW + 3_540,
    "jti": "b7f1c1de",
}

#: A member with this value is taken away.
ABSENT = object()


def merged(members: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (members | changes).items() if value is not ABSENT}


@dataclass(frozen=True)
class Forge:
    """Signs whatever it is given with the pool's own key."""

    key: rsa.RSAPrivateKey
    other_key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))

    def claims(self, **changes: Any) -> str:
        """A token like a good one but for these claims."""
        return self.token(HEADER, merged(CLAIMS, changes))

    def header(self, **changes: Any) -> str:
        """A token like a good one but for these members of its header."""
        return self.token(merged(HEADER, changes), CLAIMS)

    def token(self, header: Any = HEADER, claims: Any = CLAIMS, *, key: rsa.RSAPrivateKey | None = None) -> str:
        """Dicts become JSON; bytes stay as they are."""
        return self.sign(f"{segment(header)}.{segment(claims)}", key)

    def sign(self, signing_input: str, key: rsa.RSAPrivateKey | None = None) -> str:
        """Sign two segments as they stand."""
        signature = (key or self.key).sign(signing_input.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signing_input}.{base64url(signature)}"

    def hmac(self, alg: str, secret: bytes, claims: dict[str, Any] = CLAIMS) -> str:
        """A token "signed" with a shared secret."""
        signing_input = f"{segment(HEADER | {'alg': alg})}.{segment(claims)}"
        digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}.get(alg, hashlib.sha256)
        return f"{signing_input}.{base64url(hmac.digest(secret, signing_input.encode(), digest))}"


def segment(part: Any) -> str:
    return base64url(part if isinstance(part, bytes) else json.dumps(part).encode())


type Attack = Callable[[Forge], str]


def unsigned(alg: str, signature: str) -> Attack:
    return lambda _: f"{segment(HEADER | {'alg': alg})}.{segment(CLAIMS)}.{signature}"


def public_bytes(forge: Forge, form: str) -> bytes:
    """The public key in the forms in which verifiers have been tricked into using it as a secret."""
    public = forge.key.public_key()
    number = public.public_numbers().n
    return {
        "PEM": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "PEM without its last newline": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).strip(),
        "PKCS1 PEM": public.public_bytes(Encoding.PEM, PublicFormat.PKCS1),
        "DER": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "JWK": json.dumps(public_jwk(forge.key)).encode(),
        "modulus": number.to_bytes((number.bit_length() + 7) // 8),
        "nothing": b"",
    }[form]


def confused(alg: str, form: str) -> Attack:
    return lambda forge: forge.hmac(alg, public_bytes(forge, form))


def disguised(form: str) -> Attack:
    """Says RS256, but the signature is an HMAC."""

    def attack(forge: Forge) -> str:
        signing_input = f"{segment(HEADER)}.{segment(CLAIMS)}"
        mac = forge.hmac("RS256", public_bytes(forge, form)).rsplit(".", 1)[1]
        return f"{signing_input}.{mac}"

    return attack


def with_header(**changes: Any) -> Attack:
    return lambda forge: forge.header(**changes)


def with_raw(header: str | None = None, claims: str | None = None) -> Attack:
    """The good header and claims, with this text put in before the closing brace."""

    def attack(forge: Forge) -> str:
        parts = [json.dumps(HEADER), json.dumps(CLAIMS)]
        added = [
            part[:-1] + (f", {more}" if more else "") + "}" for part, more in zip(parts, (header, claims), strict=True)
        ]
        return forge.token(*(part.encode() for part in added))

    return attack


def other_signature(change: Callable[[bytes], bytes]) -> Attack:
    def attack(forge: Forge) -> str:
        signing_input, _, signature = forge.token().rpartition(".")
        return f"{signing_input}.{base64url(change(base64.urlsafe_b64decode(signature + '==')))}"

    return attack


def flipped(place: int) -> Attack:
    return other_signature(lambda raw: raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])


def stray_bits(part: int) -> Attack:
    """The last character of a segment says the same bytes, but is not the one that an encoder writes."""

    def attack(forge: Forge) -> str:
        # 3n + 1 bytes leave four bits of the last character unused.
        texts = [json.dumps(members).encode() for members in (HEADER, CLAIMS)]
        texts[part] += b" " * (-len(texts[part]) % 3 + 1)
        parts = [base64url(text) for text in texts]
        parts[part] = _next_character(parts[part])
        return forge.sign(".".join(parts))

    return attack


def stray_signature_bits(forge: Forge) -> str:
    return _next_character(forge.token())


def _next_character(text: str) -> str:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return text[:-1] + alphabet[alphabet.index(text[-1]) + 1]


def with_claims_text(text: str) -> Attack:
    return lambda forge: forge.token(HEADER, text.encode())


def pss(forge: Forge) -> str:
    signing_input = f"{segment(HEADER)}.{segment(CLAIMS)}"
    pss_padding = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.MAX_LENGTH)
    return f"{signing_input}.{base64url(forge.key.sign(signing_input.encode(), pss_padding, hashes.SHA256()))}"


def own_key(header: dict[str, Any]) -> Attack:
    """Signed with the attacker's key, which the header brings along or points to."""
    return lambda forge: forge.token(HEADER | header, CLAIMS, key=forge.other_key)


def swapped(forge: Forge) -> str:
    return forge.sign(f"{segment(CLAIMS)}.{segment(HEADER)}")


def json_form(flat: bool) -> Attack:
    def attack(forge: Forge) -> str:
        header, claims, signature = forge.token().split(".")
        signed = {"protected": header, "signature": signature}
        return json.dumps({"payload": claims} | (signed if flat else {"signatures": [signed]}))

    return attack


def padded_with(text: str, place: int) -> Attack:
    """The good token with this text put in behind its segment number ``place``."""

    def attack(forge: Forge) -> str:
        parts = forge.token().split(".")
        parts[place] += text
        return ".".join(parts)

    return attack


def nested(forge: Forge) -> str:
    return forge.token(HEADER | {"cty": "JWT"}, forge.token().encode())
