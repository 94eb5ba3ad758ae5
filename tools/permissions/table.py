"""The IAM permissions that Terraform's AWS provider needs, by resource type and kind of change.

Verified by tests/deploy/test_permissions.py, which takes the real provider through all of it. The provider makes no
call that is missing here, and what is here without being observed has its reason in ``tools.permissions.excused``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Need:
    """One action on one resource.

    Attributes:
        action: such as ``lambda:GetAlias``.
        resource: its ARN; ``{name}`` is an attribute of the resource, or one of partition, region, account, boundary.
        context: the condition keys that decide, and their values, written like ``resource``.
    """

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict, hash=False)


Needs = tuple[Need, ...]

#: Tags of everything in a stack (terraform/providers.tf), by variable. A role recognises its own APIs and logs by them.
OWN_TAGS = {"Application": "app_name", "Stage": "stage_name"}


@dataclass(frozen=True)
class Kind:
    """One resource type.

    Attributes:
        read: needed after a change, and at each refresh.
        create, update, delete: needed at each of these.
        given: by attribute, needed in addition when the resource is created with it, or when its value changes.
        changed: the same, but not at creation.
        dropped: by attribute, needed in addition when the attribute or one of its keys is removed.
    """

    read: Needs
    create: Needs
    delete: Needs
    update: Needs = ()
    given: Mapping[str, Needs] = field(default_factory=dict)
    changed: Mapping[str, Needs] = field(default_factory=dict)
    dropped: Mapping[str, Needs] = field(default_factory=dict)


def on(resource: str, *actions: str, **context: str) -> Needs:
    return tuple(
        Need(action, resource, {key.replace("_", ":"): value for key, value in context.items()}) for action in actions
    )


_HERE = "{region}:{account}"
_FUNCTION = f"arn:{{partition}}:lambda:{_HERE}:function:{{function_name}}"
_QUALIFIED = f"{_FUNCTION}:{{qualifier}}"
_API = "arn:{partition}:apigateway:{region}::/restapis"
_API_TAGS = "arn:{partition}:apigateway:{region}::/tags/*"
_STAGE = f"{_API}/{{rest_api_id}}/stages/{{stage_name}}"
_DOMAINS = "arn:{partition}:apigateway:{region}::/domainnames"
_DOMAIN = f"{_DOMAINS}/{{domain_name}}"
_MAPPINGS = f"{_DOMAIN}/basepathmappings"
_ZONE = "arn:{partition}:route53:::hostedzone/{zone_id}"
_ROLE = "arn:{partition}:iam::{account}:role/{name}"
_ROLE_OF_POLICY = "arn:{partition}:iam::{account}:role/{role}"
_GROUP = f"arn:{{partition}}:logs:{_HERE}:log-group:{{name}}"
_GROUP_AND_STREAMS = f"{_GROUP}:log-stream:"
_RULE = f"arn:{{partition}}:events:{_HERE}:rule/{{name}}"
_RULE_OF_TARGET = f"arn:{{partition}}:events:{_HERE}:rule/{{rule}}"
_PARAMETER = f"arn:{{partition}}:ssm:{_HERE}:parameter{{name}}"
_ALARM = f"arn:{{partition}}:cloudwatch:{_HERE}:alarm:{{alarm_name}}"
_DASHBOARD = "arn:{partition}:cloudwatch::{account}:dashboard/{dashboard_name}"
_BOUNDED = {"iam_PermissionsBoundary": "{boundary}"}
#: The tags that the stack's own resources have, and those given at creation.
_OWN = {f"aws_ResourceTag/{name}": f"{{tag_{name}}}" for name in OWN_TAGS}
_NEW = {f"aws_RequestTag/{name}": f"{{tag_{name}}}" for name in OWN_TAGS}


def _api_gateway_tags(resource: str) -> tuple[dict[str, Needs], dict[str, Needs]]:
    """Return the needs for tags, which have an address of their own; AWS also requires PATCH on the tagged resource."""
    given = on(_API_TAGS, "apigateway:PUT") + on(resource, "apigateway:PATCH", **_OWN)
    return {"tags_all": given}, {"tags_all": on(_API_TAGS, "apigateway:DELETE")}


_API_GIVEN, _API_DROPPED = _api_gateway_tags(f"{_API}/{{id}}")
_STAGE_GIVEN, _STAGE_DROPPED = _api_gateway_tags(_STAGE)
_DOMAIN_GIVEN, _DOMAIN_DROPPED = _api_gateway_tags(_DOMAIN)
_RECORD = (
    on(
        _ZONE,
        "route53:ChangeResourceRecordSets",
        route53_ChangeResourceRecordSetsNormalizedRecordNames="{name}",
    )
    + on(_ZONE, "route53:GetHostedZone")
    + on("arn:{partition}:route53:::change/*", "route53:GetChange")
)
#: API Gateway creates a service role with an account's first custom domain, on behalf of the domain's creator.
_SERVICE_ROLE = on(
    "arn:{partition}:iam::{account}:role/aws-service-role/ops.apigateway.amazonaws.com/AWSServiceRoleForAPIGateway",
    "iam:CreateServiceLinkedRole",
    iam_AWSServiceName="ops.apigateway.amazonaws.com",
)
_KEY = on("{kms_key_arn}", "kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey")

KINDS: Mapping[str, Kind] = {
    "aws_api_gateway_base_path_mapping": Kind(
        read=on(f"{_MAPPINGS}/{{base_path}}", "apigateway:GET"),
        create=on(_MAPPINGS, "apigateway:POST"),
        update=on(f"{_MAPPINGS}/*", "apigateway:PATCH"),  # by its previous path
        delete=on(f"{_MAPPINGS}/{{base_path}}", "apigateway:DELETE"),
    ),
    "aws_api_gateway_deployment": Kind(
        read=on(f"{_API}/{{rest_api_id}}/deployments/{{id}}", "apigateway:GET"),
        create=on(f"{_API}/{{rest_api_id}}/deployments", "apigateway:POST", **_OWN),
        delete=on(f"{_API}/{{rest_api_id}}/deployments/{{id}}", "apigateway:DELETE", **_OWN),
    ),
    "aws_api_gateway_domain_name": Kind(
        read=on(_DOMAIN, "apigateway:GET"),
        create=on(_DOMAINS, "apigateway:POST") + _SERVICE_ROLE,
        update=on(_DOMAIN, "apigateway:PATCH"),
        delete=on(_DOMAIN, "apigateway:DELETE"),
        given=_DOMAIN_GIVEN,
        dropped=_DOMAIN_DROPPED,
    ),
    "aws_api_gateway_method_settings": Kind(
        read=on(_STAGE, "apigateway:GET"),
        create=on(_STAGE, "apigateway:PATCH", **_OWN),
        update=on(_STAGE, "apigateway:PATCH", **_OWN),
        delete=on(_STAGE, "apigateway:PATCH", **_OWN),
    ),
    "aws_api_gateway_rest_api": Kind(
        read=on(f"{_API}/{{id}}", "apigateway:GET") + on(f"{_API}/{{id}}/resources", "apigateway:GET"),
        create=on(_API, "apigateway:POST", **_NEW) + on(f"{_API}/{{id}}", "apigateway:PATCH", "apigateway:PUT", **_OWN),
        update=on(f"{_API}/{{id}}", "apigateway:PATCH", "apigateway:PUT", **_OWN),
        delete=on(f"{_API}/{{id}}", "apigateway:DELETE", **_OWN),
        given=_API_GIVEN,
        dropped=_API_DROPPED,
    ),
    "aws_api_gateway_stage": Kind(
        read=on(_STAGE, "apigateway:GET"),
        create=on(f"{_API}/{{rest_api_id}}/stages", "apigateway:POST", **_OWN) + on(_STAGE, "apigateway:PATCH", **_OWN),
        update=on(_STAGE, "apigateway:PATCH", **_OWN),
        delete=on(_STAGE, "apigateway:DELETE", **_OWN),
        given=_STAGE_GIVEN,
        dropped=_STAGE_DROPPED,
    ),
    "aws_cloudwatch_dashboard": Kind(
        read=on(_DASHBOARD, "cloudwatch:GetDashboard"),
        create=on(_DASHBOARD, "cloudwatch:PutDashboard"),
        update=on(_DASHBOARD, "cloudwatch:PutDashboard"),
        delete=on(_DASHBOARD, "cloudwatch:DeleteDashboards"),
    ),
    "aws_cloudwatch_event_rule": Kind(
        read=on(_RULE, "events:DescribeRule", "events:ListTagsForResource"),
        create=on(_RULE, "events:PutRule", "events:TagResource"),
        update=on(_RULE, "events:PutRule", "events:TagResource"),
        delete=on(_RULE, "events:DeleteRule"),
        dropped={"tags_all": on(_RULE, "events:UntagResource")},
    ),
    "aws_cloudwatch_event_target": Kind(
        read=on(_RULE_OF_TARGET, "events:ListTargetsByRule"),
        create=on(_RULE_OF_TARGET, "events:PutTargets"),
        update=on(_RULE_OF_TARGET, "events:PutTargets"),
        delete=on(_RULE_OF_TARGET, "events:RemoveTargets"),
    ),
    "aws_cloudwatch_log_group": Kind(
        read=on(f"arn:{{partition}}:logs:{_HERE}:log-group::log-stream:", "logs:DescribeLogGroups")
        + on(_GROUP, "logs:ListTagsForResource"),
        create=on(_GROUP_AND_STREAMS, "logs:CreateLogGroup", **_NEW),
        delete=on(_GROUP_AND_STREAMS, "logs:DeleteLogGroup", **_OWN),
        given={
            "kms_key_id": on(_GROUP_AND_STREAMS, "logs:AssociateKmsKey", **_OWN),
            "retention_in_days": on(_GROUP_AND_STREAMS, "logs:PutRetentionPolicy", **_OWN),
            "tags_all": on(_GROUP, "logs:TagResource", **_NEW, **_OWN),
        },
        dropped={
            "kms_key_id": on(_GROUP_AND_STREAMS, "logs:DisassociateKmsKey", **_OWN),
            "tags_all": on(_GROUP, "logs:UntagResource", **_OWN),
        },
    ),
    "aws_cloudwatch_metric_alarm": Kind(
        read=on(f"arn:{{partition}}:cloudwatch:{_HERE}:alarm:*", "cloudwatch:DescribeAlarms")
        + on(_ALARM, "cloudwatch:ListTagsForResource"),
        create=on(_ALARM, "cloudwatch:PutMetricAlarm", "cloudwatch:TagResource"),
        update=on(_ALARM, "cloudwatch:PutMetricAlarm", "cloudwatch:TagResource"),
        delete=on(_ALARM, "cloudwatch:DeleteAlarms"),
        dropped={"tags_all": on(_ALARM, "cloudwatch:UntagResource")},
    ),
    "aws_iam_role": Kind(
        read=on(_ROLE, "iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies"),
        create=on(_ROLE, "iam:CreateRole", **_BOUNDED),
        delete=on(_ROLE, "iam:DeleteRole", "iam:ListInstanceProfilesForRole", "iam:ListRolePolicies"),
        given={"tags_all": on(_ROLE, "iam:TagRole")},
        changed={
            "assume_role_policy": on(_ROLE, "iam:UpdateAssumeRolePolicy"),
            "description": on(_ROLE, "iam:UpdateRoleDescription"),
            "max_session_duration": on(_ROLE, "iam:UpdateRole"),
            "permissions_boundary": on(_ROLE, "iam:PutRolePermissionsBoundary", **_BOUNDED),
        },
        dropped={
            "permissions_boundary": on(_ROLE, "iam:DeleteRolePermissionsBoundary"),
            "tags_all": on(_ROLE, "iam:UntagRole"),
        },
    ),
    "aws_iam_role_policy": Kind(
        read=on(_ROLE_OF_POLICY, "iam:GetRolePolicy"),
        create=on(_ROLE_OF_POLICY, "iam:PutRolePolicy", **_BOUNDED),
        update=on(_ROLE_OF_POLICY, "iam:PutRolePolicy", **_BOUNDED),
        delete=on(_ROLE_OF_POLICY, "iam:DeleteRolePolicy"),
    ),
    "aws_lambda_alias": Kind(
        read=on(_FUNCTION, "lambda:GetAlias"),
        create=on(_FUNCTION, "lambda:CreateAlias"),
        update=on(_FUNCTION, "lambda:UpdateAlias"),
        delete=on(_FUNCTION, "lambda:DeleteAlias"),
    ),
    "aws_lambda_function": Kind(
        read=on(
            _FUNCTION,
            "lambda:GetFunction",
            "lambda:GetFunctionCodeSigningConfig",
            "lambda:ListTags",
            "lambda:ListVersionsByFunction",
        ),
        create=on(_FUNCTION, "lambda:CreateFunction")
        + on("{role}", "iam:PassRole", iam_PassedToService="lambda.amazonaws.com"),
        update=on(_FUNCTION, "lambda:PublishVersion", "lambda:UpdateFunctionConfiguration")
        + on(f"{_FUNCTION}:*", "lambda:GetFunctionConfiguration"),
        delete=on(_FUNCTION, "lambda:DeleteFunction"),
        given={
            "kms_key_arn": _KEY,
            "reserved_concurrent_executions": on(_FUNCTION, "lambda:PutFunctionConcurrency"),
            "tags_all": on(_FUNCTION, "lambda:TagResource"),
            "vpc_config": on("*", "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs"),
        },
        changed={
            "role": on("{role}", "iam:PassRole", iam_PassedToService="lambda.amazonaws.com"),
            "source_code_hash": on(_FUNCTION, "lambda:UpdateFunctionCode"),
        },
        dropped={
            "reserved_concurrent_executions": on(_FUNCTION, "lambda:DeleteFunctionConcurrency"),
            "tags_all": on(_FUNCTION, "lambda:UntagResource"),
        },
    ),
    "aws_lambda_function_event_invoke_config": Kind(
        read=on(_QUALIFIED, "lambda:GetFunctionEventInvokeConfig"),
        create=on(_QUALIFIED, "lambda:PutFunctionEventInvokeConfig"),
        update=on(_QUALIFIED, "lambda:PutFunctionEventInvokeConfig"),
        delete=on(_QUALIFIED, "lambda:DeleteFunctionEventInvokeConfig"),
    ),
    "aws_lambda_permission": Kind(
        read=on(_QUALIFIED, "lambda:GetPolicy"),
        create=on(_QUALIFIED, "lambda:AddPermission"),
        delete=on(_QUALIFIED, "lambda:GetPolicy", "lambda:RemovePermission"),
    ),
    "aws_route53_record": Kind(
        read=on(_ZONE, "route53:GetHostedZone", "route53:ListResourceRecordSets"),
        create=_RECORD,
        update=_RECORD,
        delete=_RECORD + on(_ZONE, "route53:ListResourceRecordSets"),
    ),
    "aws_ssm_parameter": Kind(
        read=on(_PARAMETER, "ssm:GetParameter", "ssm:ListTagsForResource")
        + on(f"arn:{{partition}}:ssm:{_HERE}:*", "ssm:DescribeParameters"),
        create=on(_PARAMETER, "ssm:PutParameter"),
        update=on(_PARAMETER, "ssm:PutParameter"),
        delete=on(_PARAMETER, "ssm:DeleteParameter"),
        given={"tags_all": on(_PARAMETER, "ssm:AddTagsToResource")},
        dropped={"tags_all": on(_PARAMETER, "ssm:RemoveTagsFromResource")},
    ),
}

#: The state in S3 and its lock: https://developer.hashicorp.com/terraform/language/backend/s3#permissions-required
STATE: Needs = (
    *on("arn:{partition}:s3:::{bucket}", "s3:ListBucket"),
    *on("arn:{partition}:s3:::{bucket}/{key}", "s3:GetObject", "s3:PutObject"),
    *on("arn:{partition}:s3:::{bucket}/{key}.tflock", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"),
)
