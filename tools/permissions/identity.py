"""Who deploys, and by which policies: read from IAM, which needs no more than the right to read one's own role."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tools.permissions.policy import Decision, Request, Statement, decide, statements


class CannotLook(Exception):
    """What somebody may do could not be found out; the message says why, and what would let it be."""


@dataclass(frozen=True)
class Deployer:
    """A role, and what bounds it.

    Attributes:
        name: the role's.
        policy: every statement of its policies, attached and its own.
        boundary: those of its permissions boundary; None without one.
    """

    name: str
    policy: tuple[Statement, ...]
    boundary: tuple[Statement, ...] | None = None

    def decide(self, request: Request) -> Decision:
        """Both its policies and its boundary have to allow it.

        https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html
        """
        by_policy = decide(self.policy, request)
        if not by_policy.allowed or self.boundary is None:
            return by_policy
        by_boundary = decide(self.boundary, request)
        return by_boundary if by_boundary.allowed else Decision(False, f"its boundary: {by_boundary.why}")


def deployer(sts: Any, iam: Any, role: str | None) -> Deployer:
    """That role, or the one that these credentials are of.

    Raises:
        CannotLook: nobody is logged in, it is not a role, or its policies may not be read.
    """
    try:
        name = role or _own_role(sts.get_caller_identity()["Arn"])
        return _read(iam, name)
    except (BotoCoreError, ClientError) as why:
        raise CannotLook(str(why)) from why


def _own_role(arn: str) -> str:
    """The role's name in ``arn:PARTITION:sts::ACCOUNT:assumed-role/NAME/SESSION``."""
    kind, _, rest = arn.rpartition(":")[2].partition("/")
    if kind != "assumed-role":
        raise CannotLook(f"these credentials are of {arn}, and only a role's policies are read")
    return rest.partition("/")[0]


def _read(iam: Any, name: str) -> Deployer:
    bounded = iam.get_role(RoleName=name)["Role"].get("PermissionsBoundary")
    boundary = tuple(_managed(iam, bounded["PermissionsBoundaryArn"])) if bounded else None
    return Deployer(name, policies_of(iam, name), boundary)


def policies_of(iam: Any, name: str) -> tuple[Statement, ...]:
    """Every statement of a role's policies, attached and its own.

    Raises:
        ClientError: there is no such role, or its policies may not be read.
    """
    return (*_own(iam, name), *_attached(iam, name))


def _own(iam: Any, name: str) -> Iterator[Statement]:
    for page in iam.get_paginator("list_role_policies").paginate(RoleName=name):
        for policy in page["PolicyNames"]:
            yield from statements(iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"])


def _attached(iam: Any, name: str) -> Iterator[Statement]:
    for page in iam.get_paginator("list_attached_role_policies").paginate(RoleName=name):
        for policy in page["AttachedPolicies"]:
            yield from _managed(iam, policy["PolicyArn"])


def _managed(iam: Any, arn: str) -> list[Statement]:
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    return statements(iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"])
