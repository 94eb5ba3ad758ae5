"""``tools/stack/checks.py``: what cannot be looked at is said, and nothing else goes unlooked at for that."""

from collections.abc import Callable, Iterator

import httpx
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from tools.stack.checks import FIND, LOG_IN, REACH_AWS, WAIT, each
from tools.stack.findings import Finding
from tools.stack.terraform import TerraformFailed

GOOD = Finding("alias live", ok=True, found="version 7")
DENIED = "User: arn:aws:sts::1:assumed-role/plan/x is not authorized to perform: lambda:GetAlias on resource: arn:aws:…"


def refused(code: str, message: str) -> Exception:
    return ClientError({"Error": {"Code": code, "Message": message}}, "GetAlias")


def failing(error: Exception) -> Callable[[], Iterator[Finding]]:
    def check() -> Iterator[Finding]:
        yield GOOD
        raise error

    return check


@pytest.mark.parametrize("code", ["AccessDenied", "AccessDeniedException", "UnauthorizedException"])
def test_a_missing_permission_is_named_and_the_other_checks_run(code: str) -> None:
    found = list(each({"code": failing(refused(code, DENIED)), "alias": lambda: [GOOD]}))

    assert found[0] == found[2] == GOOD
    assert (found[1].thing, found[1].ok, found[1].seen) == ("code", False, False)
    assert found[1].found == f"GetAlias: {code}: {DENIED}"
    assert found[1].fix.startswith("allow lambda:GetAlias, as the roles in terraform/modules/iam do")


def test_a_refusal_that_names_no_permission_names_the_call() -> None:
    (_, finding) = each({"code": failing(refused("AccessDenied", "Access Denied"))})

    assert finding.fix.startswith("allow GetAlias,")


@pytest.mark.parametrize(
    ("error", "said", "fix"),
    [
        (
            refused("ResourceNotFoundException", "no such alias"),
            "GetAlias: ResourceNotFoundException: no such alias",
            FIND,
        ),
        (refused("NoSuchEntity", "no such role"), "GetAlias: NoSuchEntity: no such role", FIND),
        (refused("InvalidParameterValue", "odd"), "GetAlias: InvalidParameterValue: odd", WAIT),
        (
            refused("TooManyRequestsException", "Rate exceeded"),
            "GetAlias: TooManyRequestsException: Rate exceeded",
            WAIT,
        ),
        (refused("ExpiredTokenException", "expired"), "GetAlias: ExpiredTokenException: expired", LOG_IN),
        (
            EndpointConnectionError(endpoint_url="https://x"),
            'Could not connect to the endpoint URL: "https://x"',
            REACH_AWS,
        ),
        (httpx.ConnectTimeout(""), "ConnectTimeout", "check that this machine can reach the API"),
        (TerraformFailed("no terraform on PATH"), "no terraform on PATH", ""),
    ],
)
def test_what_does_not_answer_is_unseen_and_not_wrong(error: Exception, said: str, fix: str) -> None:
    (_, finding) = each({"code": failing(error)})

    assert (finding.seen, finding.found) == (False, said)
    assert finding.fix.startswith(fix) if fix else finding.fix == ""


def test_a_bug_is_not_taken_for_a_finding() -> None:
    with pytest.raises(KeyError):
        list(each({"code": failing(KeyError("CodeSha256"))}))
