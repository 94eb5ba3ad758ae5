"""The proxy's own errors, in the form of the OpenAI API."""

import json

from lambda_router.errors import KitError, LoginRefused, NotLoggedIn, ServerAway, UnknownServer

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


class Refused(Exception):
    """A request that ends here, or whose server gave no answer that can be handed through.

    Attributes:
        message: what happened and the fix; never a token or a key.
        code: stable, for programs.
    """

    def __init__(self, status: int, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.param = status, code, message, param

    def body(self) -> bytes:
        """Return the body; official clients need all four members."""
        kind = _TYPES.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        error = {"message": f"lambda-router proxy: {self.message}", "type": kind, "param": self.param}
        return json.dumps({"error": error | {"code": self.code}}).encode()

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers. Official clients repeat 5xx by themselves, where ``x-should-retry`` does not say no."""
        found = [
            (b"content-type", b"application/json"),
            (b"cache-control", b"no-store"),
            (b"content-length", str(len(self.body())).encode()),
        ]
        if self.status == 401:
            found.append((b"www-authenticate", b"Bearer"))
        if self.code == "bad_framing":  # what follows may be no request (RFC 9112, 6.3)
            found.append((b"connection", b"close"))
        if self.code in {"not_logged_in", "kit_error"}:
            found.append((b"x-should-retry", b"false"))
        return found


def refusal_of(error: KitError) -> Refused:
    """Return the answer to a caller for whose request there is no token."""
    if isinstance(error, NotLoggedIn | LoginRefused | UnknownServer):
        return Refused(401, "not_logged_in", str(error))
    if isinstance(error, ServerAway):
        return Refused(502, "issuer_unreachable", str(error))
    return Refused(500, "kit_error", str(error))
