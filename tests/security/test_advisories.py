"""Flaws that other verifiers had, one test each, named by their advisory: ours must not have them."""

import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from chalicelib.callers.auth import TokenVerifier
from chalicelib.errors import Unauthenticated
from tests.conftest import ISSUER, KID, Router, base64url, public_jwk
from tests.security.hostile_tokens import Make, Workshop
from tests.unit.forge import HEADER, NOW, Forge, public_bytes, segment


@pytest.fixture(scope="module")
def workshop(forge: Forge) -> Workshop:
    return Workshop(forge, NOW)


def keyed_with(secret: Callable[[Forge], bytes], *algorithms: str) -> list[Make]:
    """Tokens "signed" with something public as if it were a shared secret."""
    return [
        lambda shop, alg=alg: shop.forge.hmac(alg, secret(shop.forge), shop.good)
        for alg in algorithms or ("HS256", "HS384", "HS512")
    ]


def jwk_text(forge: Forge) -> bytes:
    return json.dumps(public_jwk(forge.key)).encode()


def openssh(forge: Forge) -> bytes:
    return forge.key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)


def own_key(shop: Workshop, **header: Any) -> str:
    return shop.forge.token(HEADER | header, shop.good, key=shop.forge.other_key)


def jwe(alg: str, enc: str, **header: Any) -> Make:
    """The five parts of a JWE in compact form (RFC 7516 section 7.1); what it hides does not matter."""
    return lambda _: ".".join([segment({"alg": alg, "enc": enc, "kid": KID} | header), *["AAAA"] * 4])


def zeros(shop: Workshop) -> str:
    """A signature of r = s = 0."""
    return f"{segment({'alg': 'ES256', 'kid': KID})}.{segment(shop.good)}.{base64url(bytes(64))}"


def derived_from_kid(shop: Workshop) -> str:
    """For verifiers that look the secret up by what the token says."""
    header, claims = segment({"alg": "HS256", "kid": "/dev/null"}), segment(shop.good)
    mac = hmac.digest(b"", f"{header}.{claims}".encode(), hashlib.sha256)
    return f"{header}.{claims}.{base64url(mac)}"


TOKENS: dict[str, tuple[str, list[Make]]] = {
    # PyJWT
    "GHSA-75c5-xw7c-p5pm": (
        "a part of the issuer passes for it",
        [lambda shop, iss=iss: shop.claims(iss=iss) for iss in (ISSUER[:-1], ISSUER[8:], "", ISSUER[0])],
    ),
    "GHSA-752w-5fwx-jx9f CVE-2026-32597": (
        "unknown critical members are ignored",
        [lambda shop: shop.header(crit=["x"], x=1), lambda shop: shop.header(crit=["x"])],
    ),
    "GHSA-xgmm-8j9v-c9wx": ("a JWK's text is a secret", keyed_with(jwk_text)),
    "GHSA-w2cx-738m-mc7w": (
        "a JWK set's text is a secret",
        keyed_with(lambda forge: b'{"keys": [%s]}' % jwk_text(forge))
        + keyed_with(lambda forge: b"[%s]" % jwk_text(forge)),
    ),
    "GHSA-r6x4-923q-g947": (
        "the same behind a byte order mark",
        keyed_with(lambda forge: b"\xef\xbb\xbf" + jwk_text(forge)),
    ),
    "GHSA-p4g4-x82p-q773": ("a public key as DER is a secret", keyed_with(lambda forge: public_bytes(forge, "DER"))),
    "GHSA-ffc3-869f-jxw9": (
        "a public key in disguise is a secret",
        [
            make
            for change in (bytes.strip, bytes.lower, lambda pem: b"\n" + pem, lambda pem: pem.replace(b"\n", b"\r\n"))
            for make in keyed_with(lambda forge, change=change: change(public_bytes(forge, "PEM")))
        ],
    ),
    "GHSA-ffqj-6fqr-9h24 CVE-2022-29217": ("an OpenSSH key is a secret", keyed_with(openssh)),
    "GHSA-pxh4-856f-4h89": ("an empty secret", keyed_with(lambda _: b"")),
    "GHSA-jq35-7prp-9v3f CVE-2026-48523": (
        "the list of algorithms is passed by where the key names one",
        [lambda shop, alg=alg: shop.header(alg=alg) for alg in ("RS384", "RS512", "PS256", "HS256", "none")],
    ),
    "GHSA-w7vc-732c-9m39": (
        "b64 false makes a verifier work before it checks",
        [lambda shop: shop.header(b64=False, crit=["b64"]), lambda shop: shop.header(b64=False)],
    ),
    "GHSA-hxm8-2xgr-2p9m": (
        "one token has many spellings",
        [Workshop.loose, lambda shop: f"{shop.claims()}=", lambda shop: shop.claims().replace(".", ".\n")],
    ),
    "GHSA-8wjv-2p76-3863": (
        "deep nesting escapes as another error",
        [
            lambda shop: shop.texts(claims=f'"x": {"[" * 1_500}{"]" * 1_500}'),
            lambda shop: shop.forge.token(b"[" * 3_000, shop.good),
            lambda shop: shop.forge.token(b'{"alg":' * 400, shop.good),
        ],
    ),
    "2.15.0 TypeError": (
        "members of the wrong type escape as another error",
        [lambda shop, kid=kid: shop.header(kid=kid) for kid in ([KID], {KID: 1}, 1, None, True)]
        + [lambda shop, alg=alg: shop.header(alg=alg) for alg in (["RS256"], {"RS256": 1}, 1, None)],
    ),
    # Authlib
    "CVE-2025-59420": ("unknown critical members are ignored", [lambda shop: shop.header(crit=["cnf"], cnf={})]),
    "CVE-2025-61920": (
        "segments of any size are decoded",
        [lambda _: "A" * 5_000_000, lambda _: f"{'A' * 1_000_000}.{'A' * 1_000_000}.{'A' * 1_000_000}"],
    ),
    "CVE-2026-27962": (
        "the key comes from the token's own header",
        [
            lambda shop: own_key(shop, jwk=public_jwk(shop.forge.other_key)),
            lambda shop: own_key(shop, jwk=public_jwk(shop.forge.other_key, "mine"), kid="mine"),
        ],
    ),
    # python-jose, jwcrypto, node-jws, json-jwt
    "CVE-2024-33663": ("an ECDSA key in OpenSSH's form is a secret", keyed_with(lambda _: _openssh_ecdsa())),
    "CVE-2024-33664": ("a compressed JWE grows without end", [jwe("dir", "A256GCM", zip="DEF")]),
    "CVE-2026-39373": (
        "250 KB of JWE become 100 MB",
        [lambda shop: f"{jwe('dir', 'A256GCM', zip='DEF')(shop)}{'A' * 250_000}"],
    ),
    "python-jose issue 413": ("crit is ignored", [lambda shop: shop.header(crit=["b64"])]),
    "CVE-2023-51774": (
        "a JWE passes where a JWS is wanted",
        [jwe(alg, enc) for alg in ("RSA-OAEP", "dir", "PBES2-HS256+A128KW") for enc in ("A128GCM", "A256CBC-HS512")],
    ),
    "GHSA-869p-cjfg-cm3x": ("the secret is looked up by what the token says", [derived_from_kid]),
    # the classes of old
    "CVE-2015-9235": (
        "alg none, in any spelling",
        [
            lambda shop, alg=alg, end=end: f"{segment(HEADER | {'alg': alg})}.{segment(shop.good)}.{end}"
            for alg in ("none", "None", "NONE", "nOnE")
            for end in ("", "AAAA")
        ],
    ),
    "CVE-2016-10555": (
        "RS256 becomes HS256 under the public key",
        [
            make
            for form in ("PEM", "PEM without its last newline", "PKCS1 PEM", "DER", "JWK", "modulus")
            for make in keyed_with(lambda forge, form=form: public_bytes(forge, form))
        ],
    ),
    "CVE-2018-0114": ("the header brings the key", [lambda shop: own_key(shop, jwk=public_jwk(shop.forge.other_key))]),
    "CVE-2019-20933": ("a blank secret", keyed_with(lambda _: b"") + keyed_with(lambda _: b" ")),
    "CVE-2020-28042": ("no signature at all", [lambda shop: shop.parts(lambda parts: [*parts[:2], ""])]),
    "CVE-2022-21449": ("a signature of zeros", [zeros, lambda shop: shop.parts(lambda parts: [*parts[:2], "A" * 342])]),
}


def _openssh_ecdsa() -> bytes:
    public = ec.derive_private_key(7, ec.SECP256R1()).public_key()
    return public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)


@pytest.mark.parametrize("attacks", [attacks for _, attacks in TOKENS.values()], ids=TOKENS)
def test_a_token_does_not_pass_by_this_flaw(attacks: list[Make], workshop: Workshop, verifier: TokenVerifier) -> None:
    assert verifier.authenticate([f"Bearer {workshop.claims()}"])
    for attack in attacks:
        with pytest.raises(Unauthenticated):
            verifier.authenticate([f"Bearer {attack(workshop)}"])


def test_checking_one_token_does_not_change_how_the_next_is_checked_ghsa_gvp8_978c_rx2q(
    workshop: Workshop, verifier: TokenVerifier
) -> None:
    for _ in range(2):
        assert verifier.authenticate([f"Bearer {workshop.claims()}"])
        for bad in (workshop.claims(exp=1), workshop.claims(iss="x"), workshop.header(alg="HS256")):
            with pytest.raises(Unauthenticated):
                verifier.authenticate([f"Bearer {bad}"])


def test_an_advisory_is_401_over_http_too(workshop: Workshop, router: Router) -> None:
    """The refusals above as a caller meets them: one of each, through the entry point."""
    for _, attacks in TOKENS.values():
        assert router.as_caller(attacks[0](workshop)).get("/v1/jobs").status == 401
