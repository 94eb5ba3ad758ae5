"""Checks that do not stop each other: one that cannot run yields one more finding.

The fix of such a finding never moves callers, because nothing is known to be wrong with what they get.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

import httpx
from botocore.exceptions import BotoCoreError, ClientError

from tools.stack.findings import Finding
from tools.stack.terraform import TerraformFailed

type Check = Callable[[], Iterable[Finding]]

#: ``User: arn:… is not authorized to perform: lambda:GetAlias on resource: …`` (IAM guide, troubleshoot_access-denied)
_PERFORM = re.compile(r"not authorized to perform: ([\w-]+:\w+)")
_DENIED = re.compile("AccessDenied|Unauthorized|NotAuthorized|Forbidden")
_NOBODY = re.compile("ExpiredToken|InvalidClientTokenId|UnrecognizedClient|RequestExpired|SignatureDoesNotMatch")

#: A login to another account gets these, too, so they are not taken for a deletion.
_GONE = re.compile("NotFound|NoSuch")

WAIT = "wait a minute, then check again: make verify"
LOG_IN = "log in to the stack's account again (aws sts get-caller-identity), then check again: make verify"
FIND = (
    "check that this is the stack's account and region (aws sts get-caller-identity); if so, it was deleted:"
    " make plan && make apply"
)
REACH_AWS = "check that this machine is logged in and can reach AWS (aws sts get-caller-identity), then: make verify"


def each(checks: Mapping[str, Check]) -> Iterator[Finding]:
    """Run all checks and yield their findings; one that cannot run yields a finding under its name."""
    for thing, check in checks.items():
        try:
            yield from check()
        except ClientError as error:
            yield _refused(thing, error)
        except BotoCoreError as error:
            yield unseen(thing, str(error), REACH_AWS)
        except httpx.HTTPError as error:
            yield unseen(thing, f"{type(error).__name__}: {error}".rstrip(": "), _reach(error))
        except httpx.InvalidURL as error:
            yield unseen(thing, f"invalid URL: {error}", "set the API's address: URL=https://api.example.com/api")
        except TerraformFailed as error:
            yield unseen(thing, str(error))


def unseen(thing: str, why_not: str, fix: str = "") -> Finding:
    """Return a finding for a thing that could not be checked."""
    return Finding(thing, ok=False, found=why_not, seen=False, fix=fix)


def _reach(error: httpx.HTTPError) -> str:
    """Return a fix that names the host, which httpx knows unless it failed before there was a request."""
    try:
        host = error.request.url.netloc.decode()
    except RuntimeError:
        host = "the API"
    return (
        f"check that this machine can reach {host} (DNS, network, TLS, proxy), or set another address: URL=…; then:"
        " make verify"
    )


def _refused(thing: str, error: ClientError) -> Finding:
    code, message = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
    said = f"{error.operation_name}: {code}: {message}"
    if _DENIED.search(code):
        named = _PERFORM.search(message)
        permission = named[1] if named else error.operation_name
        return unseen(thing, said, f"allow {permission}, as the roles in terraform/modules/iam do")
    if _NOBODY.search(code):
        return unseen(thing, said, LOG_IN)
    if _GONE.search(code):
        return unseen(thing, said, FIND)
    return unseen(thing, said, WAIT)
