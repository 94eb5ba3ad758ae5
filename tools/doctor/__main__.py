"""``python -m tools.doctor``: find what would make a deploy fail; each line has the command that fixes it.

First come the checks that need no AWS, then those that do. Nothing is changed, no lock is taken, and no secret is read
from AWS.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from tools.doctor import (
    account,
    backend,
    cognito,
    domain,
    gateway,
    issuer,
    machine,
    parameters,
    redis,
    sign_in,
    variables,
)
from tools.doctor.contained import stack_in_folder
from tools.stack.backend import StateUnread
from tools.stack.configured import Stack, Unknown
from tools.stack.findings import Finding, report
from tools.stack.options import said_plainly
from tools.stack.terraform import TerraformFailed

_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "Forbidden", "403"})
_NOBODY = frozenset({"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException"})
_WHY_UNSEEN = "what was not checked may be wrong"


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        thing: its name, for when the check cannot run.
        look: yields its findings.
        permissions: the IAM actions that it needs; none if it needs no AWS.
    """

    thing: str
    look: Callable[[Stack], Iterable[Finding]]
    permissions: tuple[str, ...] = ()


OFFLINE = (
    Check("Python", machine.python),
    Check("Terraform", machine.terraform),
    Check("provider lock", machine.provider_lock),
    Check("terraform init", machine.initialised),
    Check("places of settings", variables.places),
    Check("variables", variables.variables),
    Check("TF_VAR_…", variables.environment),
    Check("settings", variables.settings),
    Check("size of the variables", variables.size),
    Check("shell and .env", variables.shell),
    Check("region", variables.region),
    Check("provider and region", machine.provider_region),
    Check("Redis", redis.redis),
)
ONLINE = (
    Check("identity", account.identity, ("sts:GetCallerIdentity",)),
    Check("state", backend.state, ("s3:ListBucket", "s3:GetBucketVersioning", "s3:GetObject")),
    Check("user pool", cognito.pool, ("cognito-idp:DescribeUserPool", "cognito-idp:ListUserPools")),
    Check("issuer", issuer.issuer, ("cognito-idp:DescribeUserPool",)),
    Check("clients", cognito.clients, ("cognito-idp:ListUserPoolClients",)),
    Check(
        "scope",
        cognito.scope,
        (
            "cognito-idp:DescribeResourceServer",
            "cognito-idp:ListUserPoolClients",
            "cognito-idp:DescribeUserPoolClient",
        ),
    ),
    Check(
        "sign-in client",
        sign_in.sign_in_client,
        ("cognito-idp:ListUserPoolClients", "cognito-idp:DescribeUserPoolClient"),
    ),
    Check(
        "pages",
        sign_in.pages,
        (
            "cognito-idp:DescribeUserPool",
            "cognito-idp:ListUserPoolClients",
            "cognito-idp:DescribeUserPoolClient",
            "ssm:DescribeParameters",
            "s3:GetObject",
        ),
    ),
    Check("Redis parameter", parameters.redis_url, ("ssm:DescribeParameters", "kms:DescribeKey")),
    Check("Redis authority", parameters.redis_authority, ("ssm:DescribeParameters",)),
    Check("further clients", parameters.further_clients, ("ssm:DescribeParameters", "cognito-idp:ListUserPoolClients")),
    Check(
        "reserved concurrency",
        account.concurrency,
        ("lambda:GetAccountSettings", "lambda:GetFunctionConcurrency"),
    ),
    Check(
        "API Gateway's log role",
        gateway.log_role,
        (
            "apigateway:GET",
            "iam:GetRole",
            "iam:ListRolePolicies",
            "iam:GetRolePolicy",
            "iam:ListAttachedRolePolicies",
            "iam:GetPolicy",
            "iam:GetPolicyVersion",
        ),
    ),
    Check(
        "custom domain",
        domain.domain,
        ("acm:DescribeCertificate", "apigateway:GET", "route53:GetHostedZone"),
    ),
    Check("permissions boundary", account.boundary, ("iam:GetPolicy",)),
)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--offline", is_flag=True, help="Run only the checks that need no AWS.")
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Stack.folder,
    help="Folder of the stack's Terraform, or of a root module that contains it.",
)
def main(as_json: bool, offline: bool, folder: Path) -> None:
    """Find what would make a deploy fail, and print the command that fixes it.

    Exit status 0: no fault; 1: a check could not run; 3: a fault was found.
    """
    checks = OFFLINE if offline else (*OFFLINE, *ONLINE)
    with said_plainly("doctor"):
        stack = stack_in_folder(folder.absolute())
    sys.exit(report(examine(stack, checks), as_json=as_json))


def examine(stack: Stack, checks: Iterable[Check]) -> Iterator[Finding]:
    """Run each check in turn; one that cannot run does not prevent the others."""
    nobody = False
    for check in checks:
        if nobody:
            yield _unseen(check, "no credentials", "")
            continue
        try:
            yield from check.look(stack)
        except (NoCredentialsError, ClientError) as error:
            code = "" if isinstance(error, NoCredentialsError) else error.response["Error"]["Code"]
            nobody = not code or code in _NOBODY
            found, fix = str(error), "aws sso login" if nobody else ""
            if code in _DENIED:
                needed = " and ".join(check.permissions)
                found, fix = f"access denied ({code}): the check needs {needed}", f"allow {needed} for your role"
            yield _unseen(check, found, fix)
        except (BotoCoreError, TerraformFailed, StateUnread, Unknown, OSError) as error:
            yield _unseen(check, str(error), "")


def _unseen(check: Check, found: str, fix: str) -> Finding:
    return Finding(check.thing, ok=False, found=found, why=_WHY_UNSEEN, fix=fix, seen=False)


if __name__ == "__main__":
    main()
