"""Who sends jobs over HTTP, with a token from the account's own Cognito; and the worker who works them."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.gateway.account import Account
from tests.integration.processes import ROOT, clean_environment
from tests.log_secrets import remember_secret
from tools.local.children import die_with_parent

SCOPES = ("jobs", "other")


@dataclass(frozen=True)
class Pool:
    """A user pool as docs/deploy.md wants it, whose one client may ask for a scope that is not ours, too."""

    account: Account
    id: str
    arn: str
    client_id: str
    client_secret: str

    @classmethod
    def made_in(cls, account: Account) -> "Pool":
        cognito = account.client("cognito-idp")
        made = cognito.create_user_pool(PoolName="callers")["UserPool"]
        cognito.create_resource_server(
            UserPoolId=made["Id"],
            Identifier="lambda-router",
            Name="router",
            Scopes=[{"ScopeName": name, "ScopeDescription": name} for name in SCOPES],
        )
        client = cognito.create_user_pool_client(
            UserPoolId=made["Id"],
            ClientName="caller",
            GenerateSecret=True,
            AllowedOAuthFlows=["client_credentials"],
            AllowedOAuthScopes=[f"lambda-router/{name}" for name in SCOPES],
            AllowedOAuthFlowsUserPoolClient=True,
        )["UserPoolClient"]
        return cls(account, made["Id"], made["Arn"], client["ClientId"], client["ClientSecret"])

    @property
    def token_url(self) -> str:
        return f"{self.account.url}/oauth2/token"

    @property
    def keys(self) -> str:
        """The keys that tokens are checked with, as text."""
        return httpx.get(f"{self.account.url}/{self.id}/.well-known/jwks.json", trust_env=False).raise_for_status().text

    def token(self, scope: str = "lambda-router/jobs") -> str:
        """An access token by the client credentials grant."""
        form = {"grant_type": "client_credentials", "scope": scope}
        login = (self.client_id, self.client_secret)
        answer = httpx.post(self.token_url, data=form, auth=login, trust_env=False).raise_for_status()
        token = str(answer.json()["access_token"])
        remember_secret(token)
        return token


def caller(url: str, **headers: str) -> httpx.Client:
    return httpx.Client(base_url=url, headers=headers, timeout=30, trust_env=False)


@contextmanager
def worker(redis_url: str, log: Path) -> Iterator[None]:
    """``lambda-router-worker``, which answers without a model."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "lambda_router_worker", "--handler", "lambda_router_worker.demo:answer"],
            cwd=ROOT,
            env=clean_environment(REDIS_URL=redis_url),
            stdout=out,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent(),  # noqa: PLW1509  nothing of this process runs meanwhile
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def problem_of(answer: httpx.Response) -> dict[str, Any]:
    """What a refusal says, once its shape is seen to be ours (RFC 9457)."""
    assert answer.headers["Content-Type"] == "application/problem+json", answer.text
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["instance"] == answer.headers["X-Request-Id"]
    return problem
