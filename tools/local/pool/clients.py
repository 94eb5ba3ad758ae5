"""The app clients of the local pool, as ``terraform/modules/cognito`` makes them, and the names of its users."""

import hashlib
import re
import uuid
from dataclasses import dataclass, field
from typing import Self

from tools.doctor.redirects import LOGIN_REDIRECTS
from tools.local.pool.page_addresses import PageAddresses

#: The region in the pool's id.
REGION = "us-east-1"
#: The scope of the API, as in a stack with the settings' default.
SCOPE = "lambda-router/jobs"
#: Scopes that the client for people may ask for.
LOGIN_SCOPES = ("email", "openid", SCOPE)

#: Names that the sign-in page offers. It takes any other that ``USER`` matches.
DEMO_USERS = ("demo", "alice", "bob")
USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)

_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(frozen=True)
class Client:
    """An app client.

    Attributes:
        secret: None for a public client, which proves itself by PKCE.
        redirects: where its sign-in may return to. They are compared as text. ``PageAddresses`` has further ones.
    """

    id: str
    scopes: tuple[str, ...]
    secret: str | None = None
    redirects: tuple[str, ...] = ()

    def granted(self, asked: str | None) -> tuple[str, ...] | None:
        """Return the scopes for a request: all of the client's if it names none. None if it may not have one."""
        wanted = tuple(dict.fromkeys((asked or "").split())) or self.scopes
        return wanted if set(wanted) <= set(self.scopes) else None


@dataclass(frozen=True)
class Directory:
    """A pool's ids. They come from a seed, so a restarted stack has the same pool, clients and users as before.

    Attributes:
        pages: where the client for people may return to beside its own redirects.
    """

    pool_id: str
    login: Client
    machine: Client
    pages: PageAddresses = field(default_factory=PageAddresses)

    @classmethod
    def of(cls, seed: str, pages: PageAddresses | None = None) -> Self:
        """Return the directory of a seed."""
        return cls(
            f"{REGION}_{_name(seed, 'pool', 9)}",
            Client(_name(seed, "login", 26), LOGIN_SCOPES, redirects=LOGIN_REDIRECTS),
            # The secret protects nothing: anybody who reaches the pool on this machine may sign in as anyone.
            Client(_name(seed, "machine", 26), (SCOPE,), secret=_name(seed, "secret", 51)),
            pages or PageAddresses(),
        )

    def client(self, client_id: str | None) -> Client | None:
        return next((client for client in (self.login, self.machine) if client.id == client_id), None)

    def subject(self, user: str) -> str:
        """Return a user's ``sub``."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.pool_id}/{user}"))


def _name(seed: str, purpose: str, length: int) -> str:
    """Return lower-case letters and digits that follow from the seed."""
    number = int.from_bytes(hashlib.sha512(f"{seed}/{purpose}".encode()).digest())
    letters = []
    for _ in range(length):
        number, letter = divmod(number, len(_LETTERS))
        letters.append(_LETTERS[letter])
    return "".join(letters)
