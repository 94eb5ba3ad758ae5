"""Where the browser of people who sign in may return to: a command line on their machine, and the API's pages."""

#: As the output ``login_redirects`` of ``terraform/modules/cognito``, whose comment says why these ports.
LOGIN_REDIRECTS = tuple(f"http://127.0.0.1:{port}/callback" for port in range(28711, 28716))

_OF_PAGES = ("", "docs/oauth2-redirect")


def page_redirects(address: str) -> tuple[str, ...]:
    """Return the redirects of the pages of an API, whose address has a ``/`` at its end."""
    return tuple(f"{address}{path}" for path in _OF_PAGES)
