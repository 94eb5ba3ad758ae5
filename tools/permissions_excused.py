"""Why the roles may do what no recorded run of Terraform shows: for each such action the reason, and where it stands.

``docs/permissions.md`` is written from this. A reason without an action in the policies fails
tests/deploy/test_permissions.py, and so does an action without a reason or a use.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Excuse:
    """One action that a role may take though the recorded life does not.

    Attributes:
        action: such as ``lambda:ListTags``.
        reason: who needs it, and for what.
        source: an address where that stands.
        roles: those that may and were not seen to: one policy of the two roles is the same, so the other may use it.
    """

    action: str
    reason: str
    source: str
    roles: tuple[str, ...] = ("plan", "deploy")


_AWS = "https://docs.aws.amazon.com"
_PROVIDER = "https://github.com/hashicorp/terraform-provider-aws/blob/v5.100.0"
_KMS = f"{_AWS}/lambda/latest/dg/security-encryption-at-rest.html"
_KMS_LOGS = f"{_AWS}/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html"
_VPC = f"{_AWS}/lambda/latest/dg/configuration-vpc.html"
_COGNITO = f"{_AWS}/service-authorization/latest/reference/list_amazoncognitouserpools.html"
_LAMBDA = f"{_AWS}/service-authorization/latest/reference/list_awslambda.html"

EXCUSED = (
    Excuse("cognito-idp:DescribeResourceServer", "`make doctor`: the scope exists", _COGNITO),
    Excuse("cognito-idp:DescribeUserPool", "`make doctor`: the pool exists", _COGNITO),
    Excuse("cognito-idp:DescribeUserPoolClient", "`make doctor`: the app clients of `COGNITO_AUD` exist", _COGNITO),
    Excuse("cognito-idp:ListUserPoolClients", "`make doctor`: the clients that there are", _COGNITO),
    Excuse("ec2:DescribeSecurityGroups", "a function in a VPC: Lambda asks in the deployer's name", _VPC),
    Excuse("ec2:DescribeSubnets", "a function in a VPC: Lambda asks in the deployer's name", _VPC),
    Excuse("ec2:DescribeVpcs", "a function in a VPC: Lambda asks in the deployer's name", _VPC),
    Excuse(
        "iam:PutRolePermissionsBoundary",
        "a role that was made without the boundary is brought under it",
        f"{_PROVIDER}/internal/service/iam/role.go",
        roles=("deploy",),
    ),
    Excuse("kms:CreateGrant", "variables of the function under a key of your own", _KMS, roles=("deploy",)),
    Excuse("kms:Decrypt", "variables of the function under a key of your own", _KMS, roles=("deploy",)),
    Excuse("kms:DescribeKey", "variables of the function under a key of your own", _KMS, roles=("deploy",)),
    Excuse("kms:Encrypt", "variables of the function under a key of your own", _KMS, roles=("deploy",)),
    Excuse("kms:GenerateDataKey", "variables of the function under a key of your own", _KMS, roles=("deploy",)),
    Excuse("lambda:GetAccountSettings", "`make doctor`: the quota lets the reserved concurrency be", _LAMBDA),
    Excuse("lambda:GetFunctionConcurrency", "`make doctor`: what the function has reserved already", _LAMBDA),
    Excuse(
        "lambda:GetFunctionConfiguration",
        "drift: the function's variables, by the role that only reads",
        f"{_AWS}/lambda/latest/api/API_GetFunctionConfiguration.html",
        roles=("plan",),
    ),
    Excuse("lambda:ListAliases", "rollback and releases: which version an alias serves", _LAMBDA),
    Excuse(
        "lambda:ListTags",
        "AWS leaves the tags out of GetFunction's answer without it, and Terraform would set them again and again",
        f"{_AWS}/lambda/latest/api/API_GetFunction.html",
    ),
    Excuse("logs:AssociateKmsKey", "log groups under a key of your own", _KMS_LOGS, roles=("deploy",)),
    Excuse("logs:DisassociateKmsKey", "log groups no longer under a key of your own", _KMS_LOGS, roles=("deploy",)),
    Excuse(
        "s3:GetBucketVersioning",
        "`make doctor`: an overwritten state can be had back",
        f"{_AWS}/AmazonS3/latest/API/API_GetBucketVersioning.html",
    ),
    Excuse(
        "ssm:GetParameters",
        "verify: all outputs in one call",
        f"{_AWS}/systems-manager/latest/APIReference/API_GetParameters.html",
    ),
)
