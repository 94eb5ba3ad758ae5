"""What IAM is asked before AWS does what a call wants: actions, each with the resource and what conditions look at.

Where IAM calls an action as the API calls the operation, nothing stands here. Sources of the rest:
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from tests.deploy.cloud.aws_calls import Call
from tests.deploy.cloud.remembered_tags import RememberedTags, requested
from tools.permissions.policy import Request

REGION, ACCOUNT = "eu-central-1", "123456789012"

#: IAM's names where they are not the API's: https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
_ACTIONS = {"s3:HeadObject": "s3:GetObject", "s3:ListObjectsV2": "s3:ListBucket", "s3:HeadBucket": "s3:ListBucket"}
#: Asked by everybody, allowed to everybody: https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
_FREE = {"sts:GetCallerIdentity", "sts:AssumeRole"}


def iam_requests(calls: Iterable[Call]) -> list[Request]:
    """Every request to IAM, in order. A role's boundary and a resource's tags are remembered from earlier calls."""
    boundaries: dict[str, str] = {}
    tags = RememberedTags()
    found: list[Request] = []
    for call in calls:
        if call.given.get("PermissionsBoundary"):
            boundaries[call.given["RoleName"]] = call.given["PermissionsBoundary"]
        found.extend(_requests(call, boundaries, tags))
    return found


def _requests(call: Call, boundaries: Mapping[str, str], tags: RememberedTags) -> Iterator[Request]:
    if call.service == "apigateway":
        yield from _api_gateway(call, tags)
        return
    action = f"{call.service}:{call.operation}"
    action = _ACTIONS.get(action, action)
    if action in _FREE:
        return
    if call.operation == "GetParameters":
        yield from (Request(action, _parameter(name)) for name in call.given["Names"])
        return
    resource = _RESOURCES[call.service](call)
    if call.service == "logs":
        yield from _logs_requests(call, action, resource, tags)
        return
    if call.operation == "ChangeResourceRecordSets":
        key = "route53:ChangeResourceRecordSetsNormalizedRecordNames"
        yield from (Request(action, resource, {key: name.rstrip(".")}) for name in call.given["Names"])
        return
    bounded = boundaries.get(call.given.get("RoleName", ""))
    yield Request(action, resource, {"iam:PermissionsBoundary": bounded} if bounded else {})
    yield from _besides(call, action, resource)


def _logs_requests(call: Call, action: str, resource: str, tags: RememberedTags) -> Iterator[Request]:
    """Groups are told apart by their tags where their names are not known before."""
    given, group = call.given.get("tags") or {}, _untailed(resource)
    context = tags.of(group) | requested(given)
    yield Request(action, resource, context)
    yield from (Request(each.action, each.resource, context) for each in _besides(call, action, resource))
    match call.operation:
        case "DeleteLogGroup":
            tags.forget(group)
        case "UntagResource":
            tags.drop(group, call.given["tagKeys"])
        case _:
            tags.add(group, given)


def _besides(call: Call, action: str, resource: str) -> Iterator[Request]:
    """What a parameter wants beside the operation itself."""
    if action in _TAGGED and any(key.startswith(("Tags", "tags")) for key in call.given):
        yield Request(_TAGGED[action], _untailed(resource))
    if action in {"lambda:CreateFunction", "lambda:UpdateFunctionConfiguration"} and "Role" in call.given:
        yield Request("iam:PassRole", call.given["Role"], {"iam:PassedToService": "lambda.amazonaws.com"})


#: Tags given at the creation need the right to tag: the "Dependent actions" of each service's page.
_TAGGED = {
    "lambda:CreateFunction": "lambda:TagResource",
    "logs:CreateLogGroup": "logs:TagResource",
    "events:PutRule": "events:TagResource",
    "iam:CreateRole": "iam:TagRole",
    "ssm:PutParameter": "ssm:AddTagsToResource",
    "cloudwatch:PutMetricAlarm": "cloudwatch:TagResource",
}


def _api_gateway(call: Call, tags: RememberedTags) -> Iterator[Request]:
    """Actions are HTTP's verbs, resources its paths; tags are put apart.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonapigatewaymanagement.html
    Tagging asks for PATCH of the resource as well, seen on AWS: https://github.com/iann0036/iam-dataset/pull/39
    """
    given, path = call.given.get("tags") or {}, call.path
    context = requested(given)
    yield Request(f"apigateway:{call.method}", _api_gateway_arn(path), context | tags.of_api(path))
    if call.method == "POST" and given:
        yield Request("apigateway:PUT", _api_gateway_arn("/tags/new"), context)
        tags.made(path, str(call.given.get("stageName", "")), given)
    if path.startswith("/tags/"):
        tagged = unquote(path.removeprefix("/tags/"))
        tagged_path = tagged.partition("::")[2]
        if call.method == "PUT":
            yield Request("apigateway:PATCH", tagged, tags.of_api(tagged_path))
            tags.add(tagged_path, given)
        elif call.method == "DELETE":
            tags.drop(tagged_path, [call.given["tagKeys"]])


def _api_gateway_arn(path: str) -> str:
    return f"arn:aws:apigateway:{REGION}::{path}"


def _lambda(call: Call) -> str:
    """A qualifier, of an alias or a version, is part of the ARN that is asked about."""
    if "Resource" in call.given:
        return str(call.given["Resource"])
    if "FunctionName" not in call.given:  # the account's settings
        return "*"
    name = call.given["FunctionName"].rpartition(":function:")[2].partition(":")[0]
    qualifier = call.given.get("Qualifier")
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}" + (f":{qualifier}" if qualifier else "")


def _iam(call: Call) -> str:
    given = call.given
    return given.get("PolicySourceArn") or given.get("PolicyArn") or f"arn:aws:iam::{ACCOUNT}:role/{given['RoleName']}"


def _logs(call: Call) -> str:
    """Tags are a group's own; all else asks with a tail for the stream, for which a policy's ARN ends with ``:*``.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/iam-access-control-overview-cwl.html
    """
    if "resourceArn" in call.given:
        return str(call.given["resourceArn"])
    name = "" if call.operation == "DescribeLogGroups" else call.given["logGroupName"]
    return f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{name}:log-stream:"


def _untailed(resource: str) -> str:
    return resource.removesuffix(":log-stream:")


def _events(call: Call) -> str:
    name = call.given.get("Name") or call.given.get("Rule")
    return str(call.given.get("ResourceARN") or f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{name}")


def _ssm(call: Call) -> str:
    name = call.given.get("Name") or call.given.get("ResourceId")
    return _parameter(name) if name else f"arn:aws:ssm:{REGION}:{ACCOUNT}:*"


def _parameter(name: str) -> str:
    return f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/{name.lstrip('/')}"


def _cognito(call: Call) -> str:
    """Everything of a pool is asked for by the pool; a list of pools is of all of them."""
    pool = call.given.get("UserPoolId")
    return f"arn:aws:cognito-idp:{REGION}:{ACCOUNT}:userpool/{pool}" if pool else "*"


def _cloudwatch(call: Call) -> str:
    """A list of alarms is of all of them, and a dashboard of no region."""
    given = call.given
    if "Dashboard" in call.operation:
        name = given.get("DashboardName") or _first(given, r"DashboardNames\.member\.\d+")
        return f"arn:aws:cloudwatch::{ACCOUNT}:dashboard/{name}"
    if "ResourceARN" in given:
        return str(given["ResourceARN"])
    name = (
        "*"
        if call.operation == "DescribeAlarms"
        else given.get("AlarmName") or _first(given, r"AlarmNames\.member\.\d+")
    )
    return f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{name}"


def _first(given: Mapping[str, Any], pattern: str) -> str:
    return next(str(value) for key, value in given.items() if re.fullmatch(pattern, key))


def _route53(call: Call) -> str:
    """A zone or a change, whose ids are of no region and no account."""
    kind = "change" if call.operation == "GetChange" else "hostedzone"
    return f"arn:aws:route53:::{kind}/{call.given.get('HostedZoneId') or call.given.get('Id')}"


def _s3(call: Call) -> str:
    return "arn:aws:s3:::" + "/".join(call.given[part] for part in ("Bucket", "Key") if part in call.given)


_RESOURCES: Mapping[str, Callable[[Call], str]] = {
    "cloudwatch": _cloudwatch,
    "cognito-idp": _cognito,
    "events": _events,
    "iam": _iam,
    "lambda": _lambda,
    "logs": _logs,
    "route53": _route53,
    "s3": _s3,
    "ssm": _ssm,
}
