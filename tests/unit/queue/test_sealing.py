"""lambda_router_queue.encryption.sealing: a sealed text opens at its own place, unchanged, and nowhere else."""

from collections.abc import Iterator
from copy import replace
from typing import Any

import boto3
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moto import mock_aws

from lambda_router_queue.encryption.data_keys import DataKeys
from lambda_router_queue.encryption.sealing import CannotDecrypt, Place, Sealer, is_sealed, seal_under
from tests.kms import forms_of, take_role

PLACE = Place("tinyllama", "job_" + "0" * 32, "a" * 32, "input")
TEXT = '{"prompt":"Grüße, 東京"}'


@pytest.fixture(scope="module")
def sealer() -> Iterator[Sealer]:
    with pytest.MonkeyPatch.context() as patched, mock_aws():
        take_role(patched)
        yield Sealer(DataKeys(boto3.client("kms").create_key()["KeyMetadata"]["Arn"]))


@settings(max_examples=30)
@given(text=st.text(), owner=st.text())
def test_any_text_opens_again_as_it_was(sealer: Sealer, text: str, owner: str):
    place = replace(PLACE, owner=owner.encode(errors="replace").decode())
    clear = text.encode(errors="replace").decode()

    sealed = sealer.seal(clear, place)

    assert sealed.isascii()
    assert is_sealed(sealed)
    assert sealer.unseal(sealed, place) == clear


def test_no_form_of_the_text_is_in_the_sealed_one(sealer: Sealer):
    sealed = sealer.seal(TEXT, PLACE).encode()

    assert not [form.pattern for form in forms_of("Grüße, 東京") if form.search(sealed)]


def test_the_same_text_never_looks_the_same(sealer: Sealer):
    assert len({sealer.seal(TEXT, PLACE) for _ in range(100)}) == 100


@pytest.mark.parametrize(
    "other",
    [{"job_id": "job_" + "1" * 32}, {"owner": "b" * 32}, {"part": "result"}],
    ids=["another job", "another caller", "another part"],
)
def test_a_sealed_text_does_not_open_at_another_place(sealer: Sealer, other: dict[str, Any]):
    sealed = sealer.seal(TEXT, PLACE)

    with pytest.raises(CannotDecrypt, match="sealed for another place, or changed"):
        sealer.unseal(sealed, replace(PLACE, **other))


def test_a_sealed_text_does_not_open_in_another_queue(sealer: Sealer):
    with pytest.raises(CannotDecrypt, match="did not encrypt this"):
        sealer.unseal(sealer.seal(TEXT, PLACE), replace(PLACE, queue="llama-70b"))


@pytest.mark.parametrize("part", [2, 3], ids=["nonce", "ciphertext"])
def test_a_changed_text_does_not_open(sealer: Sealer, part: int):
    parts = sealer.seal(TEXT, PLACE).split(".")
    parts[part] = ("B" if parts[part][0] == "A" else "A") + parts[part][1:]

    with pytest.raises(CannotDecrypt):
        sealer.unseal(".".join(parts), PLACE)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A256GCM.",
        "A256GCM...",
        "A256GCM.a.b",
        "A256GCM.AAAA.AAAA.AAAA",
        "A256GCM.ä.ä.ä",
        "A128GCM.AAAA.AAAA.AAAA",
        "{}",
    ],
)
def test_what_is_no_sealed_text_is_refused_without_asking_kms(text: str):
    nothing: Any = None

    with pytest.raises(CannotDecrypt, match="not encrypted"):
        Sealer(nothing).unseal(text, PLACE)


def test_the_key_of_one_text_seals_the_answer_to_it(sealer: Sealer):
    answer = replace(PLACE, part="result")

    sealed = seal_under(sealer.open(sealer.seal(TEXT, PLACE), PLACE).key, "answer", answer)

    assert sealer.unseal(sealed, answer) == "answer"


def test_an_opened_text_does_not_show_itself(sealer: Sealer):
    assert "Grüße" not in repr(sealer.open(sealer.seal(TEXT, PLACE), PLACE))
