"""A user pool on this machine: moto plays Cognito, over HTTP and in memory.

Identifiers come from seeds, so a stack that starts again has the same pool, client and users as before: tokens in a
shell's variables go on working, and users find their jobs again.
"""

import hashlib
import json
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any, Self

#: moto gives its calls without a signature this region.
REGION = "us-east-1"
#: The scope of every token that InitiateAuth hands out, moto's and the real Cognito's alike. Scopes of a resource
#: server, such as lambda-router/jobs, come only from the hosted login page, which moto has not.
SCOPE = "aws.cognito.signin.user.admin"
#: Guards nothing: whoever reaches the endpoint on this machine's loopback may set any password.
PASSWORD = "Only-0n-this-machine"  # noqa: S105

TIMEOUT_SECONDS = 10.0

# No proxy from the environment: everything here is on this machine's loopback.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class CognitoError(Exception):
    """Cognito refused the call; ``kind`` is its name for the reason."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind


@dataclass(frozen=True)
class LocalCognito:
    """A user pool with one app client.

    Attributes:
        endpoint: ``http://127.0.0.1:<port>`` of the moto server.
    """

    endpoint: str
    pool_id: str
    client_id: str

    @classmethod
    def create(cls, endpoint: str, seed: str) -> Self:
        """A new pool; the same seed gives the same ids on a new server."""
        _seed(endpoint, seed)
        pool = _call(endpoint, "CreateUserPool", PoolName="lambda-router")["UserPool"]["Id"]
        client = _call(
            endpoint,
            "CreateUserPoolClient",
            UserPoolId=pool,
            ClientName="local",
            ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
        )
        return cls(endpoint, pool, client["UserPoolClient"]["ClientId"])

    @property
    def jwks_url(self) -> str:
        return f"{self.endpoint}/{self.pool_id}/.well-known/jwks.json"

    def access_token(self, user: str) -> str:
        """A fresh token; the user is made when there is none of that name.

        Raises:
            OSError: the server cannot be reached.
        """
        self._ensure(user)
        whose = {"UserPoolId": self.pool_id, "Username": user}
        _call(self.endpoint, "AdminSetUserPassword", **whose, Password=PASSWORD, Permanent=True)
        answer = _call(
            self.endpoint,
            "InitiateAuth",
            ClientId=self.client_id,
            AuthFlow="USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": user, "PASSWORD": PASSWORD},
        )
        token: str = answer["AuthenticationResult"]["AccessToken"]
        return token

    def _ensure(self, user: str) -> None:
        try:
            _call(self.endpoint, "AdminGetUser", UserPoolId=self.pool_id, Username=user)
        except CognitoError as error:
            if error.kind != "UserNotFoundException":
                raise
            self._create(user)

    def _create(self, user: str) -> None:
        _seed(self.endpoint, f"{self.pool_id}/{user}")
        try:
            _call(self.endpoint, "AdminCreateUser", UserPoolId=self.pool_id, Username=user, MessageAction="SUPPRESS")
        except CognitoError as error:
            if error.kind != "UsernameExistsException":  # another process was quicker
                raise


def server_command(port: int) -> list[str]:
    """The program that plays Cognito on that port of 127.0.0.1; SIGTERM ends it."""
    return [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]


def is_up(endpoint: str) -> bool:
    """Whether the server answers."""
    try:
        _call(endpoint, "ListUserPools", MaxResults=1)
    except OSError:
        return False
    return True


def _seed(endpoint: str, text: str) -> None:
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
    _post(f"{endpoint}/moto-api/seed?a={number}", b"", {})


def _call(endpoint: str, action: str, **parameters: Any) -> dict[str, Any]:
    """One call of Cognito's API. Plain HTTP rather than boto3, which looks for this machine's profiles and keys."""
    headers = {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": f"AWSCognitoIdentityProviderService.{action}",
    }
    answer: dict[str, Any] = json.loads(_post(endpoint, json.dumps(parameters).encode(), headers) or b"{}")
    return answer


def _post(url: str, body: bytes, headers: dict[str, str]) -> bytes:
    request = urllib.request.Request(url, body, headers, method="POST")  # noqa: S310  loopback http only
    try:
        with _opener.open(request, timeout=TIMEOUT_SECONDS) as response:
            content: bytes = response.read()
            return content
    except urllib.error.HTTPError as error:
        with error:
            fault = json.loads(error.read())
        raise CognitoError(fault["__type"], fault.get("message", "")) from None
