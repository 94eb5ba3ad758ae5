"""lambda_router_worker.backend.server_words: what a model server says of an error, made fit for the job's caller."""

from typing import Any

import pytest

from lambda_router_worker.backend.server_words import MAX_WORDS_BYTES, server_words


def said(message: str) -> str:
    return server_words({"error": {"message": message}})


DOCUMENTS: dict[str, tuple[Any, str]] = {
    "OpenAI": ({"error": {"message": "too long", "type": "x", "code": "context_length"}}, "too long (context_length)"),
    "a status as code": ({"error": {"message": "too long", "code": 400}}, "too long (400)"),
    "code in the message": ({"error": {"message": "bad_stop: too many", "code": "bad_stop"}}, "bad_stop: too many"),
    "code alone": ({"error": {"code": "bad_stop"}}, "bad_stop"),
    "text": ({"error": "too long"}, "too long"),
    "flat": ({"object": "error", "message": "too long", "code": None}, "too long"),
    "FastAPI": ({"detail": "too long"}, "too long"),
    "pydantic": ({"detail": [{"loc": ["body"], "msg": "Field required"}, {"msg": "Bad"}]}, "Field required; Bad"),
    "number as message": ({"error": {"message": 7}}, ""),
    "null": (None, ""),
    "list": ([], ""),
    "nothing": ({}, ""),
}


@pytest.mark.parametrize(("document", "words"), DOCUMENTS.values(), ids=DOCUMENTS.keys())
def test_message_and_code_are_found(document: Any, words: str):
    assert server_words(document) == words


CUT = {
    "URL": "see https://house.internal:8443/docs?a=b now",
    "URL in quotes": "see 'http://10.0.0.5/docs' now",
    "redis URL": "see redis://:secret@house:6379/0 now",
    "path": "see /srv/models/llama.gguf now",
    "path in brackets": "see (/srv/models/llama.gguf) now",
    "home": "see ~/models/llama now",
    "here": "see ./models/llama now",
    "above": "see ../models/llama now",
    "file": "see models/llama/model.safetensors now",
    "line of a file": 'File "/usr/lib/python3/site-packages/vllm/engine.py", line 7',
    "Windows": r"see C:\Users\admin\models now",
    "share": r"see \\server\share\models now",
    "address": "see 10.0.0.5 now",
    "address and port": "see 10.0.0.5:8080 now",
    "IPv6": "see [fe80::1]:8080 now",
    "host and port": "see gpu-3.internal:8080 now",
    "localhost": "see localhost:11434 now",
}
HOUSE = (
    "house",
    "10.0.0",
    "srv",
    "models",
    "/usr",
    "site-packages",
    "Users",
    "share",
    "fe80",
    "gpu-3",
    "11434",
    "secret",
)


@pytest.mark.parametrize("message", CUT.values(), ids=CUT.keys())
def test_the_house_is_cut_out(message: str):
    words = said(message)
    assert "[…]" in words
    for part in HOUSE:
        assert part not in words


KEPT = [
    "and/or",
    "12 tokens/second",
    "1/2 of it",
    "Qwen/Qwen2.5-7B-Instruct does not exist",
    "max_tokens:4096 is too large",
    "it is 10:30",
    "temperature must be in [0, 2], got 3.5",
    "version 1.2.3",
    "e.g. this",
    "Grüße, 世界",
]


@pytest.mark.parametrize("message", KEPT)
def test_plain_words_are_kept(message: str):
    assert said(message) == message


def test_words_are_one_line_without_control_characters():
    words = said("a\r\nb\x1b[31mc\x00d\u202ee\u2028f\x9bg\tg \ufeffh\ud83d")
    assert words == "a b [31mc d e f g g h"
    assert words.isprintable()


@pytest.mark.parametrize("letter", ["x", "é", "世", "\U0001f600"])
def test_words_have_1_kib_at_most(letter: str):
    words = said(letter * 500_000)
    assert MAX_WORDS_BYTES - 4 <= len(words.encode()) <= MAX_WORDS_BYTES
    assert words.endswith("…")


def test_the_key_is_cut_out():
    assert server_words({"error": {"message": "bad key sk-1"}}, "sk-1") == "bad key […]"


@pytest.mark.parametrize("letter", ["/", "\\", ".", "a/", "a.", ":", "[:", "~/", "a-"])
def test_no_message_takes_long(letter: str):
    said(letter * 1_000_000)
