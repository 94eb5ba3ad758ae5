"""Tokens that the pool's own key signed and nobody should take, and the good ones beside them."""

import pytest

from chalicelib.callers.auth import TokenVerifier
from chalicelib.errors import Unauthenticated
from tests.security.hostile_tokens import GOOD, HOSTILE, Make, Workshop
from tests.unit.forge import NOW, Forge


@pytest.fixture(scope="module")
def workshop(forge: Forge) -> Workshop:
    return Workshop(forge, NOW)


@pytest.mark.parametrize("make", GOOD.values(), ids=GOOD)
def test_a_good_token_is_taken(make: Make, workshop: Workshop, verifier: TokenVerifier) -> None:
    assert verifier.authenticate([f"Bearer {make(workshop)}"]).owner


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_a_signed_but_hostile_token_is_refused(make: Make, workshop: Workshop, verifier: TokenVerifier) -> None:
    with pytest.raises(Unauthenticated):
        verifier.authenticate([f"Bearer {make(workshop)}"])
