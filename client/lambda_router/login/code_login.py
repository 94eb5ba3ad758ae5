"""The login of a person: authorization code with PKCE, answered to this machine or pasted (RFC 8252, 9207)."""

import secrets
import webbrowser
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qs, urlsplit

from lambda_router import http, pinning, servers, store, token_endpoint, tokens
from lambda_router.discovery import Discovery, discover
from lambda_router.errors import BadServer, LoginRefused, UnknownServer
from lambda_router.login.loopback import PORTS, Listener, redirect_uri, single_members
from lambda_router.servers import Server
from lambda_router.token_endpoint import Issued, claims_of, clock_words

WAIT_SECONDS = 120.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class PendingLogin:
    """A login that is not complete: what was discovered, and three values that nobody else knows."""

    server: Server
    discovery: Discovery
    state: str = field(repr=False)
    verifier: str = field(repr=False)
    nonce: str = field(repr=False)

    def address(self, redirect: str) -> str:
        """Return the address of the login page."""
        from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
        from authlib.oauth2.rfc7636 import create_s256_code_challenge

        more = {"nonce": self.nonce} if self.nonce else {}
        address: str = prepare_grant_uri(
            self.discovery.authorization_endpoint,
            client_id=self.server.client_id,
            response_type="code",
            redirect_uri=redirect,
            scope=" ".join(self.server.scopes),
            state=self.state,
            code_challenge=create_s256_code_challenge(self.verifier),
            code_challenge_method="S256",
            **more,
        )
        return address


def begin(typed: str, name: str | None = None) -> PendingLogin:
    """Discover a server and prepare a login.

    Args:
        typed: its address, or the name of a known one.
        name: the name that a new server gets.

    Raises:
        KitError: it cannot be discovered, has another issuer than before, or has no login for people, or the tokens
            could not be stored.
    """
    with servers.changing():
        pass  # nobody should log in for nothing: a folder that cannot be written shows here
    discovery = discover(pinning.address_of(typed))
    server = pinning.pinned(discovery, name)
    if not discovery.client_id:
        raise LoginRefused(f"{server.url} names no public client for logins: its owner sets COGNITO_LOGIN_CLIENT_ID")
    if not discovery.authorization_endpoint:
        raise LoginRefused(f"the issuer {server.issuer} has no login page: its owner gives the user pool a domain")
    nonce = secrets.token_urlsafe(24) if "openid" in server.scopes else ""
    return PendingLogin(server, discovery, secrets.token_urlsafe(32), secrets.token_urlsafe(48), nonce)


def in_browser(pending: PendingLogin, say: Say, open_page: Callable[[str], object] = webbrowser.open) -> None:
    """Open the login page, wait for its answer at this machine, and store the tokens.

    Raises:
        KitError: no answer in two minutes, or a refusal.
    """
    with Listener(pending.state) as listener:
        address = pending.address(listener.redirect_uri)
        _check_page(pending, address)
        say(f"Log in with the browser. If none opens, visit:\n{address}")
        if open_page(address) is False:
            say("There is no browser on this machine. From another one: Ctrl-C, and log in with --no-browser.")
        answer = listener.wait(WAIT_SECONDS)
        if answer is None:
            raise LoginRefused(
                f"no answer within two minutes. If the page showed redirect_mismatch, the owner must register"
                f" {listener.redirect_uri} at the app client; on a machine without a browser use --no-browser"
            )
        code = code_of(answer, pending)
        _finish(pending, code, listener.redirect_uri, say)


def by_pasting(pending: PendingLogin, say: Say, ask: Callable[[], str]) -> None:
    """Show the address of the login page, and take what the person pastes: the code, or the address of the last page.

    Raises:
        KitError: what was pasted is no code, or a refusal.
    """
    redirect = redirect_uri(PORTS[0])
    address = pending.address(redirect)
    _check_page(pending, address)
    say(
        f"Visit this page on any machine, and log in:\n{address}\n"
        "The browser then shows an error, because nothing listens there. Paste the address of that page, or its code:"
    )
    _finish(pending, pasted_code(ask().strip(), pending), redirect, say)


def pasted_code(text: str, pending: PendingLogin) -> str:
    """Return the code in a pasted text. Raises LoginRefused."""
    if text.count(".") >= 2 and text.startswith("eyJ"):
        kind = "an id token" if claims_of(text).get("token_use") == "id" else "a token"
        raise LoginRefused(
            f"this is {kind}, not a code: paste the address of the last page, and keep the token to yourself"
        )
    if "://" in text or "code=" in text or "error=" in text:
        query = urlsplit(text).query or text.partition("?")[2] or text
        answer = single_members(query)
        if "state" in answer and not secrets.compare_digest(answer["state"].encode(), pending.state.encode()):
            raise LoginRefused("this address belongs to another login: paste that of the page that was opened last")
        if "://" in text and "state" not in answer:
            raise LoginRefused("this address has no state: paste the whole address of the last page")
        return code_of(answer, pending)
    if not text or not text.isascii() or not text.isprintable() or " " in text or len(text) > 4_096:
        raise LoginRefused("this is not a code: paste the whole address of the last page")
    return text


def code_of(answer: dict[str, str], pending: PendingLogin) -> str:
    """Return the code of the login page's answer.

    Raises:
        LoginRefused: the page refused.
        BadServer: the answer is another issuer's (RFC 9207).
    """
    issuer = answer.get("iss")
    if (issuer is not None or pending.discovery.promises_iss) and issuer != pending.server.issuer:
        raise BadServer(
            "the answer came from another issuer than the one that was asked: do not log in, tell the owner"
        )
    if "error" in answer or not answer.get("code"):
        raise LoginRefused(_reason(answer, pending))
    return answer["code"]


def _reason(answer: dict[str, str], pending: PendingLogin) -> str:
    error = answer.get("error", "no code")
    error = error if error.replace("_", "").replace(" ", "").isalnum() and len(error) < 64 else "unreadable"
    if "invalid_scope" in {error, answer.get("error_description", "")}:
        return f"the client may not have the scope {' '.join(pending.server.scopes)}: the owner must allow it"
    fix = {"access_denied": "you declined, or may not log in"}.get(error, "ask the server's owner")
    return f"the login page refused ({error}): {fix}"


def _check_page(pending: PendingLogin, address: str) -> None:
    """Look at the login page first: a browser shows its refusal, but nobody tells this program."""
    response = http.get(address)
    refusals = parse_qs(urlsplit(response.location).query).get("error", [])
    if response.status < 400 and not refusals:
        return
    error = refusals[0] if refusals else str((response.body or {}).get("error", ""))
    if "redirect" in error:
        raise LoginRefused(
            f"the redirect address of this login is not registered: the owner must register {redirect_uri(PORTS[0])}"
            f" to {redirect_uri(PORTS[-1])} at the app client"
        )
    raise LoginRefused(
        _reason({**single_members(urlsplit(response.location).query), "error": error or "no reason"}, pending)
    )


def _finish(pending: PendingLogin, code: str, redirect: str, say: Say) -> None:
    server = pending.server
    issued = token_endpoint.with_code(server, code, pending.verifier, redirect)
    _check_id_token(issued, pending)
    _check_scopes(issued, server)
    if not issued.credentials.refresh_token:
        say("The issuer sent no refresh token: this login ends with its first token.")
    pinning.remember(server)  # first: the name may be another server's by now, and so may be the file of tokens
    with tokens.lock_of(server.name):
        store.remove(server.name)  # so that a keyring that is here now is used
        store.save(server.name, issued.credentials)
    tokens.forget(server)
    if words := clock_words(issued.clock_error):
        say(f"Warning: {words}.")


def _check_id_token(issued: Issued, pending: PendingLogin) -> None:
    """Compare an id token with this login. It came from the issuer itself over TLS, so its signature adds nothing.

    https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation, number 6.
    """
    if not pending.nonce:
        return
    claims, server = claims_of(issued.id_token), pending.server
    audience = claims.get("aud")
    is_ours = server.client_id in (audience if isinstance(audience, list) else [audience])
    if claims.get("nonce") != pending.nonce or claims.get("iss") != server.issuer or not is_ours:
        raise BadServer("the id token is of another login or issuer: do not log in, and tell the owner")


def _check_scopes(issued: Issued, server: Server) -> None:
    granted = claims_of(issued.credentials.access_token).get("scope")
    if not isinstance(granted, str):
        return
    missing = sorted(set(server.scopes) - set(granted.split()) - {"openid", "email", "profile", "phone"})
    if missing:
        raise LoginRefused(
            f"the issuer left out the scope {' '.join(missing)}: the owner must allow it at the app client"
        )


def known_server(typed: str) -> Server | None:
    """Return the server if this user has logged in to it before."""
    try:
        return servers.find(typed)
    except UnknownServer:
        return None


def make_default(server: Server) -> None:
    """Make a server the default. Raises BadStorage."""
    with servers.changing():
        servers.save(replace(servers.load(), default=server.name))
