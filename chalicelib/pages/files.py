"""The files of the pages: a fixed table, each with its content type, and an address that changes with its content."""

import hashlib
import importlib.util
from functools import cache
from pathlib import Path
from typing import NamedTuple

_OURS = Path(__file__).parent / "files"
#: The distribution that brings Swagger UI's files. It is only looked up, never imported: it wants Flask.
SWAGGER_UI_PACKAGE = "flask_swagger_ui"
_HASH_DIGITS = 12

_CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
OURS = ("pages.css", "playground.js", "docs.css", "docs.js", "docs-redirect.js", "icon.svg")
SWAGGER_UI = ("swagger-ui-bundle.js", "swagger-ui.css")


class File(NamedTuple):
    """A file of the table.

    Attributes:
        address: relative to the address of the API. It contains a hash of the content, so it may be cached for ever.
    """

    content: str
    content_type: str
    hash: str
    address: str


@cache
def file(name: str) -> File | None:
    """Return a file by its plain name; None if it is not in the table, or this package has no Swagger UI."""
    folder = _OURS if name in OURS else _swagger_ui() if name in SWAGGER_UI else None
    if folder is None:
        return None
    content = (folder / name).read_text(encoding="utf-8")
    digest = hashlib.sha256(content.encode()).hexdigest()[:_HASH_DIGITS]
    stem, dot, suffix = name.rpartition(".")
    return File(content, _CONTENT_TYPES[dot + suffix], digest, f"pages/{stem}.{digest}{dot}{suffix}")


def by_address(last: str) -> tuple[File | None, bool]:
    """Return the file with that last segment of an address, and whether its hash is the file's.

    While a release is in progress, a page of one build may fetch a file of the other. It gets that build's file, which
    must not be cached under this address.
    """
    stem, _, rest = last.partition(".")
    digest, _, suffix = rest.rpartition(".")
    found = file(f"{stem}.{suffix}")
    return found, found is not None and digest == found.hash


def template(name: str) -> str:
    """Return the text of a page, with its placeholders."""
    return (_OURS / name).read_text(encoding="utf-8")


def _swagger_ui() -> Path | None:
    found = importlib.util.find_spec(SWAGGER_UI_PACKAGE)
    places = found.submodule_search_locations if found else None
    return Path(next(iter(places))) / "dist" if places else None
