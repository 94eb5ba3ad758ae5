"""Parts of the proxy that promise more than a request can show."""

import json
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambda_router.proxy.answer import CallerGone, Upload
from lambda_router.proxy.id_memory import IdMemory
from lambda_router.proxy.incoming import Held
from lambda_router.proxy.model_member import ModelMember
from lambda_router.proxy.refusals import Refused

NAMES = st.sampled_from(["model", "Model", "input", 'mo"del', "\\", "é", ""]) | st.text(max_size=5)
TRICKS = st.sampled_from(['"model":"x"', "\\", "{", "a/b"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12) | TRICKS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(NAMES, VALUES, max_size=5), st.booleans(), st.sampled_from([None, 1]), st.integers(1, 9))
def test_the_model_is_found_however_the_body_is_cut(
    document: dict[str, Any], is_ascii: bool, indent: int | None, size: int
) -> None:
    body = json.dumps(document, ensure_ascii=is_ascii, indent=indent).encode("utf-8", "surrogatepass")
    wanted = document.get("model")
    member = ModelMember()
    is_found = False
    for start in range(0, len(body), size):
        is_found = is_found or member.feed(body[start : start + size])
    if isinstance(wanted, str) and not any(0xD800 <= ord(letter) <= 0xDFFF for letter in wanted):
        assert is_found
        assert member.value == wanted
        rest = body[len(member.content) :]
        changed = json.loads((member.renamed('n"é') + rest).decode("utf-8", "surrogatepass"))
        assert changed == document | {"model": 'n"é'}
    elif not isinstance(wanted, str):
        assert not is_found


@given(st.binary(max_size=60))
def test_what_is_no_json_is_read_without_an_error(content: bytes) -> None:
    member = ModelMember()
    member.feed(content)
    assert bytes(member.content) == content


def test_a_long_string_in_small_pieces_is_looked_at_once() -> None:
    member = ModelMember()
    member.feed(b'{"input":"')
    for _ in range(20_000):
        member.feed(b"a" * 100)  # again from the start each time, this would be 20 GB
    assert member.feed(b'","model":"m"}')


def test_the_memory_of_ids_is_bounded_and_keeps_what_is_used() -> None:
    memory = IdMemory(most=3)
    for number in range(3):
        memory.remember(str(number), "alpha")
    assert memory.server_of("0") == "alpha"
    memory.remember("3", "alpha")
    assert [memory.server_of(str(number)) for number in range(4)] == ["alpha", None, "alpha", "alpha"]


def test_what_one_server_said_another_cannot_take() -> None:
    memory = IdMemory()
    memory.remember("1", "alpha")
    memory.remember("1", "beta")
    assert memory.server_of("1") == "alpha"


class Bodies:
    """Requests' bodies in pieces of 100 bytes."""

    def __init__(self, *pieces: bytes, leaves: bool = False) -> None:
        ends = [{"type": "http.disconnect"}] if leaves else [{"type": "http.request", "body": b"", "more_body": False}]
        self._messages = [*({"type": "http.request", "body": each, "more_body": True} for each in pieces), *ends]

    async def __call__(self) -> Any:
        return self._messages.pop(0)


def test_all_bodies_together_are_bounded_and_what_is_done_counts_no_more() -> None:
    held = Held(most=150, most_of_one=1_000)

    async def use() -> None:
        with pytest.raises(CallerGone):
            await held.until_model(Upload(Bodies(b"x" * 100, leaves=True)))
        assert bytes((await held.until_model(Upload(Bodies(b"x" * 100)))).content) == b"x" * 100
        with pytest.raises(Refused) as refused:
            await held.until_model(Upload(Bodies(b"x" * 100, b"x" * 100)))
        assert refused.value.status == 503
        await held.until_model(Upload(Bodies(b"x" * 150)))

    anyio.run(use)
