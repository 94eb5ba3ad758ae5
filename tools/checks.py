"""Checks that do not stop each other: what cannot be looked at is one more finding."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

import httpx
from botocore.exceptions import BotoCoreError, ClientError

from tools.findings import Finding
from tools.terraform_cli import TerraformFailed

type Check = Callable[[], Iterable[Finding]]

#: ``User: arn:… is not authorized to perform: lambda:GetAlias on resource: …`` (IAM guide, troubleshoot_access-denied)
_PERFORM = re.compile(r"not authorized to perform: ([\w-]+:\w+)")
_DENIED = re.compile("AccessDenied|Unauthorized|NotAuthorized|Forbidden")


def each(checks: Mapping[str, Check]) -> Iterator[Finding]:
    """What all checks find, each under the name of the thing that it is about."""
    for thing, check in checks.items():
        try:
            yield from check()
        except ClientError as error:
            yield _refused(thing, error)
        except (BotoCoreError, httpx.HTTPError, TerraformFailed) as error:
            yield unseen(thing, str(error) or type(error).__name__)


def unseen(thing: str, why_not: str, fix: str = "") -> Finding:
    """A thing that could not be looked at."""
    return Finding(thing, ok=False, found=why_not, seen=False, fix=fix)


def _refused(thing: str, error: ClientError) -> Finding:
    code, message = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
    said = f"{error.operation_name}: {code}: {message}"
    if not _DENIED.search(code):
        return unseen(thing, said)
    named = _PERFORM.search(message)
    permission = named[1] if named else error.operation_name
    return unseen(thing, said, f"allow {permission} to whoever asks; the roles in terraform/modules/iam may")
