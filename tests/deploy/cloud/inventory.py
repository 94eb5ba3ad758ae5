"""What an account holds, as far as this stack makes such things."""

from collections.abc import Callable, Iterator
from typing import Any

import boto3

REGION = "eu-central-1"


def client(service: str, url: str, region: str = REGION) -> Any:
    return boto3.client(
        service, endpoint_url=url, region_name=region, aws_access_key_id="testing", aws_secret_access_key="testing"
    )


def _every_parameter(aws: Any) -> Iterator[dict[str, Any]]:
    """SSM tells ten at a time."""
    for page in aws.get_paginator("describe_parameters").paginate():
        yield from page["Parameters"]


_LISTS: dict[str, tuple[str, Callable[[Any], list[str]]]] = {
    "functions": ("lambda", lambda aws: [each["FunctionName"] for each in aws.list_functions()["Functions"]]),
    "apis": ("apigateway", lambda aws: [each["name"] for each in aws.get_rest_apis()["items"]]),
    "domains": ("apigateway", lambda aws: [each["domainName"] for each in aws.get_domain_names().get("items", [])]),
    "log groups": ("logs", lambda aws: [each["logGroupName"] for each in aws.describe_log_groups()["logGroups"]]),
    "roles": ("iam", lambda aws: [each["RoleName"] for each in aws.list_roles()["Roles"]]),
    "policies": ("iam", lambda aws: [each["PolicyName"] for each in aws.list_policies(Scope="Local")["Policies"]]),
    "rules": ("events", lambda aws: [each["Name"] for each in aws.list_rules()["Rules"]]),
    "parameters": ("ssm", lambda aws: [each["Name"] for each in _every_parameter(aws)]),
    "alarms": ("cloudwatch", lambda aws: [each["AlarmName"] for each in aws.describe_alarms()["MetricAlarms"]]),
    "dashboards": (
        "cloudwatch",
        lambda aws: [each["DashboardName"] for each in aws.list_dashboards()["DashboardEntries"]],
    ),
}


def inventory(url: str) -> dict[str, list[str]]:
    """Names, by kind; kinds that there are none of are left out."""
    found = {kind: sorted(names(client(service, url))) for kind, (service, names) in _LISTS.items()}
    return {kind: names for kind, names in found.items() if names}
