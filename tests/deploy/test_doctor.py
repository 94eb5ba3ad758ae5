"""``make doctor`` with AWS: what AWS would refuse is named before a deploy, and mended by the printed command."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chalicelib.user_pool import issuers_of
from tests.contract.repository import ROOT
from tests.deploy.cloud.account_wide import let_gateway_log, point_gateway_at
from tests.deploy.cloud.inventory import REGION
from tests.deploy.cloud.user_pool import make_pool
from tests.deploy.kit.doctor_patient import BOUNDARY, BUCKET, KEY, PARAMETER, Patient, client, new_patient
from tests.tls import write_certificate
from tools.doctor.__main__ import OFFLINE, ONLINE, examine
from tools.doctor.gateway import POLICY, ROLE, TRUST
from tools.doctor.redirects import LOGIN_REDIRECTS
from tools.stack.findings import Status

POOL_NAME = "doctor"
AUTHORITY, CLIENTS = "/lambda-router/doctor/redis-authority", "/lambda-router/doctor/pages-client"

pytestmark = pytest.mark.release


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
    _delete_role(iam, ROLE)
    iam.delete_policy(PolicyArn=policy["Policy"]["Arn"])
    ssm.delete_parameters(Names=[PARAMETER, AUTHORITY, CLIENTS])
    for each in s3.list_object_versions(Bucket=BUCKET).get("Versions", []):
        s3.delete_object(Bucket=BUCKET, Key=each["Key"], VersionId=each["VersionId"])
    for each in s3.list_object_versions(Bucket=BUCKET).get("DeleteMarkers", []):
        s3.delete_object(Bucket=BUCKET, Key=each["Key"], VersionId=each["VersionId"])
    s3.delete_bucket(Bucket=BUCKET)


def _delete_role(iam: Any, name: str) -> None:
    for each in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]:
        iam.detach_role_policy(RoleName=name, PolicyArn=each["PolicyArn"])
    iam.delete_role(RoleName=name)


@pytest.fixture
def served(terraform: None, tmp_path: Path, aws_url: str, pool: dict[str, str], account: None) -> Patient:
    """With the AWS that it is for."""
    return new_patient(tmp_path, aws_url, pool)


@pytest.mark.smoke
def test_a_good_stack_has_nothing_wrong(served: Patient) -> None:
    findings = list(examine(served.stack, (*OFFLINE, *ONLINE)))

    assert [finding for finding in findings if not finding.ok] == []
    assert len(findings) >= 20


def _wrong_client(patient: Patient) -> None:
    patient.set("cognito_aud", "1h57kf5cpq17m0eml12EXAMPLE")


def _wrong_arn(patient: Patient) -> None:
    patient.set("cognito_user_pool_arn", patient.pool["arn"].replace("123456789012", "999999999999"))


def _updated_issuer(patient: Patient) -> None:
    client("cognito-idp", patient.url).update_user_pool(
        UserPoolId=patient.pool["id"], IssuerConfiguration={"Type": "UPDATED"}, MfaConfiguration="OPTIONAL"
    )


def _no_server(patient: Patient) -> None:
    client("cognito-idp", patient.url).create_user_pool(PoolName="bare")
    patient.set("router_scope", "other-router/jobs")
    _allow(patient, "other-router/jobs")


def _allow(patient: Patient, scope: str) -> None:
    client("cognito-idp", patient.url).update_user_pool_client(
        UserPoolId=patient.pool["id"],
        ClientId=patient.pool["client"],
        AllowedOAuthFlows=["client_credentials"],
        AllowedOAuthScopes=[scope],
        AllowedOAuthFlowsUserPoolClient=True,
    )


def _may_not_ask(patient: Patient) -> None:
    _allow(patient, "email")


def _sign_in(patient: Patient, **changes: Any) -> None:
    """A client for people that lacks something."""
    good: dict[str, Any] = {
        "ClientName": "login",
        "GenerateSecret": False,
        "AllowedOAuthFlows": ["code"],
        "AllowedOAuthFlowsUserPoolClient": True,
        "AllowedOAuthScopes": ["openid", "lambda-router/jobs"],
        "CallbackURLs": list(LOGIN_REDIRECTS),
        "SupportedIdentityProviders": ["COGNITO"],
    }
    pools = client("cognito-idp", patient.url)
    made = pools.create_user_pool_client(UserPoolId=patient.pool["id"], **good | changes)["UserPoolClient"]
    patient.set("cognito_login_client_id", made["ClientId"])


def _good_sign_in(patient: Patient) -> None:
    _sign_in(patient)
    patient.set("cognito_login_client_id", "1h57kf5cpq17m0eml12EXAMPLE")


def _sign_in_with_a_secret(patient: Patient) -> None:
    _sign_in(patient)
    patient.set("cognito_login_client_id", patient.pool["client"])


def _sign_in_without_a_grant(patient: Patient) -> None:
    _sign_in(patient, AllowedOAuthFlows=[], AllowedOAuthFlowsUserPoolClient=False)


def _sign_in_elsewhere(patient: Patient) -> None:
    _sign_in(patient, CallbackURLs=[*LOGIN_REDIRECTS[:4], "https://app.example.com/"])


def _sign_in_without_the_scope(patient: Patient) -> None:
    _sign_in(patient, AllowedOAuthScopes=["openid"])


def _no_parameter(patient: Patient) -> None:
    client("ssm", patient.url).delete_parameter(Name=PARAMETER)


def _plain_parameter(patient: Patient) -> None:
    _no_parameter(patient)
    client("ssm", patient.url).put_parameter(Name=PARAMETER, Type="String", Value="redis://example.com")


def _another_key(patient: Patient) -> None:
    _no_parameter(patient)
    key = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
    client("ssm", patient.url).put_parameter(
        Name=PARAMETER, Type="SecureString", Value="redis://example.com", KeyId=key
    )


def _authority(patient: Patient, text: str | None) -> None:
    """An authority of one's own in its parameter; None: the parameter is not there. A good one lies beside."""
    patient.set("redis_ca_parameter", AUTHORITY)
    certificate, _ = write_certificate(patient.root, days=3650)
    certificate.rename(patient.root / "authority.pem")
    if text is not None:
        _put(patient, AUTHORITY, text)


def _put(patient: Patient, name: str, value: str) -> None:
    client("ssm", patient.url).put_parameter(Name=name, Type="String", Value=value, Overwrite=True)


def _no_authority(patient: Patient) -> None:
    _authority(patient, None)


def _no_certificate(patient: Patient) -> None:
    _authority(patient, "rediss://example.com")


def _with_its_key(patient: Patient) -> None:
    certificate, key = write_certificate(patient.root)
    _authority(patient, certificate.read_text() + key.read_text())


def _ends_soon(patient: Patient) -> None:
    certificate, _ = write_certificate(patient.root)
    _authority(patient, certificate.read_text())


def _no_further_clients(patient: Patient) -> None:
    patient.set("cognito_aud_parameter", CLIENTS)
    client("cognito-idp", patient.url).create_user_pool_client(UserPoolId=patient.pool["id"], ClientName="pages")


def _further_clients_of_another_pool(patient: Patient) -> None:
    _no_further_clients(patient)
    _put(patient, CLIENTS, "1h57kf5cpq17m0eml12EXAMPLE")


def _too_much(patient: Patient) -> None:
    patient.set("reserved_concurrency", 950)


def _no_log_role(patient: Patient) -> None:
    _log_role_that_is_gone(patient)
    point_gateway_at(lambda service: client(service, patient.url), "")


def _log_role_that_is_gone(patient: Patient) -> None:
    """Its owner destroyed it, and the account's setting stayed."""
    _delete_role(client("iam", patient.url), ROLE)


def _log_role_of_lambda(patient: Patient) -> None:
    trust = json.dumps(TRUST).replace("apigateway", "lambda")
    client("iam", patient.url).update_assume_role_policy(RoleName=ROLE, PolicyDocument=trust)


def _log_role_without_policy(patient: Patient) -> None:
    client("iam", patient.url).detach_role_policy(RoleName=ROLE, PolicyArn=f"arn:aws:iam::aws:policy/{POLICY}")


def _not_versioned(patient: Patient) -> None:
    client("s3", patient.url).put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})


#: What is done, the thing that is then named, and what is said of it. Each is mended by the printed command.
AWS_FAULTS: dict[str, tuple[Callable[[Patient], None], str, str]] = {
    "a wrong COGNITO_AUD": (_wrong_client, "client 1h57kf5cpq17m0eml12EXAMPLE of COGNITO_AUD", "has no such client"),
    "an ARN of another account": (_wrong_arn, "user pool's ARN", "999999999999"),
    "an issuer that API Gateway refuses": (_updated_issuer, "issuer type", "UPDATED"),
    "a scope of no resource server": (_no_server, "scope", "no resource server 'other-router'"),
    "a client that may not ask": (_may_not_ask, "scope of client", "email"),
    "a sign-in client that is none": (_good_sign_in, "sign-in client", "has no such client"),
    "a sign-in client with a secret": (_sign_in_with_a_secret, "sign-in client", "with a secret"),
    "a sign-in client without a grant": (_sign_in_without_a_grant, "its grant", "none"),
    "a sign-in client that returns elsewhere": (_sign_in_elsewhere, "its redirects", LOGIN_REDIRECTS[4]),
    "a sign-in client that may not ask": (_sign_in_without_the_scope, "its scope", "openid"),
    "no Redis parameter": (_no_parameter, "Redis parameter", f"no {PARAMETER}"),
    "a Redis parameter in the clear": (_plain_parameter, "Redis parameter", "is a String"),
    "a key that the function may not use": (_another_key, "Redis parameter", "is encrypted with arn:aws:kms"),
    "no authority": (_no_authority, "Redis authority", f"no {AUTHORITY}"),
    "no certificate in the authority": (_no_certificate, "Redis authority", "no certificate"),
    "an authority with its key": (_with_its_key, "Redis authority", "a private key"),
    "an authority that ends soon": (_ends_soon, "Redis authority", "the last ends"),
    "no further clients": (_no_further_clients, "further clients", f"no {CLIENTS}"),
    "further clients of another pool": (_further_clients_of_another_pool, "further clients", "EXAMPLE"),
    "too much concurrency": (_too_much, "reserved concurrency", "950 + 50 of 1000 executions"),
    "no log role": (_no_log_role, "API Gateway's log role", "none"),
    "a log role that is gone": (_log_role_that_is_gone, "API Gateway's log role", "does not exist"),
    "a log role of Lambda": (_log_role_of_lambda, "API Gateway's log role", "does not trust apigateway.amazonaws.com"),
    "a log role without its policy": (
        _log_role_without_policy,
        "API Gateway's log role",
        "has no permission for logs:CreateLogGroup",
    ),
    "a state without versions": (_not_versioned, "state's versions", "suspended"),
}


@pytest.mark.parametrize(("harm", "thing", "said"), AWS_FAULTS.values(), ids=AWS_FAULTS)
def test_what_aws_would_refuse_is_named_and_mended_by_the_printed_command(
    served: Patient, harm: Callable[[Patient], None], thing: str, said: str
) -> None:
    harm(served)

    faults = served.faults(ONLINE)

    assert len(faults) == 1, faults
    assert faults[0].thing.startswith(thing)
    assert said in faults[0].found
    assert faults[0].why
    served.mend(faults[0])
    assert served.faults(ONLINE) == []


def test_a_wrong_client_is_told_those_there_are(served: Patient) -> None:
    _wrong_client(served)

    fault = served.faults(ONLINE)[0]

    assert fault.found == f"user pool {served.pool['id']} has no such client"
    assert fault.wanted == f"one of {served.pool['client']} (caller)"
    assert "COGNITO_AUD is compared with the client_id of each token" in fault.why


def test_a_sign_in_client_keeps_its_other_redirects(served: Patient) -> None:
    _sign_in_elsewhere(served)

    served.mend(served.faults(ONLINE)[0])

    pools, client_id = client("cognito-idp", served.url), served.stack.text("cognito_login_client_id")
    told = pools.describe_user_pool_client(UserPoolId=served.pool["id"], ClientId=client_id)["UserPoolClient"]
    assert set(told["CallbackURLs"]) == {*LOGIN_REDIRECTS, "https://app.example.com/"}


def test_a_pool_keeps_its_other_options_when_its_issuer_is_set_back(served: Patient) -> None:
    _updated_issuer(served)

    served.mend(served.faults(ONLINE)[0])

    told = client("cognito-idp", served.url).describe_user_pool(UserPoolId=served.pool["id"])["UserPool"]
    assert told["IssuerConfiguration"] == {"Type": "ORIGINAL"}
    assert told["MfaConfiguration"] == "OPTIONAL"


@pytest.mark.parametrize("kind", ["ORIGINAL", "UPDATED"])
def test_either_issuer_of_the_pool_is_one_that_the_function_takes(served: Patient, kind: str) -> None:
    client("cognito-idp", served.url).update_user_pool(UserPoolId=served.pool["id"], IssuerConfiguration={"Type": kind})
    found = {finding.thing: finding for finding in examine(served.stack, ONLINE)}

    assert (found["issuer"].ok, found["issuer"].found) == (True, issuers_of(served.pool["id"])[kind])
    assert found["signing keys"].ok


def test_a_missing_scope_is_added_to_those_there_are(served: Patient) -> None:
    served.set("router_scope", "lambda-router/admin")

    fault = served.faults(ONLINE)[0]

    assert (fault.thing, fault.found, fault.wanted) == ("scope", "lambda-router/jobs", "lambda-router/admin")
    assert '"ScopeName": "jobs"' in fault.fix
    assert '"ScopeName": "admin"' in fault.fix


def test_a_key_is_asked_for_its_arn_where_the_parameter_names_it_otherwise(served: Patient) -> None:
    key = client("kms", served.url).create_key()["KeyMetadata"]
    client("ssm", served.url).put_parameter(
        Name=PARAMETER, Type="SecureString", Value="redis://example.com", KeyId=key["KeyId"], Overwrite=True
    )

    assert f'redis_kms_key_arn = "{key["Arn"]}"' in served.faults(ONLINE)[0].fix


def test_no_secret_of_a_client_is_printed(served: Patient) -> None:
    _may_not_ask(served)
    cognito = client("cognito-idp", served.url)
    told = cognito.describe_user_pool_client(UserPoolId=served.pool["id"], ClientId=served.pool["client"])

    fault = served.faults(ONLINE)[0]

    assert told["UserPoolClient"]["ClientSecret"] not in fault.fix
    assert '"ClientName": "caller"' in fault.fix


def test_a_pool_that_is_gone_is_replaced_by_one_there_is(served: Patient) -> None:
    served.set("cognito_user_pool_id", "eu-central-1_Gone00000")
    served.set("cognito_user_pool_arn", served.pool["arn"].rpartition("/")[0] + "/eu-central-1_Gone00000")

    fault = next(fault for fault in served.faults(ONLINE) if fault.thing == "user pool")

    assert fault.found == "no eu-central-1_Gone00000 in this account and region"
    assert f"{served.pool['id']} ({POOL_NAME})" in fault.wanted
    assert fault.fix.startswith("sed -i ")


def test_a_lock_left_behind_is_told_with_who_and_when(served: Patient) -> None:
    held = {"ID": "1234-5678", "Operation": "OperationTypeApply", "Who": "me@laptop", "Created": "2026-11-24T08:00:00Z"}
    client("s3", served.url).put_object(Bucket=BUCKET, Key=f"{KEY}.tflock", Body=json.dumps(held))

    fault = served.faults(ONLINE)[0]

    assert fault.found == "held by me@laptop since 2026-11-24T08:00:00Z, for OperationTypeApply"
    assert fault.fix == "terraform -chdir=terraform force-unlock -force 1234-5678"


def test_a_bucket_that_is_not_there_is_made_by_the_printed_command(served: Patient) -> None:
    client("s3", served.url).delete_bucket(Bucket=BUCKET)

    fault = served.faults(ONLINE)[0]

    assert fault.found == f"no bucket {BUCKET}"
    served.mend(fault)
    assert [each.thing for each in served.faults(ONLINE)] == ["state's versions"]


def test_a_boundary_that_is_not_there_is_named(served: Patient) -> None:
    served.set("permissions_boundary_arn", "arn:aws:iam::123456789012:policy/gone")

    fault = served.faults(ONLINE)[0]

    assert fault.found == "no policy arn:aws:iam::123456789012:policy/gone"


def test_programs_get_one_object_and_a_status(served: Patient) -> None:
    _wrong_client(served)
    environ = served.environ | {
        "AWS_ENDPOINT_URL": served.url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
    }
    command = [sys.executable, "-m", "tools.doctor", "--json", "--folder", str(served.root / "terraform")]

    ran = subprocess.run(command, cwd=ROOT, env=environ, check=False, capture_output=True, text=True)

    said = json.loads(ran.stdout)
    assert (ran.returncode, said["status"]) == (Status.DIFFERS, "differs"), ran.stderr
    wrong = [finding for finding in said["findings"] if not finding["ok"]]
    assert [finding["thing"] for finding in wrong] == ["client 1h57kf5cpq17m0eml12EXAMPLE of COGNITO_AUD"]
    assert wrong[0]["fix"].startswith("sed -i ")
