"""Callers' kit of Lambda Router: a token that is always fresh, for any client.

>>> client = OpenAI(base_url="https://…/v1", api_key=lambda_router.token_provider())
"""

from lambda_router.errors import (
    BadServer,
    BadStorage,
    KitError,
    LoginRefused,
    NotLoggedIn,
    ServerAway,
    UnknownServer,
)
from lambda_router.tokens import async_token_provider, token_provider

__all__ = [
    "BadServer",
    "BadStorage",
    "KitError",
    "LoginRefused",
    "NotLoggedIn",
    "ServerAway",
    "UnknownServer",
    "async_token_provider",
    "token_provider",
]
