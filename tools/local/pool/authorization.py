"""Signing in: a person's way from the authorization endpoint over the page to the code.

Cognito's description: https://docs.aws.amazon.com/cognito/latest/developerguide/authorization-endpoint.html
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from tools.local.pool.browsers import Browsers, SignedIn
from tools.local.pool.clients import USER, Client, Directory
from tools.local.pool.messages import Refused, Reply, Request, parameters, redirect
from tools.local.pool.page_addresses import PageAddresses
from tools.local.pool.pages import error_page, login_page, signed_out_page
from tools.local.pool.sessions import Grant, Sessions

#: A SHA-256 in base64url (RFC 7636 section 4.2).
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


class Unanswerable(Exception):
    """A request names no registered address, so only the person at the browser learns of its error."""

    def __init__(self, error: str, detail: str) -> None:
        super().__init__(f"{error}: {detail}")
        self.error, self.detail = error, detail


@dataclass(frozen=True)
class Wanted:
    """A valid request for a code."""

    client: Client
    redirect_uri: str
    scopes: tuple[str, ...]
    challenge: str
    nonce: str | None
    state: str | None


class Authorization:
    """The endpoints that a browser opens.

    Args:
        endpoint: address of the pool, such as ``http://127.0.0.1:9000``.
    """

    def __init__(self, endpoint: str, directory: Directory, sessions: Sessions) -> None:
        self._endpoint, self._directory, self._sessions = endpoint, directory, sessions
        self._browsers = Browsers(directory.pool_id, sessions.clock)

    def authorize(self, request: Request) -> Reply:
        """Send a browser in which somebody has signed in back with a code, and any other to the sign-in page."""
        signed_in = self._browsers.signed_in(request.headers.get("cookie"))
        if signed_in is not None:
            return self._answered(request, lambda wanted: self._with_code(signed_in, wanted))
        return self._answered(request, lambda _: redirect(f"{self._endpoint}/login?{request.query}"))

    def show_login(self, request: Request) -> Reply:
        return self._answered(request, lambda wanted: login_page(request.query, wanted.redirect_uri))

    def log_in(self, request: Request) -> Reply:
        """Send the browser back to the client with a code."""
        origin = request.headers.get("origin")
        if origin is not None and origin != self._endpoint:  # another site's form
            return error_page("access_denied", "The form that was sent is not this pool's.")
        return self._answered(request, lambda wanted: self._signed_in(request, wanted))

    def log_out(self, request: Request) -> Reply:
        """Forget who has signed in in this browser, and send it to the client's registered sign-out address."""
        try:
            asked = parameters(request.query)
            client = self._directory.client(asked.get("client_id"))
        except Refused as refused:
            return error_page(refused.error, refused.detail)
        if client is None:
            return error_page("invalid_request", "client_id names no client of this pool.")
        address = asked.get("logout_uri")
        if address is not None and address not in self._pages_of(client).all():
            return error_page("redirect_mismatch", "logout_uri is not registered for this client.")
        reply = signed_out_page() if address is None else redirect(address)
        return replace(reply, headers={**reply.headers, **self._browsers.end(request.headers.get("cookie"))})

    def _signed_in(self, request: Request, wanted: Wanted) -> Reply:
        user = parameters(request.body).get("username", "")
        if not USER.fullmatch(user):
            return error_page("invalid_request", "A user name has 1 to 64 letters, digits and ._-, no ._- at first.")
        signed_in, cookie = self._browsers.begin(user)
        reply = self._with_code(signed_in, wanted)
        return replace(reply, headers={**reply.headers, **cookie})

    def _with_code(self, signed_in: SignedIn, wanted: Wanted) -> Reply:
        grant = Grant(signed_in.user, wanted.client.id, wanted.scopes, signed_in.auth_time)
        code = self._sessions.new_code(grant, wanted.redirect_uri, wanted.challenge, wanted.nonce)
        return _back(wanted.redirect_uri, {"code": code}, wanted.state)

    def _pages_of(self, client: Client) -> PageAddresses:
        """Return the pages at which this client signs people in: none for programs."""
        return self._directory.pages if client.redirects else PageAddresses()

    def _answered(self, request: Request, answer: Callable[[Wanted], Reply]) -> Reply:
        """Answer a request that carries what the authorization endpoint takes."""
        try:
            asked = parameters(request.query)
            client = self._known_client(asked)
        except Refused as refused:
            return error_page(refused.error, refused.detail)
        except Unanswerable as refused:
            return error_page(refused.error, refused.detail)
        try:
            return answer(_wanted(client, asked))
        except Refused as refused:
            return _back(
                asked["redirect_uri"],
                {"error_description": refused.detail, "error": refused.error},
                asked.get("state"),
            )

    def _known_client(self, asked: dict[str, str]) -> Client:
        client = self._directory.client(asked.get("client_id"))
        if client is None:
            raise Unanswerable("invalid_request", "client_id names no client of this pool.")
        redirects = (*client.redirects, *self._pages_of(client).redirects())
        if asked.get("redirect_uri") not in redirects:  # compared as text, as Cognito does
            registered = ", ".join(redirects) or "none"
            raise Unanswerable("redirect_mismatch", f"redirect_uri is not one of this client's: {registered}.")
        return client


def _wanted(client: Client, asked: dict[str, str]) -> Wanted:
    """Return the valid request. Raises Refused."""
    if asked.get("response_type") != "code":
        raise Refused("unauthorized_client", "response_type must be code")
    scopes = client.granted(asked.get("scope"))
    if scopes is None:
        raise Refused("invalid_scope", f"the client may ask for {' '.join(client.scopes)}")
    if asked.get("code_challenge_method") != "S256":
        raise Refused("invalid_request", "code_challenge_method must be S256")
    challenge = asked.get("code_challenge", "")
    if not _CHALLENGE.fullmatch(challenge):
        raise Refused("invalid_request", "code_challenge must be a SHA-256 in base64url")
    return Wanted(client, asked["redirect_uri"], scopes, challenge, asked.get("nonce"), asked.get("state"))


def _back(redirect_uri: str, answer: dict[str, str], state: str | None) -> Reply:
    """Send the browser to the client, with the state exactly as it came."""
    return redirect(f"{redirect_uri}?{urlencode(answer | ({} if state is None else {'state': state}))}")
