"""chalicelib.callers.auth against forged tokens. Each attack stands beside a good token of the same making."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jwt import PyJWK

from chalicelib.callers.auth import MAX_TOKEN_CHARACTERS, TokenVerifier, signed_payload
from chalicelib.callers.jwks import StaticKeys
from chalicelib.errors import Unauthenticated
from tests.conftest import CLIENT_ID, KID
from tests.unit.forge import (
    ABSENT,
    CLAIMS,
    HEADER,
    NOW,
    Attack,
    Forge,
    confused,
    disguised,
    flipped,
    json_form,
    nested,
    other_signature,
    own_key,
    padded_with,
    pss,
    segment,
    stray_bits,
    stray_signature_bits,
    swapped,
    unsigned,
    with_claims_text,
    with_header,
    with_raw,
)


def attack_table(reason: str, attacks: dict[str, Attack]) -> list[Any]:
    return [pytest.param(attack, reason, id=name) for name, attack in attacks.items()]


ATTACKS: list[Any] = [
    *attack_table(
        "not a compact JWS",
        {
            **{f"alg {alg}, no signature": unsigned(alg, "") for alg in ("none", "None", "NONE", "nOnE")},
            "an empty signature": other_signature(lambda _: b""),
            "a JWE of five parts": lambda forge: ".".join([forge.token(), segment(b"iv"), segment(b"tag")]),
            "four parts": lambda forge: f"{forge.token()}.{segment(b'x')}",
            "two parts": lambda forge: forge.token().rpartition(".")[0],
            "flat JSON serialisation": json_form(flat=True),
            "general JSON serialisation": json_form(flat=False),
            "padding behind the header": padded_with("=", 0),
            "padding behind the claims": padded_with("==", 1),
            "padding behind the signature": padded_with("==", 2),
            **{f"{name} in the token": padded_with(char, 1) for name, char in {"a space": " ", "a tab": "\t"}.items()},
            **{
                f"{name} at the end": padded_with(char, 2) for name, char in {"a space": " ", "a newline": "\n"}.items()
            },
            "a newline and a header": padded_with("\r\nX-Injected: 1", 2),
            "a null character": padded_with("\0", 2),
            "a lone surrogate": padded_with("\ud800", 2),
            "letters that are not ASCII": padded_with("ä", 1),
            "plain base64": lambda forge: forge.token().replace("-", "+").replace("_", "/"),
            "a second token behind a comma": lambda forge: f"{forge.token()},{forge.token()}",
            "no token": lambda _: "",
        },
    ),
    *attack_table(
        "header",
        {
            **{f"alg {alg}, some signature": unsigned(alg, "AAAA") for alg in ("none", "None", "NONE", "nOnE")},
            **{
                f"HS256 with the public key as {form}": confused("HS256", form)
                for form in ("PEM", "PEM without its last newline", "PKCS1 PEM", "DER", "JWK", "modulus", "nothing")
            },
            "HS384 with the public key": confused("HS384", "PEM"),
            "HS512 with the public key": confused("HS512", "PEM"),
            **{
                f"alg {alg!r}": with_header(alg=alg)
                for alg in ("rs256", "RS256 ", "RS512", "PS256", "ES256", "", None, 1)
            },
            "alg as a list": with_header(alg=["RS256"]),
            "no alg": with_header(alg=ABSENT),
            "jwk, signed with the key that it brings": own_key({"jwk": {"kty": "RSA", "n": "AQAB", "e": "AQAB"}}),
            "jku": own_key({"jku": "http://169.254.169.254/jwks.json"}),
            "x5u": own_key({"x5u": "http://169.254.169.254/cert.pem"}),
            "x5c": own_key({"x5c": ["MIIB"]}),
            "x5t": with_header(x5t="AAAA"),
            "crit that names nothing known": with_header(crit=["exp"]),
            "crit that is empty": with_header(crit=[]),
            "b64 with crit": with_header(b64=False, crit=["b64"]),
            "b64 alone": with_header(b64=True),
            "zip": with_header(zip="DEF"),
            "enc": with_header(enc="A256GCM"),
            "p2c": with_header(p2c=2**31),
            "a token in a token": nested,
            "any other member": with_header(extra=1),
            "header and claims swapped": swapped,
        },
    ),
    *attack_table(
        "typ or kid",
        {
            "no kid": with_header(kid=ABSENT),
            **{f"kid {kid!r}": with_header(kid=kid) for kid in (None, 1, 1.5, True)},
            "kid as a list": with_header(kid=[KID]),
            **{
                f"typ {typ!r}": with_header(typ=typ)
                for typ in ("JWE", "jwt", "at+JWT", "id+jwt", "dpop+jwt", "", 1, False)
            },
            "typ as a list": with_header(typ=["JWT"]),
        },
    ),
    *attack_table(
        "unknown kid",
        {
            **{
                f"kid {kid!r}": with_header(kid=kid)
                for kid in ("", KID.upper(), f"{KID} ", "../../../dev/null", "' OR 1=1 --", "$(id)", "\0", "😀", "none")
            },
            "kid as a URL": with_header(kid="http://169.254.169.254/latest/meta-data"),
            "kid of 4 KB": with_header(kid="k" * 4_000),
        },
    ),
    *attack_table(
        "signature",
        {
            "another key": lambda forge: forge.token(key=forge.other_key),
            **{f"RS256 in words, HMAC with the {form} in deed": disguised(form) for form in ("PEM", "DER", "JWK")},
            "PSS instead of PKCS 1": pss,
            "a truncated signature": other_signature(lambda raw: raw[:-1]),
            "a signature of one byte": other_signature(lambda raw: raw[:1]),
            "a signature of zeros": other_signature(lambda raw: bytes(len(raw))),
            "a signature with a byte more": other_signature(lambda raw: raw + b"\0"),
            "a signature with a zero in front": other_signature(lambda raw: b"\0" + raw),
            **{f"bit flipped at {place}": flipped(place) for place in (0, 127, 255)},
            "another token's signature": lambda forge: (
                f"{forge.token().rpartition('.')[0]}.{forge.claims(sub='bob').split('.')[2]}"
            ),
            "claims changed after signing": lambda forge: ".".join(
                [forge.token().split(".")[0], segment(CLAIMS | {"sub": "root"}), forge.token().split(".")[2]]
            ),
        },
    ),
    *attack_table(
        "a segment is not strict JSON",
        {
            "alg twice, none first": lambda forge: forge.token(
                b'{"alg":"none","alg":"RS256","kid":"%s"}' % KID.encode()
            ),
            "kid twice": with_raw(header=f'"kid": "{KID}"'),
            "client_id twice": with_raw(claims=f'"client_id": "{CLIENT_ID}"'),
            "exp twice": with_raw(claims=f'"exp": {NOW + 60}'),
            "a duplicate deep inside": with_raw(claims='"x": {"a": 1, "a": 2}'),
            "exp 1e400": with_raw(claims='"x": 1e400'),
            "a header that is not JSON": lambda forge: forge.token(b"alg=RS256"),
            "a header in UTF-16": lambda forge: forge.token(json.dumps(HEADER).encode("utf-16")),
            "claims with a lone surrogate": with_raw(claims='"x": "\\ud800"'),
            "claims nested 1,000 deep": with_raw(claims=f'"x": {"[" * 1_000}{"]" * 1_000}'),
            "claims that are cut off": with_claims_text("{"),
        },
    ),
    *attack_table(
        "a segment is not an object",
        {
            "a header that is a list": lambda forge: forge.token(b'["RS256"]'),
            "a header that is null": lambda forge: forge.token(b"null"),
            **{f"claims that are {text}": with_claims_text(text) for text in ("[]", "1", "null", '"x"')},
        },
    ),
    *attack_table(
        "a segment is not base64url",
        {"a header of an impossible length": lambda forge: forge.sign(f"A.{segment(CLAIMS)}")},
    ),
    *attack_table(
        "a segment has stray bits",
        {
            "stray bits in the header": stray_bits(0),
            "stray bits in the claims": stray_bits(1),
            "stray bits in the signature": stray_signature_bits,
        },
    ),
    *attack_table(
        "token is too long",
        {
            "kid of 10 KB": with_header(kid="k" * 10_240),
            "claims of 8 KB": lambda forge: forge.claims(pad="x" * 8_192),
            "a megabyte of junk": lambda _: "A" * 1_000_000,
            "a megabyte of dots": lambda _: "." * 1_000_000,
        },
    ),
]


def test_the_helper_that_adds_text_makes_good_tokens(forge: Forge, verifier: TokenVerifier):
    assert verifier.authenticate([f"Bearer {with_raw()(forge)}"])
    assert verifier.authenticate([f"Bearer {with_raw(claims='"more": 1')(forge)}"])


@pytest.mark.parametrize(("attack", "reason"), ATTACKS)
def test_a_forged_token_is_refused_and_the_good_one_beside_it_is_not(
    attack: Attack, reason: str, forge: Forge, verifier: TokenVerifier
):
    assert verifier.authenticate([f"Bearer {forge.token()}"]).owner
    with pytest.raises(Unauthenticated) as refused:
        verifier.authenticate([f"Bearer {attack(forge)}"])
    assert refused.value.reason == reason
    assert refused.value.detail == Unauthenticated("").detail


def test_a_token_of_8_kib_is_looked_at_and_one_character_more_is_not(forge: Forge, verifier: TokenVerifier):
    size = len(forge.claims(pad=""))
    fitting = next(
        token
        for extra in range(MAX_TOKEN_CHARACTERS * 3 // 4 - size, MAX_TOKEN_CHARACTERS)
        if len(token := forge.sign(f"{segment(HEADER)}.{segment(CLAIMS | {'pad': 'x' * extra})}"))
        >= MAX_TOKEN_CHARACTERS - 1
    )
    assert len(fitting) <= MAX_TOKEN_CHARACTERS == 8_192
    assert verifier.authenticate([f"Bearer {fitting}"])
    with pytest.raises(Unauthenticated) as refused:
        verifier.authenticate([f"Bearer {fitting}xx"])
    assert refused.value.reason == "token is too long"


class KeyFor:
    """The good key, said to be for another algorithm."""

    def __init__(self, member: dict[str, Any], algorithm: str) -> None:
        self._key = PyJWK(member, algorithm=algorithm)

    def key(self, kid: str) -> PyJWK:
        return self._key


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256"])
def test_a_key_proves_nothing_in_an_algorithm_that_it_is_not_for(forge: Forge, jwks: dict[str, Any], algorithm: str):
    [member] = jwks["keys"]
    assert signed_payload(forge.token(), KeyFor(member, "RS256"))
    with pytest.raises(Unauthenticated) as refused:
        signed_payload(forge.token(), KeyFor(member, algorithm))
    assert refused.value.reason == "the key is for another algorithm"


def test_a_header_that_was_taken_is_refused_for_another_algorithm_and_a_refused_one_again(
    forge: Forge, jwks: dict[str, Any]
):
    keys = StaticKeys(json.dumps(jwks).encode())
    for _ in range(2):
        assert signed_payload(forge.token(), keys)
        with pytest.raises(Unauthenticated) as refused:
            signed_payload(forge.token(), keys, "PS256")
        assert refused.value.reason == "header"
        with pytest.raises(Unauthenticated) as refused:
            signed_payload(with_header(crit=["exp"])(forge), keys)
        assert refused.value.reason == "header"


@given(st.binary(max_size=60))
@example(b"abW")  # ends in an X as base64url, and so do others in each other character
def test_what_was_signed_comes_back_byte_for_byte(forge: Forge, jwks: dict[str, Any], payload: bytes):
    assert signed_payload(forge.token(HEADER, payload), StaticKeys(json.dumps(jwks).encode())).payload == payload
