"""The model server's settings: base URL and API key. They are checked before the worker claims anything."""

import re

import httpx

from lambda_router_worker.secret_file import MAX_BYTES, BadSecretFile, read_secret

_KEY = re.compile(r"[!-~]+", re.ASCII)

_WANTED = "wants http://host:port/v1"


class BadBackend(ValueError):
    """An invalid setting of the model server. The message names the option and the problem."""


def checked_url(text: str) -> httpx.URL:
    """Parse a base URL and make it end in a slash.

    Raises:
        BadBackend: the text is not a URL, or it contains more than a base URL should.
    """
    if "@" in text:  # checked first: no other message may show the password
        raise BadBackend(
            "--backend holds a user name or password, which process lists show; "
            "put the server's key into BACKEND_API_KEY or --api-key-file"
        )
    try:
        url = httpx.URL(text.rstrip("/") + "/")
    except httpx.InvalidURL:
        raise BadBackend(f"--backend is {text!r}; {_WANTED}") from None
    port = 80 if url.port is None else url.port
    if url.scheme not in {"http", "https"} or not url.host or "%" in url.host or not 0 < port < 65_536:
        raise BadBackend(f"--backend is {text!r}; {_WANTED}")
    if url.query or url.fragment or "?" in text or "#" in text:
        raise BadBackend(f"--backend is {text!r}; {_WANTED}, without ? and #")
    return url


def api_key(variable: str | None, file: str | None) -> str | None:
    """Return the API key to send as a Bearer token, or None.

    Args:
        variable: the value of ``BACKEND_API_KEY``.
        file: path of a file that holds the key instead.

    Raises:
        BadBackend: both are set, or the text cannot be a key. The message does not show the key.
    """
    if variable and file:
        raise BadBackend("BACKEND_API_KEY and --api-key-file are both set; give one of them")
    if file:
        try:
            text = read_secret("--api-key-file", file, "the model server's API key")
        except BadSecretFile as error:
            raise BadBackend(str(error)) from None
        return _checked(text, f"--api-key-file {file!r}")
    return _checked(variable, "BACKEND_API_KEY") if variable else None


def _checked(text: str, where: str) -> str:
    key = text.strip()
    if not key:
        raise BadBackend(f"{where} is empty; wants the model server's API key")
    if len(key) > MAX_BYTES:
        raise BadBackend(f"{where} holds more than {MAX_BYTES} bytes; wants the model server's API key alone")
    if not _KEY.fullmatch(key):
        raise BadBackend(
            f"{where} holds white space, control characters or non-ASCII; wants the model server's API key alone"
        )
    return key
