"""The deployer and its policies, read from IAM; this needs only permission to read one's own role."""

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tools.permissions.policy import Decision, Request, Statement, decide, statements


class CannotLook(Exception):
    """The permissions could not be determined; the message says why, and what to do."""


@dataclass(frozen=True)
class Deployer:
    """A role and its boundary.

    Attributes:
        name: the role's name.
        policy: every statement of its policies, attached and inline.
        boundary: every statement of its permissions boundary; None if it has none.
    """

    name: str
    policy: tuple[Statement, ...]
    boundary: tuple[Statement, ...] | None = None

    def decide(self, request: Request) -> Decision:
        """Decide a request, which both the policies and the boundary must allow.

        https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html
        """
        by_policy = decide(self.policy, request)
        if not by_policy.allowed or self.boundary is None:
            return by_policy
        by_boundary = decide(self.boundary, request)
        return by_boundary if by_boundary.allowed else Decision(False, f"its boundary: {by_boundary.why}")


def deployer(sts: Any, iam: Any, role: str | None) -> Deployer:
    """Return that role, or the one of these credentials.

    Raises:
        CannotLook: nobody is logged in, the identity is not a role, or its policies may not be read.
    """
    try:
        if role:
            return _read(iam, role)
        arn = sts.get_caller_identity()["Arn"]  # arn:PARTITION:sts::ACCOUNT:assumed-role/NAME/SESSION
        kind, *names = arn.rpartition(":")[2].split("/")
        if kind != "assumed-role":
            raise CannotLook(f"these credentials belong to {arn}, but only roles can be checked")
        return _read(iam, names[0])
    except (BotoCoreError, ClientError) as why:
        raise CannotLook(str(why)) from why


def _read(iam: Any, name: str) -> Deployer:
    bounded = iam.get_role(RoleName=name)["Role"].get("PermissionsBoundary")
    boundary = tuple(_managed(iam, bounded["PermissionsBoundaryArn"])) if bounded else None
    return Deployer(name, policies_of(iam, name), boundary)


def policies_of(iam: Any, name: str) -> tuple[Statement, ...]:
    """Return every statement of a role's policies, attached and inline.

    Raises:
        ClientError: the role does not exist, or its policies may not be read.
    """
    found: list[Statement] = []
    for page in iam.get_paginator("list_role_policies").paginate(RoleName=name):
        for policy in page["PolicyNames"]:
            found += statements(iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"])
    for page in iam.get_paginator("list_attached_role_policies").paginate(RoleName=name):
        for policy in page["AttachedPolicies"]:
            found += _managed(iam, policy["PolicyArn"])
    return tuple(found)


def _managed(iam: Any, arn: str) -> list[Statement]:
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    return statements(iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"])
