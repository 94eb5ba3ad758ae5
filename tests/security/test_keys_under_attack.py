"""Floods, rotations and outages of the signing keys, as callers with tokens meet them; the clock is turned by hand."""

import json
from collections.abc import Iterator
from copy import replace
from dataclasses import dataclass

import pytest

from chalicelib import wiring
from chalicelib.callers.app_clients import AppClients
from chalicelib.callers.auth import TokenVerifier
from chalicelib.callers.jwks import RemoteKeys
from chalicelib.errors import Unauthenticated
from chalicelib.wiring import Services
from tests.conftest import CLIENT_ID, ISSUER, KID, Router, public_jwk
from tests.unit.forge import CLAIMS, HEADER, NOW, Forge, segment


@dataclass
class Pool:
    """The user pool's key set, the time, and whether it can be had."""

    forge: Forge
    kids: list[str]
    now: float = 1_000.0
    up: bool = True
    fetches: int = 0

    def fetch(self, _: str) -> bytes:
        self.fetches += 1
        if not self.up:
            raise OSError("down")
        return json.dumps({"keys": [public_jwk(self.forge.key, kid) for kid in self.kids]}).encode()

    def verifier(self) -> TokenVerifier:
        keys = RemoteKeys(f"{ISSUER}/.well-known/jwks.json", fetch=self.fetch, clock=lambda: self.now)
        return TokenVerifier(
            keys, issuers=[ISSUER], clients=AppClients([CLIENT_ID]), leeway_seconds=10, clock=lambda: NOW
        )

    def token(self, kid: str) -> str:
        return self.forge.token(HEADER | {"kid": kid}, CLAIMS)


@pytest.fixture
def pool(forge: Forge) -> Pool:
    return Pool(forge, [KID])


def taken(verifier: TokenVerifier, token: str) -> bool:
    try:
        verifier.authenticate([f"Bearer {token}"])
    except Unauthenticated:
        return False
    return True


@pytest.mark.parametrize("begin", [0, 3_000, 9_000], ids=["at once", "in the middle", "near the end"])
def test_10_000_random_kids_in_a_minute_cause_3_fetches_and_a_rotation_is_taken_up_within_30_s(
    begin: int, pool: Pool
) -> None:
    verifier, rotated = pool.verifier(), pool.token("new")
    assert taken(verifier, pool.token(KID))
    pool.now += 3_000  # long after the last fetch
    before, began, taken_up_at = pool.fetches, pool.now, None
    flood = pool.token("unknown-0").split(".")
    for number in range(10_000):
        pool.now += 60 / 10_000
        if number == begin:
            pool.kids, began = ["new"], pool.now
        assert not taken(verifier, ".".join([unknown(number), *flood[1:]]))
        if number >= begin and taken_up_at is None and number % 50 == 0 and taken(verifier, rotated):
            taken_up_at = pool.now
    assert pool.fetches - before <= 3
    while taken_up_at is None:  # the flood goes on
        pool.now += 0.5
        assert not taken(verifier, ".".join([unknown(int(pool.now)), *flood[1:]]))
        taken_up_at = pool.now if taken(verifier, rotated) else None
    assert taken_up_at - began <= 30


def unknown(number: int) -> str:
    """The header of a token of the flood."""
    return segment(HEADER | {"kid": f"unknown-{number}"})


@pytest.fixture
def http(pool: Pool, services: Services) -> Iterator[Router]:
    """The app with that pool's verifier."""
    with wiring.use(replace(services, verifier=pool.verifier())):
        yield Router(pool.token(KID))


def test_with_the_pool_down_for_ten_minutes_no_good_token_is_refused(pool: Pool, http: Router) -> None:
    assert http.get("/v1/jobs").status == 200
    pool.up = False
    for number in range(60):
        pool.now += 10
        assert http.as_caller(pool.token(f"unknown-{number}")).get("/v1/jobs").status == 401
        assert http.get("/v1/jobs").status == 200


def test_cold_and_down_is_503_with_retry_after_and_well_again_when_the_pool_is(pool: Pool, http: Router) -> None:
    pool.up = False
    reply = http.get("/v1/jobs")
    assert reply.status == 503
    assert reply.json["type"] == "urn:problem-type:lambda-router:signing-keys-unavailable"
    pool.up, pool.now = True, pool.now + int(reply.headers["retry-after"])
    assert http.get("/v1/jobs").status == 200


def test_both_keys_of_a_rotation_are_taken_while_both_are_published(pool: Pool) -> None:
    verifier = pool.verifier()
    assert taken(verifier, pool.token(KID))
    pool.kids, pool.now = [KID, "new"], pool.now + 60
    assert taken(verifier, pool.token("new"))
    assert taken(verifier, pool.token(KID))
    pool.kids, pool.now = ["new"], pool.now + 3_601
    assert taken(verifier, pool.token("new"))
    assert not taken(verifier, pool.token(KID))
