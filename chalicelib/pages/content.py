"""The content and the headers of the pages and of their files."""

import hashlib
import re
from functools import cache
from html import escape
from string import Template
from typing import NamedTuple

from chalicelib.callers.app_clients import AppClients
from chalicelib.errors import NotFound
from chalicelib.pages import files
from chalicelib.pages.sign_in import sign_in
from chalicelib.user_pool import PoolSettings

FOREVER = "public, max-age=31536000, immutable"
#: To be kept, and compared by its ETag each time.
COMPARED = "no-cache"

#: The template of each page, by its route.
_TEMPLATES = {"/": "playground.html", "/docs": "docs.html", "/docs/oauth2-redirect": "docs-redirect.html"}
#: What a page's window shares with the windows that it opens (Cross-Origin-Opener-Policy). Swagger UI signs in in a
#: window of its own, which comes back with the code by way of the pool's domain: that one must keep its opener.
_OPENER = {"/": "same-origin", "/docs": "same-origin-allow-popups", "/docs/oauth2-redirect": "unsafe-none"}

_FILE_IN_PAGE = re.compile(r'(?<=")pages/([\w.-]+)(?=")', re.ASCII)
_ALWAYS = {
    "Vary": "Accept-Encoding",  # the gateway compresses for those who accept it
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Content(NamedTuple):
    """A body and its headers, among them an ETag."""

    body: str
    headers: dict[str, str]


def page(route: str, base: str, settings: PoolSettings, clients: AppClients) -> Content:
    """Return a page, filled in for this deployment.

    Args:
        base: the path of the API, with a ``/`` at its end. The pages' own addresses are relative to it.
    """
    facts = sign_in(settings, clients)
    values = {"base": base, "config": facts.json()}
    body = _template(route).substitute({name: escape(value) for name, value in values.items()})
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": _policy(facts.domain),
        "Cross-Origin-Opener-Policy": _OPENER[route],
        "Cache-Control": COMPARED,
    }
    return Content(body, _ALWAYS | headers | {"ETag": _etag(hashlib.sha256(body.encode()).hexdigest()[:32])})


def file(last: str) -> Content:
    """Return a file of the pages by the last segment of its address.

    Raises:
        NotFound: there is no such file.
    """
    found, is_current = files.by_address(last)
    if found is None:
        raise NotFound("The pages have no such file.")
    headers = {"Content-Type": found.content_type, "Cache-Control": FOREVER if is_current else COMPARED}
    return Content(found.content, _ALWAYS | headers | {"ETag": _etag(found.hash)})


@cache
def _template(route: str) -> Template:
    """Return the template of a page, with the addresses of its files, which contain their hashes."""
    text = files.template(_TEMPLATES[route])
    return Template(_FILE_IN_PAGE.sub(lambda found: _address(found[1]), text))


def _address(name: str) -> str:
    found = files.file(name)
    return f"pages/{name}" if found is None else found.address


def _policy(domain: str | None) -> str:
    """Return the ``Content-Security-Policy``: nothing inline, and no other host than the one for sign-in."""
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
        f" connect-src {' '.join(filter(None, ("'self'", domain)))};"
        " base-uri 'self'; form-action 'none'; frame-ancestors 'none'"
    )


def _etag(digest: str) -> str:
    """Return a weak tag: the gateway may compress the body."""
    return f'W/"{digest}"'
