"""Flaws that others had in fetching and reading key sets, one test each, named by their advisory."""

import json
from collections.abc import Callable, Iterator
from math import prod
from typing import Any

import pytest

from chalicelib.callers.jwks import BadKeySet, RemoteKeys, fetch_jwks, parse_jwks
from chalicelib.errors import SigningKeysUnavailable
from tests.conftest import KID, base64url, public_jwk
from tests.unit.forge import Forge
from tests.unit.issuer import BROKEN, Issuer, Mode, serving

type MakeSet = Callable[[dict[str, Any]], bytes]
type Remote = tuple[RemoteKeys, list[float]]


def changed(**members: Any) -> MakeSet:
    """A set of the good key and a variant of it."""
    return lambda jwk: json.dumps({"keys": [jwk, jwk | {"kid": "second"} | members]}).encode()


def oct_key(secret: bytes) -> MakeSet:
    return lambda jwk: json.dumps({"keys": [jwk, {"kty": "oct", "kid": "s", "k": base64url(secret)}]}).encode()


def roca() -> str:
    """A modulus of 2,048 bit that leaves a power of 65537 modulo every small prime, as that generator's do."""
    product = prod(prime for prime in range(3, 168, 2) if all(prime % divisor for divisor in range(3, prime, 2)))
    number = (1 << 2_047) // product * product + 65_537
    while number.bit_length() < 2_048 or number % 2 == 0:
        number += product
    return base64url(number.to_bytes(256))


KEY_SETS: dict[str, tuple[str, list[MakeSet]]] = {
    "GHSA-w6j9-cwv2-h6wq": (
        "a malformed key escapes as another error",
        [changed(**{name: value}) for name in ("n", "e") for value in (None, 1, "", "!", [], {}, "AA", "A")],
    ),
    "GHSA-8wjv-2p76-3863": (
        "deep nesting escapes as another error",
        [lambda _: b"[" * 100_000, lambda _: b'{"keys": ' * 5_000, lambda _: b'{"keys": [' + b"[" * 70_000],
    ),
    "GHSA-pxh4-856f-4h89": ("an empty secret is a key", [oct_key(b""), oct_key(b"\0")]),
    "GHSA-xgmm-8j9v-c9wx": ("a shared secret is a key", [oct_key(b"x" * 32)]),
    "CVE-2017-15361": ("ROCA: a modulus that can be factored", [changed(n=roca())]),
    "CVE-2022-21449": ("a key of another kind", [changed(kty="EC", crv="P-256", x="AAAA", y="AAAA")]),
    "Wycheproof 353-356": (
        "a key that is not for checking signatures",
        [changed(use="enc"), changed(key_ops=["encrypt"]), changed(key_ops=["sign"]), changed(key_ops=[])],
    ),
}


@pytest.mark.parametrize("attacks", [attacks for _, attacks in KEY_SETS.values()], ids=KEY_SETS)
def test_a_key_set_does_not_pass_by_this_flaw(attacks: list[MakeSet], forge: Forge) -> None:
    jwk = public_jwk(forge.key)
    assert len(parse_jwks(changed()(jwk))) == 2
    for attack in attacks:
        with pytest.raises(BadKeySet):
            parse_jwks(attack(jwk))


@pytest.mark.parametrize("scheme", ["file", "ftp", "data", "gopher", "", "javascript"])
def test_only_http_and_https_are_fetched_ghsa_993g_76c3_p5m4_cve_2026_48522(scheme: str) -> None:
    with pytest.raises(OSError, match=f"^keys are fetched by https or http, not by '{scheme}'$"):
        fetch_jwks(f"{scheme}://127.0.0.1:1/etc/passwd")


@pytest.fixture
def issuer(forge: Forge) -> Iterator[Issuer]:
    state = Issuer([public_jwk(forge.key)])
    with serving(state) as state.url:
        yield state


@pytest.fixture
def remote(issuer: Issuer) -> Remote:
    """Keys fetched from that issuer, and the clock by which they grow old."""
    now = [1_000.0]
    return RemoteKeys(f"{issuer.url}/jwks.json", clock=lambda: now[0]), now


def test_a_failed_fetch_does_not_wipe_the_cache_ghsa_fhv5_28vv_h8m8_cve_2026_48524(
    issuer: Issuer, remote: Remote
) -> None:
    keys, now = remote
    assert keys.key(KID)
    issuer.mode = BROKEN["500"]
    now[0] += 7_200
    assert keys.key(KID)
    assert len(issuer.fetches) == 2


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_ghsa_9v7f_9g4p_ffgj(status: int, issuer: Issuer, remote: Remote) -> None:
    issuer.mode = redirecting(status)
    with pytest.raises(SigningKeysUnavailable):
        remote[0].key(KID)
    assert issuer.fetches == ["/jwks.json"]


def redirecting(status: int) -> Mode:
    return lambda handler: handler.answer(b"", status, Location=f"{handler.issuer.url}/moved")


def test_unknown_key_ids_cause_no_flood_of_fetches_ghsa_2gx3_rcp4_g85q(issuer: Issuer, remote: Remote) -> None:
    keys, now = remote
    for number in range(1_000):
        now[0] += 0.05
        assert keys.key(f"unknown-{number}") is None
    assert len(issuer.fetches) <= 3
