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
class Attempt:
    """One login: what was discovered, and the three values that only this login knows."""

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


def begin(typed: str, name: str | None = None) -> Attempt:
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
    return Attempt(server, discovery, secrets.token_urlsafe(32), secrets.token_urlsafe(48), nonce)


def in_browser(attempt: Attempt, say: Say, open_page: Callable[[str], object] = webbrowser.open) -> None:
    """Open the login page, wait for its answer at this machine, and store the tokens.

    Raises:
        KitError: no answer in two minutes, or a refusal.
    """
    with Listener(attempt.state) as listener:
        address = attempt.address(listener.redirect_uri)
        _check_page(attempt, address)
        say(f"Log in with the browser. If none opens, visit:\n{address}")
        open_page(address)
        answer = listener.wait(WAIT_SECONDS)
        if answer is None:
            raise LoginRefused(
                f"no answer within two minutes. If the page showed redirect_mismatch, the owner must register"
                f" {listener.redirect_uri} at the app client; on a machine without a browser use --no-browser"
            )
        code = code_of(answer, attempt)
        _finish(attempt, code, listener.redirect_uri, say)


def by_pasting(attempt: Attempt, say: Say, ask: Callable[[], str]) -> None:
    """Show the address of the login page, and take what the person pastes: the code, or the address of the last page.

    Raises:
        KitError: what was pasted is no code, or a refusal.
    """
    redirect = redirect_uri(PORTS[0])
    address = attempt.address(redirect)
    _check_page(attempt, address)
    say(
        f"Visit this page on any machine, and log in:\n{address}\n"
        "The browser then shows an error, because nothing listens there. Paste the address of that page, or its code:"
    )
    _finish(attempt, pasted_code(ask().strip(), attempt), redirect, say)


def pasted_code(text: str, attempt: Attempt) -> str:
    """Return the code in a pasted text. Raises LoginRefused."""
    if text.count(".") >= 2 and text.startswith("eyJ"):
        kind = "an id token" if claims_of(text).get("token_use") == "id" else "a token"
        raise LoginRefused(
            f"this is {kind}, not a code: paste the address of the last page, and keep the token to yourself"
        )
    if "://" in text or "code=" in text or "error=" in text:
        query = urlsplit(text).query or text.partition("?")[2] or text
        answer = single_members(query)
        if "state" in answer and not secrets.compare_digest(answer["state"].encode(), attempt.state.encode()):
            raise LoginRefused("this address is of another login: paste that of the page that was opened last")
        if "://" in text and "state" not in answer:
            raise LoginRefused("this address has no state: paste the whole address of the last page")
        return code_of(answer, attempt)
    if not text or not text.isascii() or not text.isprintable() or " " in text or len(text) > 4_096:
        raise LoginRefused("this is no code: paste the address of the last page, whole")
    return text


def code_of(answer: dict[str, str], attempt: Attempt) -> str:
    """Return the code of the login page's answer.

    Raises:
        LoginRefused: the page refused.
        BadServer: the answer is another issuer's (RFC 9207).
    """
    issuer = answer.get("iss")
    if (issuer is not None or attempt.discovery.promises_iss) and issuer != attempt.server.issuer:
        raise BadServer(
            "the answer came from another issuer than the one that was asked: do not log in, tell the owner"
        )
    if "error" in answer or not answer.get("code"):
        raise LoginRefused(_reason(answer, attempt))
    return answer["code"]


def _reason(answer: dict[str, str], attempt: Attempt) -> str:
    error = answer.get("error", "no code")
    error = error if error.replace("_", "").replace(" ", "").isalnum() and len(error) < 64 else "unreadable"
    if "invalid_scope" in {error, answer.get("error_description", "")}:
        return f"the client may not have the scope {' '.join(attempt.server.scopes)}: the owner must allow it"
    fix = {"access_denied": "you declined, or may not log in"}.get(error, "ask the server's owner")
    return f"the login page refused ({error}): {fix}"


def _check_page(attempt: Attempt, address: str) -> None:
    """Look at the login page first: a browser shows its refusal, but nobody tells this program."""
    answer = http.get(address)
    refusals = parse_qs(urlsplit(answer.location).query).get("error", [])
    if answer.status < 400 and not refusals:
        return
    error = refusals[0] if refusals else str((answer.body or {}).get("error", ""))
    if "redirect" in error:
        raise LoginRefused(
            f"the redirect address of this login is not registered: the owner must register {redirect_uri(PORTS[0])}"
            f" to {redirect_uri(PORTS[-1])} at the app client"
        )
    raise LoginRefused(
        _reason({**single_members(urlsplit(answer.location).query), "error": error or "no reason"}, attempt)
    )


def _finish(attempt: Attempt, code: str, redirect: str, say: Say) -> None:
    server = attempt.server
    issued = token_endpoint.with_code(server, code, attempt.verifier, redirect)
    _check_id_token(issued, attempt)
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


def _check_id_token(issued: Issued, attempt: Attempt) -> None:
    """Compare an id token with this login. It came from the issuer itself over TLS, so its signature adds nothing.

    https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation, number 6.
    """
    if not attempt.nonce:
        return
    claims, server = claims_of(issued.id_token), attempt.server
    audience = claims.get("aud")
    is_ours = server.client_id in (audience if isinstance(audience, list) else [audience])
    if claims.get("nonce") != attempt.nonce or claims.get("iss") != server.issuer or not is_ours:
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
