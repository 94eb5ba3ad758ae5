"""A user pool on this machine: moto simulates Cognito over HTTP, in memory.

Ids come from seeds, so a restarted stack has the same pool, client and users as before. Tokens in a shell's variables
stay valid, and users find their jobs again.
"""

import hashlib
import json
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any, Self

#: The region that moto assumes for unsigned calls.
REGION = "us-east-1"
#: The scope of every token from InitiateAuth, in moto and in the real Cognito. Scopes of a resource server, such as
#: lambda-router/jobs, come only from the hosted login page, which moto lacks.
SCOPE = "aws.cognito.signin.user.admin"
#: Protects nothing: anybody who reaches the endpoint on this machine's loopback may set any password.
PASSWORD = "Only-0n-this-machine"  # noqa: S105

TIMEOUT_SECONDS = 10.0

# No proxy from the environment: everything here is on this machine's loopback.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class CognitoError(Exception):
    """Cognito rejected the call; ``kind`` is its name for the reason."""

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
        """Create a pool; the same seed gives the same ids on a new server."""
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
        """Return a fresh token; the user is created if missing.

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
        else:
            return
        _seed(self.endpoint, f"{self.pool_id}/{user}")
        try:
            _call(self.endpoint, "AdminCreateUser", UserPoolId=self.pool_id, Username=user, MessageAction="SUPPRESS")
        except CognitoError as error:
            if error.kind != "UsernameExistsException":  # another process was faster
                raise


def server_command(port: int) -> list[str]:
    """Return the command of the Cognito server on that port of 127.0.0.1; SIGTERM ends it."""
    return [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]


def is_up(endpoint: str) -> bool:
    """Return whether the server answers."""
    try:
        _call(endpoint, "ListUserPools", MaxResults=1)
    except OSError:
        return False
    return True


def _seed(endpoint: str, text: str) -> None:
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
    _post(f"{endpoint}/moto-api/seed?a={number}", b"", {})


def _call(endpoint: str, action: str, **parameters: Any) -> dict[str, Any]:
    """Call Cognito's API over plain HTTP: boto3 would look for this machine's profiles and keys."""
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
