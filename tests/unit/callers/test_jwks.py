"""chalicelib.callers.jwks: a key set is trusted whole or not at all."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.callers.jwks import MAX_KEYS, BadKeySet, RemoteKeys, StaticKeys, parse_jwks, signing_keys
from tests.conftest import KID, base64url, public_jwk


@pytest.fixture(scope="module")
def jwk(signing_key: rsa.RSAPrivateKey) -> dict[str, Any]:
    return public_jwk(signing_key)


def key_set(*keys: Any) -> bytes:
    return json.dumps({"keys": keys}).encode()


def without(jwk: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in jwk.items() if name not in names}


def test_a_key_is_found_by_its_id(jwk: dict[str, Any], signing_key: rsa.RSAPrivateKey):
    keys = parse_jwks(key_set(jwk, jwk | {"kid": "second"}))
    assert list(keys) == [KID, "second"]
    assert keys[KID].key.public_numbers() == signing_key.public_key().public_numbers()
    assert keys[KID].algorithm_name == "RS256"


GOOD: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "as Cognito writes it": lambda jwk: jwk,
    "without alg": lambda jwk: without(jwk, "alg"),
    "without use": lambda jwk: without(jwk, "use"),
    "key_ops verify": lambda jwk: jwk | {"key_ops": ["verify"]},
    "unknown members": lambda jwk: jwk | {"x5t": "AAAA", "issuer": "https://example.com"},
    "an id with odd characters": lambda jwk: jwk | {"kid": "a/b+c=\N{GRINNING FACE}"},
}


@pytest.mark.parametrize("change", GOOD.values(), ids=GOOD)
def test_a_usual_key_is_taken(change: Callable[[dict[str, Any]], dict[str, Any]], jwk: dict[str, Any]):
    member = change(jwk)
    assert list(parse_jwks(key_set(member))) == [member["kid"]]


BAD: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no kid": lambda jwk: without(jwk, "kid"),
    "an empty kid": lambda jwk: jwk | {"kid": ""},
    "a kid that is a number": lambda jwk: jwk | {"kid": 1},
    "a kid that is null": lambda jwk: jwk | {"kid": None},
    "use enc": lambda jwk: jwk | {"use": "enc"},
    "use SIG": lambda jwk: jwk | {"use": "SIG"},
    "use as a list": lambda jwk: jwk | {"use": ["sig"]},
    "alg RS512": lambda jwk: jwk | {"alg": "RS512"},
    "alg PS256": lambda jwk: jwk | {"alg": "PS256"},
    "alg HS256": lambda jwk: jwk | {"alg": "HS256"},
    "alg none": lambda jwk: jwk | {"alg": "none"},
    "alg RSA-OAEP": lambda jwk: jwk | {"alg": "RSA-OAEP"},
    "no kty": lambda jwk: without(jwk, "kty"),
    "kty rsa": lambda jwk: jwk | {"kty": "rsa"},
    "key_ops sign": lambda jwk: jwk | {"key_ops": ["sign"]},
    "key_ops encrypt": lambda jwk: jwk | {"key_ops": ["encrypt"]},
    "key_ops sign and verify": lambda jwk: jwk | {"key_ops": ["sign", "verify"]},
    "key_ops none": lambda jwk: jwk | {"key_ops": []},
    "key_ops as a string": lambda jwk: jwk | {"key_ops": "verify"},
    "no modulus": lambda jwk: without(jwk, "n"),
    "no exponent": lambda jwk: without(jwk, "e"),
    "an empty modulus": lambda jwk: jwk | {"n": ""},
    "a modulus that is no base64url": lambda jwk: jwk | {"n": "!" + jwk["n"][1:]},
    "a modulus that is a number": lambda jwk: jwk | {"n": 1},
    "a modulus that is null": lambda jwk: jwk | {"n": None},
    "a modulus that is even": lambda jwk: jwk | {"n": base64url((1 << 2_047).to_bytes(256))},
    "exponent 1": lambda jwk: jwk | {"e": "AQ"},
    "an even exponent": lambda jwk: jwk | {"e": "AQAA"},
    "exponent 0": lambda jwk: jwk | {"e": "AA"},
    "an exponent that is a number": lambda jwk: jwk | {"e": 65537},
    **{
        f"the private member {name}": lambda jwk, name=name: jwk | {name: "AQAB"}
        for name in ("d", "p", "q", "dp", "dq", "qi", "oth", "k")
    },
    "an oct key": lambda _: {"kty": "oct", "kid": "s", "alg": "HS256", "use": "sig", "k": base64url(b"x" * 32)},
    "an EC key": lambda _: ec_jwk(),
    "a key of 1024 bit": lambda _: public_jwk(rsa.generate_private_key(65537, 1024)),
    "a string": lambda _: "key",
    "null": lambda _: None,
    "a list": lambda _: [],
    "an empty object": lambda _: {},
}


def ec_jwk() -> dict[str, Any]:
    numbers = ec.generate_private_key(ec.SECP256R1()).public_key().public_numbers()
    x, y = (base64url(number.to_bytes(32)) for number in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": "P-256", "kid": "e", "alg": "ES256", "use": "sig", "x": x, "y": y}


@pytest.mark.parametrize("make", BAD.values(), ids=BAD)
def test_one_bad_key_spoils_the_set(make: Callable[[dict[str, Any]], Any], jwk: dict[str, Any]):
    bad = make(jwk)
    with pytest.raises(BadKeySet):
        parse_jwks(key_set(bad))
    good = jwk | {"kid": "good"}
    assert parse_jwks(key_set(good))
    with pytest.raises(BadKeySet):
        parse_jwks(key_set(good, bad))


def test_two_keys_with_one_id_are_refused(jwk: dict[str, Any]):
    with pytest.raises(BadKeySet, match="same 'kid'"):
        parse_jwks(key_set(jwk, jwk))
    other = public_jwk(rsa.generate_private_key(65537, 2048))
    with pytest.raises(BadKeySet, match="same 'kid'"):
        parse_jwks(key_set(jwk, other))


REASONS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "no kid": (lambda jwk: without(jwk, "kid"), "a key has no 'kid'"),
    "an unreadable key": (lambda jwk: jwk | {"n": 1}, "a key cannot be read: InvalidKeyError"),
    "a modulus that is even": (
        lambda jwk: jwk | {"n": base64url((1 << 2_047).to_bytes(256))},
        "a key's modulus is even, or from a broken generator (ROCA, CVE-2017-15361); replace the key",
    ),
    "a key for encryption": (
        lambda jwk: jwk | {"use": "enc"},
        "a key's 'use' is 'enc'; only RSA keys for RS256 signatures are taken",
    ),
    "a private key": (lambda jwk: jwk | {"d": "AQAB"}, "a key is private: take it out and replace it at once"),
}


@pytest.mark.parametrize(("make", "reason"), REASONS.values(), ids=REASONS)
def test_a_refused_set_says_what_is_wrong_with_its_key(
    make: Callable[[dict[str, Any]], Any], reason: str, jwk: dict[str, Any]
):
    with pytest.raises(BadKeySet) as refused:
        parse_jwks(key_set(make(jwk)))
    assert str(refused.value) == reason


def test_a_bad_set_of_the_setting_is_named_with_its_fault(jwk: dict[str, Any]):
    with pytest.raises(BadKeySet) as refused:
        signing_keys(key_set(jwk, jwk).decode())
    assert str(refused.value) == "COGNITO_JWKS: two keys have the same 'kid'"


def test_a_set_as_text_may_hold_a_url(jwk: dict[str, Any]):
    text = key_set(jwk | {"issuer": "https://example.com"}).decode()
    assert signing_keys(f"\n  {text}").key(KID)


def test_a_private_key_is_refused_without_being_shown(jwk: dict[str, Any]):
    with pytest.raises(BadKeySet, match="private: take it out and replace it at once") as refused:
        parse_jwks(key_set(jwk | {"d": "c2VjcmV0"}))
    assert "c2VjcmV0" not in str(refused.value)


def test_a_key_of_2047_bit_is_too_short(jwk: dict[str, Any], signing_key: rsa.RSAPrivateKey):
    number = signing_key.public_key().public_numbers().n >> 1 | 1
    assert number.bit_length() == 2047
    with pytest.raises(BadKeySet, match="fewer than 2048 bit"):
        parse_jwks(key_set(jwk | {"n": base64url(number.to_bytes(256))}))


def test_a_set_holds_64_keys_at_most(jwk: dict[str, Any]):
    crowd = [jwk | {"kid": str(number)} for number in range(MAX_KEYS + 1)]
    assert len(parse_jwks(key_set(*crowd[:MAX_KEYS]))) == 64
    with pytest.raises(BadKeySet, match="1 to 64 keys"):
        parse_jwks(key_set(*crowd))


NO_SETS = {
    "nothing": b"",
    "HTML": b"<html></html>",
    "not UTF-8": b"\xff\xfe",
    "null": b"null",
    "a list": b"[]",
    "an object without keys": b"{}",
    "no keys": b'{"keys": []}',
    "keys null": b'{"keys": null}',
    "keys as an object": b'{"keys": {"a": {}}}',
    "keys twice": b'{"keys": [], "keys": []}',
    "nested deep": b'{"keys": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
}


@pytest.mark.parametrize("raw", NO_SETS.values(), ids=NO_SETS)
def test_what_is_no_key_set_is_refused(raw: bytes):
    with pytest.raises(BadKeySet):
        parse_jwks(raw)


def test_a_member_of_a_key_that_stands_twice_spoils_the_set(jwk: dict[str, Any]):
    text = json.dumps({"keys": [jwk]}).replace('"use": "sig"', '"use": "enc", "use": "sig"')
    with pytest.raises(BadKeySet, match="duplicate member 'use'"):
        parse_jwks(text.encode())


values = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9)
)
member_names = st.sampled_from(["kty", "use", "alg", "kid", "n", "e", "key_ops", "d"])


@given(st.dictionaries(member_names, values | st.lists(values, max_size=2) | st.dictionaries(values.map(str), values)))
def test_any_key_is_taken_or_refused_as_bad(jwk: dict[str, Any], changes: dict[str, Any]):
    try:
        keys = parse_jwks(key_set(jwk | changes))
    except BadKeySet:
        return
    assert len(keys) == 1


@given(st.binary(max_size=100))
def test_any_bytes_are_refused_as_bad(raw: bytes):
    with pytest.raises(BadKeySet):
        parse_jwks(raw)


def test_a_source_is_text_a_file_or_a_url(jwks: dict[str, Any], tmp_path: Path):
    text = json.dumps(jwks)
    (tmp_path / "jwks.json").write_text(text)
    assert signing_keys(text).key(KID)
    assert signing_keys(f"\n {text}").key(KID)
    assert signing_keys(str(tmp_path / "jwks.json")).key(KID)
    assert isinstance(signing_keys("https://example.com/jwks.json"), RemoteKeys)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path):
    with pytest.raises(BadKeySet, match=r"nothing\.json' cannot be read: No such file"):
        signing_keys(str(tmp_path / "nothing.json"))
    with pytest.raises(BadKeySet, match="cannot be read: Is a directory"):
        signing_keys(str(tmp_path))


def test_static_keys_know_only_their_own(jwks: dict[str, Any]):
    keys = StaticKeys(json.dumps(jwks).encode())
    assert keys.key("other") is None
    assert keys.key("") is None
