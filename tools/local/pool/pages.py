"""The pages of the local pool that people see. They run no script, and load nothing."""

import base64
import hashlib
from collections.abc import Mapping
from html import escape
from http import HTTPStatus
from urllib.parse import urlsplit

from tools.local.pool.clients import DEMO_USERS
from tools.local.pool.messages import NO_STORE, Reply

_STYLE = """
:root { color-scheme: light dark; font: 1.1rem/1.5 system-ui, sans-serif }
main { max-width: 26rem; margin: 12vh auto; padding: 0 1rem }
form { display: grid; gap: .6rem; margin: 1.2rem 0 }
button, input { font: inherit; padding: .5rem .8rem }
"""

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>{style}</style></head>
<body><main><h1>{title}</h1>
{content}
</main></body></html>
"""

#: The pattern says what ``clients.USER`` does.
_LOGIN = r"""<p>This is the user pool of <code>make run</code>. It asks for no password: choose who you are.</p>
<form method="post" action="/login?{query}">
{buttons}
</form>
<form method="post" action="/login?{query}">
<label for="username">Somebody else</label>
<input id="username" name="username" required autocomplete="off" autocapitalize="none" maxlength="64"
 pattern="[A-Za-z0-9][A-Za-z0-9._\-]{{0,63}}" title="Letters, digits and ._- with a letter or digit first">
<button>Sign in</button>
</form>"""


def login_page(query: str, redirect_uri: str) -> Reply:
    """Return the page on which one signs in.

    Args:
        query: the query of the request to authorize, which goes along with the form.
        redirect_uri: where the form leads in the end. Browsers apply ``form-action`` to redirects, too.
    """
    buttons = "\n".join(
        f'<button name="username" value="{escape(user)}">{escape(user)}</button>' for user in DEMO_USERS
    )
    content = _LOGIN.format(query=escape(query), buttons=buttons)
    parts = urlsplit(redirect_uri)
    return _page(HTTPStatus.OK, "Sign in", content, f"'self' {parts.scheme}://{parts.netloc}")


def error_page(error: str, detail: str) -> Reply:
    """Return the page for a request that names no place to which its answer may go."""
    content = f"<p><code>{escape(error)}</code></p><p>{escape(detail)}</p>"
    return _page(HTTPStatus.BAD_REQUEST, "This sign-in cannot go on", content, "'none'")


def signed_out_page() -> Reply:
    return _page(HTTPStatus.OK, "Signed out", "<p>You may close this page.</p>", "'none'")


def _page(status: int, title: str, content: str, form_action: str) -> Reply:
    style = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    policy = {
        "default-src": "'none'",
        "style-src": f"'sha256-{style}'",
        "form-action": form_action,
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    body = _PAGE.format(title=escape(title), style=_STYLE, content=content)
    return Reply(status, NO_STORE | _headers(policy), body.encode())


def _headers(policy: Mapping[str, str]) -> dict[str, str]:
    return {
        "Content-Type": "text/html;charset=UTF-8",
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        # With `no-referrer` a browser would send the form with `Origin: null`.
        "Referrer-Policy": "same-origin",
        "X-Frame-Options": "DENY",
    }
