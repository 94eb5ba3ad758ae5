"""A stack that is good in every way, with the AWS that it is for."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.cloud.account_wide import let_gateway_log, point_gateway_at
from tests.deploy.cloud.inventory import REGION
from tests.deploy.cloud.user_pool import make_pool
from tests.deploy.kit.doctor_patient import BOUNDARY, BUCKET, PARAMETER, Patient, client, new_patient
from tools.doctor.gateway import ROLE

POOL_NAME = "doctor"
AUTHORITY, CLIENTS = "/lambda-router/doctor/redis-authority", "/lambda-router/doctor/pages-client"


@pytest.fixture
def pool(aws_url: str) -> Iterator[dict[str, str]]:
    made = make_pool(aws_url, POOL_NAME)
    yield made
    client("cognito-idp", aws_url).delete_user_pool(UserPoolId=made["id"])


@pytest.fixture
def account(aws_url: str) -> Iterator[None]:
    """What docs/deploy.md has made before the stack."""
    s3, ssm, iam = client("s3", aws_url), client("ssm", aws_url), client("iam", aws_url)
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    ssm.put_parameter(Name=PARAMETER, Type="SecureString", Value="redis://example.com")
    statement = {"Effect": "Allow", "Action": "ssm:GetParameter", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    policy = iam.create_policy(PolicyName=BOUNDARY, PolicyDocument=document)
    let_gateway_log(lambda service: client(service, aws_url))
    yield
    point_gateway_at(lambda service: client(service, aws_url), "")
    delete_role(iam, ROLE)
    iam.delete_policy(PolicyArn=policy["Policy"]["Arn"])
    ssm.delete_parameters(Names=[PARAMETER, AUTHORITY, CLIENTS])
    for each in s3.list_object_versions(Bucket=BUCKET).get("Versions", []):
        s3.delete_object(Bucket=BUCKET, Key=each["Key"], VersionId=each["VersionId"])
    for each in s3.list_object_versions(Bucket=BUCKET).get("DeleteMarkers", []):
        s3.delete_object(Bucket=BUCKET, Key=each["Key"], VersionId=each["VersionId"])
    s3.delete_bucket(Bucket=BUCKET)


def delete_role(iam: Any, name: str) -> None:
    for each in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]:
        iam.detach_role_policy(RoleName=name, PolicyArn=each["PolicyArn"])
    iam.delete_role(RoleName=name)


@pytest.fixture
def served(terraform: None, tmp_path: Path, aws_url: str, pool: dict[str, str], account: None) -> Patient:
    """With the AWS that it is for."""
    return new_patient(tmp_path, aws_url, pool)
