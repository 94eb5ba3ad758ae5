"""Browsers in which somebody has signed in. A cookie tells them apart, so another sign-in asks nobody again.

Cognito does the same for an hour (https://docs.aws.amazon.com/cognito/latest/developerguide/managed-login.html).
"""

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie

COOKIE_SECONDS = 3_600
#: A pool at work for years must not fill memory. The oldest sign-in is over first.
MOST_BROWSERS = 1_000


@dataclass(frozen=True)
class SignedIn:
    """Who has signed in in a browser, and when, in Unix seconds."""

    user: str
    auth_time: int


class Browsers:
    """Sign-ins by cookie. They are kept in memory alone: after a restart the pool asks again.

    Args:
        pool_id: part of the cookie's name, since browsers send the cookies of 127.0.0.1 to all of its ports.
    """

    def __init__(self, pool_id: str, clock: Callable[[], float] = time.time) -> None:
        self._name = f"cognito-{pool_id}"
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, SignedIn] = {}

    def begin(self, user: str) -> tuple[SignedIn, dict[str, str]]:
        """Remember a sign-in; return it, and the header that gives the browser its cookie."""
        value, signed_in = secrets.token_urlsafe(32), SignedIn(user, int(self._clock()))
        with self._lock:
            kept = list(self._known.items())[-MOST_BROWSERS + 1 :]
            self._known = {**dict(kept), value: signed_in}
        return signed_in, self._cookie(value, COOKIE_SECONDS)

    def signed_in(self, cookies: str | None) -> SignedIn | None:
        """Return who has signed in in the browser that sends these cookies, within the last hour."""
        found = self._known.get(self._value(cookies))
        return found if found is not None and found.auth_time + COOKIE_SECONDS > self._clock() else None

    def end(self, cookies: str | None) -> dict[str, str]:
        """Forget the browser's sign-in; return the header that takes its cookie away."""
        with self._lock:
            self._known.pop(self._value(cookies), None)
        return self._cookie("", 0)

    def _cookie(self, value: str, seconds: int) -> dict[str, str]:
        return {"Set-Cookie": f"{self._name}={value}; Max-Age={seconds}; Path=/; HttpOnly; SameSite=Lax"}

    def _value(self, cookies: str | None) -> str:
        try:
            found = SimpleCookie(cookies or "").get(self._name)
        except CookieError:  # another program's of this machine
            return ""
        return found.value if found else ""
