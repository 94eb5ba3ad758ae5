"""Tokens in code: OpenAI's clients get a fresh one with every request."""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from openai import AsyncOpenAI, OpenAI

import lambda_router
from lambda_router.errors import UnknownServer
from lambda_router.login import code_login
from tests.client.played_router import PlayedRouter, in_background, playing


@pytest.fixture
def short(said: list[str]) -> Iterator[PlayedRouter]:
    """A router whose tokens last five seconds, and a login to it."""
    with playing(token_seconds=5) as router:
        code_login.in_browser(code_login.begin(router.url), said.append, in_background)
        yield router


def test_openais_clients_see_no_401_across_many_expiries(short: PlayedRouter) -> None:
    """Tokens of five seconds for eight seconds: polling and streaming, with and without asyncio."""
    until = time.monotonic() + 8

    def in_a_thread() -> int:
        calls = 0
        with OpenAI(base_url=f"{short.url}/v1", api_key=lambda_router.token_provider(), max_retries=0) as client:
            while time.monotonic() < until:
                client.models.list()
                messages = [{"role": "user", "content": "hello"}]
                stream = client.chat.completions.create(model="m", messages=messages, stream=True)  # type: ignore[call-overload]
                assert [each.choices[0].delta.content for each in stream] == ["HELLO", None]
                calls += 1
                time.sleep(0.2)
        return calls

    async def in_a_loop() -> int:
        calls, provide = 0, lambda_router.async_token_provider()
        async with AsyncOpenAI(base_url=f"{short.url}/v1", api_key=provide, max_retries=0) as client:
            while time.monotonic() < until:
                await client.models.list()
                calls += 1
                await asyncio.sleep(0.2)
        return calls

    with ThreadPoolExecutor(1) as pool:
        in_thread = pool.submit(in_a_thread)
        looped = asyncio.run(in_a_loop())
        assert min(in_thread.result(), looped) > 5
    assert short.refused == 0
    assert 2 <= short.counted["refresh_token"] <= 8


def test_a_provider_for_an_unknown_server_fails_where_it_is_made() -> None:
    with pytest.raises(UnknownServer):
        lambda_router.token_provider("nowhere")
    with pytest.raises(UnknownServer):
        lambda_router.async_token_provider()
