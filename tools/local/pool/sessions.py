"""Authorization codes and refresh tokens of the local pool. Refresh tokens survive a restart, in a file."""

import hashlib
import json
import os
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

#: Cognito's own, and not configurable there:
#: https://docs.aws.amazon.com/cognito/latest/developerguide/authorization-endpoint.html
CODE_SECONDS = 300
#: As in ``terraform/modules/cognito``.
GRACE_SECONDS = 30
REFRESH_SECONDS = 30 * 86_400
#: A pool at work for years must not fill memory. The oldest sign-in is over first.
MOST_SESSIONS = 1_000


@dataclass(frozen=True)
class Grant:
    """What a sign-in granted, and to which client."""

    user: str
    client_id: str
    scopes: tuple[str, ...]
    auth_time: int


@dataclass(frozen=True)
class Code:
    """What an authorization code stands for."""

    grant: Grant
    redirect_uri: str
    challenge: str
    nonce: str | None
    expires: float


@dataclass
class Session:
    """A sign-in with its refresh tokens.

    Attributes:
        tokens: until when each refresh token is good, by its hash. Rotation leaves the old one its grace period, so
            there may be several.
    """

    grant: Grant
    origin: str
    expires: float
    tokens: dict[str, float] = field(default_factory=dict)


class Sessions:
    """Codes, and sessions with their refresh tokens.

    Args:
        file: where sessions are kept; None for memory alone.
    """

    def __init__(
        self, file: Path | None = None, *, grace_seconds: float = GRACE_SECONDS, clock: Callable[[], float] = time.time
    ) -> None:
        self._file = file
        self._grace = grace_seconds
        self.clock = clock
        self._lock = threading.Lock()
        self._codes: dict[str, Code] = {}
        self._sessions = _read(file)

    def new_code(self, grant: Grant, redirect_uri: str, challenge: str, nonce: str | None) -> str:
        """Return a new authorization code."""
        code = secrets.token_urlsafe(32)
        with self._lock:
            now = self.clock()
            self._codes = {name: each for name, each in self._codes.items() if each.expires > now}
            self._codes[code] = Code(grant, redirect_uri, challenge, nonce, now + CODE_SECONDS)
        return code

    def take_code(self, code: str) -> Code | None:
        """Return what a code stands for, once. None for one that is unknown, used or over."""
        with self._lock:
            found = self._codes.pop(code, None)
            return found if found is not None and found.expires > self.clock() else None

    def begin(self, grant: Grant) -> tuple[Session, str]:
        """Begin a session; return it and its first refresh token."""
        with self._lock:
            now = self.clock()
            session = Session(grant, secrets.token_hex(16), now + REFRESH_SECONDS)
            self._sessions[session.origin] = session
            token = self._new_token(session)
            self._keep()
            return session, token

    def rotate(self, token: str, client_id: str) -> tuple[Session, str] | None:
        """Return the session of a refresh token and the next token; None if the token is not good any more.

        The used one stays good for the grace period, in case that the response gets lost.
        """
        with self._lock:
            session, digest = self._session_of(token), _digest(token)
            now = self.clock()
            if session is None or session.grant.client_id != client_id or session.tokens.get(digest, 0.0) <= now:
                return None
            session.tokens = {each: until for each, until in session.tokens.items() if until > now}
            session.tokens[digest] = min(session.tokens[digest], now + self._grace)
            following = self._new_token(session)
            self._keep()
            return session, following

    def revoke(self, token: str, client_id: str) -> None:
        """End the session of a refresh token, if it is this client's."""
        with self._lock:
            session = self._session_of(token)
            if session is not None and session.grant.client_id == client_id and _digest(token) in session.tokens:
                del self._sessions[session.origin]
                self._keep()

    def is_known(self, origin: str) -> bool:
        """Return whether a session has not been revoked."""
        with self._lock:
            return origin in self._sessions

    def _session_of(self, token: str) -> Session | None:
        return self._sessions.get(token.partition(".")[0])

    def _new_token(self, session: Session) -> str:
        token = f"{session.origin}.{secrets.token_urlsafe(48)}"
        session.tokens[_digest(token)] = session.expires
        return token

    def _keep(self) -> None:
        """Write the sessions atomically; only the owner may read them."""
        now = self.clock()
        lasting = [session for session in self._sessions.values() if session.expires > now]
        self._sessions = {session.origin: session for session in lasting[-MOST_SESSIONS:]}
        if self._file is None:
            return
        draft = self._file.with_suffix(".new")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump([asdict(session) for session in self._sessions.values()], file)
        draft.replace(self._file)


def _read(file: Path | None) -> dict[str, Session]:
    try:
        kept: list[dict[str, Any]] = json.loads(file.read_text()) if file else []
    except FileNotFoundError:
        return {}
    sessions = [Session(**each | {"grant": _grant(each["grant"])}) for each in kept]
    return {session.origin: session for session in sessions}


def _grant(kept: dict[str, Any]) -> Grant:
    return Grant(**kept | {"scopes": tuple(kept["scopes"])})


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
