"""What a stack is made of, whoever made it, in words that can be compared: asked of AWS, not of who made it."""

import json
from typing import Any

from tests.deploy.cloud.inventory import client

Json = dict[str, Any]
NONE = "none"
_AUTHORIZER = "x-amazon-apigateway-authorizer"


def stack_facts(url: str, name: str) -> dict[str, str]:
    """The facts of the account's only API and the function of that name, which NAME stands for in them."""
    function = client("lambda", url).get_function_configuration(FunctionName=name)
    function["Tags"] = client("lambda", url).list_tags(Resource=function["FunctionArn"])["Tags"]
    found = _of_function(function) | _of_calls(url, name) | _of_role(url, function) | _of_api(url) | _beside(url, name)
    own = {f"{name}-stream": "STREAM", f"{name}-": "", name: "NAME", "STREAM": "NAME-stream"}
    for there, here in own.items():
        found = {what: value.replace(there, here) for what, value in found.items()}
    return found


def _of_function(function: Json) -> dict[str, str]:
    return {
        "function": function["FunctionName"],
        "runtime": function["Runtime"],
        "handler": function["Handler"],
        "processor": ", ".join(function["Architectures"]),
        "memory and timeout": f"{function['MemorySize']} MB, {function['Timeout']} s",
        "variables of the function": ", ".join(sorted(function["Environment"]["Variables"])),
        "traces of the function": function.get("TracingConfig", {}).get("Mode", "PassThrough"),
        "tags of the function": ", ".join(sorted(function["Tags"])) or NONE,
    }


def _of_calls(url: str, name: str) -> dict[str, str]:
    """How the function is called: by whom, and which version."""
    aws = client("lambda", url)
    aliases = aws.list_aliases(FunctionName=name)["Aliases"]
    versions = aws.list_versions_by_function(FunctionName=name)["Versions"]
    concurrency = aws.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions")
    statements = [each for one in ["", *(alias["Name"] for alias in aliases)] for each in _statements(url, name, one)]
    return {
        "alias": ", ".join(alias["Name"] for alias in aliases) or NONE,
        "published versions": "one for each change" if len(versions) > 1 else NONE,
        "executions at once": str(concurrency or "the account's limit"),
        "may call the function": "; ".join(sorted({_caller(each) for each in statements})),
    }


def _statements(url: str, name: str, qualifier: str) -> list[Json]:
    aws, at = client("lambda", url), {"Qualifier": qualifier} if qualifier else {}
    try:
        statements = json.loads(aws.get_policy(FunctionName=name, **at)["Policy"])["Statement"]
    except aws.exceptions.ResourceNotFoundException:
        return []
    qualified = [each["Resource"].partition(f":function:{name}")[2].strip(":") == qualifier for each in statements]
    return [each for each, wanted in zip(statements, qualified, strict=True) if wanted]


def _caller(statement: Json) -> str:
    source = next(iter(next(iter(statement["Condition"].values())).values())).split(":")[-1]
    return f"{statement['Principal']['Service'].partition('.')[0]} {source.partition('/')[2]}"


def _of_role(url: str, function: Json) -> dict[str, str]:
    aws, role = client("iam", url), function["Role"].rpartition("/")[2]
    names = aws.list_role_policies(RoleName=role)["PolicyNames"]
    documents = [aws.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for name in names]
    statements = [statement for document in documents for statement in document["Statement"]]
    return {
        "role": role,
        "role may": ", ".join(sorted(action for statement in statements for action in statement["Action"])),
    }


def _of_api(url: str) -> dict[str, str]:
    aws = client("apigateway", url)
    (api,) = aws.get_rest_apis()["items"]
    (stage,) = aws.get_stages(restApiId=api["id"])["item"]
    exported = aws.get_export(restApiId=api["id"], stageName=stage["stageName"], exportType="oas30")["body"].read()
    return {"API": api["name"]} | _of_body(json.loads(exported)) | _of_stage(stage)


def _of_body(body: Json) -> dict[str, str]:
    operations = {
        f"{method.upper()} {path}": operation
        for path, methods in sorted(body["paths"].items())
        for method, operation in sorted(methods.items())
    }
    routes = {name: each for name, each in operations.items() if not name.startswith("X-AMAZON")}
    schemes = body.get("securityDefinitions") or body["components"]["securitySchemes"]
    targets = {each["x-amazon-apigateway-integration"]["uri"].partition(":function:")[2] for each in routes.values()}
    return {
        "routes": "; ".join(f"{name} {_guard(each)}" for name, each in routes.items()),
        "a path's other methods": "the function's 405" if len(routes) < len(operations) else "the gateway's 403",
        "authorizer": ", ".join(arn for each in schemes.values() for arn in each[_AUTHORIZER]["providerARNs"]),
        "the API calls": ", ".join(sorted(target.partition("/")[0] for target in targets)),
        "gateway's own answers": _answers(body.get("x-amazon-apigateway-gateway-responses", {})),
        "media types taken as bytes": ", ".join(body.get("x-amazon-apigateway-binary-media-types", [])),
    }


def _guard(operation: Json) -> str:
    scopes = [scope for rule in operation.get("security", []) for each in rule.values() for scope in each]
    return f"with {', '.join(scopes)}" if scopes else "open"


def _answers(responses: Json) -> str:
    return f"problem+json for {len(responses)} types" if responses else "AWS's own"


def _of_stage(stage: Json) -> dict[str, str]:
    settings = stage.get("methodSettings", {}).get("*/*", {})
    return {
        "stage": stage["stageName"],
        "throttle": f"{settings['throttlingRateLimit']:g} a second" if settings else "the account's limit",
        "metrics of the stage": "on" if settings.get("metricsEnabled") else "off",
        "access log": "JSON" if stage.get("accessLogSettings") else NONE,
        "traces of the stage": "on" if stage.get("tracingEnabled") else "off",
    }


def _beside(url: str, name: str) -> dict[str, str]:
    alarms = client("cloudwatch", url).describe_alarms()["MetricAlarms"]
    rules = client("events", url).list_rules()["Rules"]
    functions = client("lambda", url).list_functions()["Functions"]
    outputs = client("ssm", url).get_parameters_by_path(Path="/lambda-router", Recursive=True)["Parameters"]
    groups = client("logs", url).describe_log_groups()["logGroups"]
    return {
        "functions": ", ".join(sorted(each["FunctionName"] for each in functions)),
        "alarms": str(len(alarms) or NONE),
        "warm event": ", ".join(rule["ScheduleExpression"] for rule in rules) or NONE,
        "outputs in SSM": str(len([each for each in outputs if "/outputs/" in each["Name"]]) or NONE),
        "log groups": _kept(groups) if groups else "Lambda's own, for ever",
    }


def _kept(groups: list[Json]) -> str:
    days = sorted({str(group.get("retentionInDays", "for ever")) for group in groups})
    return f"{len(groups)}, kept {', '.join(days)} days"
