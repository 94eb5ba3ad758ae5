"""A model server's error message, cleaned for the job's caller: short, on one line, and without addresses or paths."""

import re
from typing import Any

MAX_WORDS_BYTES = 1024

#: White space of any length, control and format characters, which terminals obey, and surrogate halves.
_UNPRINTABLE = re.compile(
    r"[\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]+"
)

_CUT = "[…]"
_HOUSE = re.compile(
    r"""
      \b[a-z][a-z0-9+.-]{1,20}://\S+                                # a URL
    | \b\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?\b                      # an IPv4 address
    | \[[0-9a-f:.]*:[0-9a-f:.]*\](?::\d{1,5})?                      # an IPv6 address
    | (?:\blocalhost|\b[\w-]+(?:\.[\w-]+)+):\d{1,5}\b               # host and port
    | (?<![\w/\\.~])(?:~|\.{1,2})?/[\w.@%+~=-]+(?:/[\w.@%+~=-]*)*   # a path from the root, the home or here
    | (?<![\w/\\])[\w.@+-]+(?:/[\w.@+-]+)+\.[a-z][a-z0-9]{1,11}\b   # a path to a file
    | (?<!\w)(?:[a-z]:)?\\{1,2}[\w.@$+~-]+(?:\\{1,2}[\w.@$+~-]*)*   # a path on Windows
    """,
    re.IGNORECASE | re.VERBOSE,
)


def server_words(document: Any, secret: str | None = None) -> str:
    """Return the error's message and code, or an empty string.

    It understands OpenAI's ``error``, vLLM's flat errors and FastAPI's ``detail``.

    Args:
        document: the parsed body.
        secret: the API key, which some servers quote.
    """
    message, code = _message_and_code(document)
    words = _one_line(message, secret)
    label = _one_line(code, secret)[:64]
    if label and label not in words:
        words = f"{words} ({label})" if words else label
    return _shortened(words)


def _message_and_code(document: Any) -> tuple[str, str]:
    if not isinstance(document, dict):
        return "", ""
    error = document.get("error") or document.get("detail") or document
    if isinstance(error, str):
        return error, ""
    if isinstance(error, list):  # pydantic's errors
        return "; ".join(str(one.get("msg", "")) for one in error[:8] if isinstance(one, dict)), ""
    if not isinstance(error, dict):
        return "", ""
    message, code = error.get("message"), error.get("code")
    return message if isinstance(message, str) else "", str(code) if isinstance(code, str | int) else ""


def _one_line(text: str, secret: str | None) -> str:
    text = text[: 8 * MAX_WORDS_BYTES]  # spare the patterns below from reading megabytes
    if secret:
        text = text.replace(secret, _CUT)
    return _HOUSE.sub(_CUT, _UNPRINTABLE.sub(" ", text)).strip()


def _shortened(words: str) -> str:
    raw = words.encode()
    if len(raw) <= MAX_WORDS_BYTES:
        return words
    return raw[: MAX_WORDS_BYTES - len("…".encode())].decode(errors="ignore") + "…"
