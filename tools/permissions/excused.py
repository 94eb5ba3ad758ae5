"""The reasons for actions that the roles may take though no recorded run uses them, each with its source.

``docs/permissions.md`` is generated from this. tests/deploy/test_permissions.py fails for a reason whose action is in
no policy, and for an action that has neither a reason nor a use.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Excuse:
    """One action that a role may take though no recorded run does.

    Attributes:
        action: such as ``lambda:ListTags``.
        reason: who needs it, and for what.
        source: the address of the documentation.
        roles: the roles that may take it without a recorded use. The two roles share a policy, so the other may use it.
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

EXCUSED = (
    Excuse(
        "acm:DescribeCertificate",
        "`make doctor` checks that a custom domain's certificate is issued, and for that name",
        f"{_AWS}/acm/latest/APIReference/API_DescribeCertificate.html",
    ),
    Excuse("ec2:DescribeSecurityGroups", "a function in a VPC: Lambda makes this call on the deployer's behalf", _VPC),
    Excuse("ec2:DescribeSubnets", "a function in a VPC: Lambda makes this call on the deployer's behalf", _VPC),
    Excuse("ec2:DescribeVpcs", "a function in a VPC: Lambda makes this call on the deployer's behalf", _VPC),
    Excuse(
        "iam:CreateServiceLinkedRole",
        "an account's first custom domain: API Gateway creates its service role on the deployer's behalf",
        f"{_AWS}/apigateway/latest/developerguide/using-service-linked-roles.html",
        roles=("deploy",),
    ),
    Excuse(
        "iam:PutRolePermissionsBoundary",
        "the boundary is added to a role that was created without it",
        f"{_PROVIDER}/internal/service/iam/role.go",
        roles=("deploy",),
    ),
    Excuse("kms:CreateGrant", "function variables encrypted with a key of your own", _KMS, roles=("deploy",)),
    Excuse("kms:Decrypt", "function variables encrypted with a key of your own", _KMS, roles=("deploy",)),
    Excuse("kms:DescribeKey", "function variables encrypted with a key of your own", _KMS, roles=("deploy",)),
    Excuse("kms:Encrypt", "function variables encrypted with a key of your own", _KMS, roles=("deploy",)),
    Excuse("kms:GenerateDataKey", "function variables encrypted with a key of your own", _KMS, roles=("deploy",)),
    Excuse(
        "lambda:ListTags",
        "without it, GetFunction omits the tags, and Terraform would set them in every apply",
        f"{_AWS}/lambda/latest/api/API_GetFunction.html",
    ),
    Excuse("logs:AssociateKmsKey", "log groups encrypted with a key of your own", _KMS_LOGS, roles=("deploy",)),
    Excuse("logs:DisassociateKmsKey", "log groups whose own key is removed", _KMS_LOGS, roles=("deploy",)),
)
