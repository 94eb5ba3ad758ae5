"""``make doctor``: each thing that would make a deploy fail is named before it, and mended by the printed command."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, NoCredentialsError

from tests.contract.repository import ROOT
from tests.deploy import inventory, printed
from tests.deploy.inventory import REGION
from tools.doctor import OFFLINE, ONLINE, Check, examine
from tools.doctor_stack import Stack
from tools.findings import Finding, Status, status_of
from tools.settings_workflows import with_settings

BUCKET, KEY = "doctor-state", "lambda-router/doctor.tfstate"
PARAMETER = "/lambda-router/doctor/redis-url"
POOL_NAME = "doctor"
BOUNDARY = "lambda-router-doctor-boundary"
client = cache(inventory.client)


@pytest.fixture
def pool(aws_url: str) -> Iterator[dict[str, str]]:
    """A user pool as docs/contract.md wants it: a resource server, a client that may ask for its scope."""
    cognito = client("cognito-idp", aws_url)
    made = cognito.create_user_pool(PoolName=POOL_NAME)["UserPool"]
    scopes = [{"ScopeName": "jobs", "ScopeDescription": "Send and read jobs"}]
    cognito.create_resource_server(UserPoolId=made["Id"], Identifier="lambda-router", Name="router", Scopes=scopes)
    caller = cognito.create_user_pool_client(
        UserPoolId=made["Id"],
        ClientName="caller",
        GenerateSecret=True,
        AllowedOAuthFlows=["client_credentials"],
        AllowedOAuthScopes=["lambda-router/jobs"],
        AllowedOAuthFlowsUserPoolClient=True,
    )["UserPoolClient"]["ClientId"]
    yield {"id": made["Id"], "arn": made["Arn"], "client": caller}
    cognito.delete_user_pool(UserPoolId=made["Id"])


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
    yield
    iam.delete_policy(PolicyArn=policy["Policy"]["Arn"])
    ssm.delete_parameters(Names=[PARAMETER])
    for each in s3.list_object_versions(Bucket=BUCKET).get("Versions", []):
        s3.delete_object(Bucket=BUCKET, Key=each["Key"], VersionId=each["VersionId"])
    for each in s3.list_object_versions(Bucket=BUCKET).get("DeleteMarkers", []):
        s3.delete_object(Bucket=BUCKET, Key=each["Key"], VersionId=each["VersionId"])
    s3.delete_bucket(Bucket=BUCKET)


class Patient:
    """A copy of the repository's configuration, its stack good in every way, and the account it goes to."""

    def __init__(self, root: Path, url: str, pool: dict[str, str]) -> None:
        self.root, self.url, self.pool = root, url, pool
        self.environ = {"AWS_REGION": REGION, "PATH": "/usr/local/bin:/usr/bin:/bin"}
        self.tfvars = root / "terraform/doctor.auto.tfvars"

    @property
    def stack(self) -> Stack:
        def connect(service: str, region: str) -> Any:
            return client(service, self.url)

        return Stack(self.root, self.root / "terraform", dict(self.environ), connect)

    def faults(self, checks: tuple[Check, ...] = OFFLINE) -> list[Finding]:
        return [finding for finding in examine(self.stack, checks) if not finding.ok]

    def set(self, name: str, value: Any) -> None:
        lines = [line for line in self.tfvars.read_text().splitlines() if not line.startswith(f"{name} ")]
        self.tfvars.write_text("\n".join([*lines, f"{name} = {json.dumps(value)}"]) + "\n")

    def mend(self, finding: Finding) -> None:
        printed.do(finding.fix, self.root, self.url, self.environ)


def _copy(root: Path) -> None:
    for name in (".python-version", ".chalice/config.json", ".env.example"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    (root / "terraform").mkdir()
    for path in [*(ROOT / "terraform").glob("*.tf"), ROOT / "terraform/.terraform.lock.hcl"]:
        shutil.copy(path, root / "terraform")


def _initialise(folder: Path) -> None:
    """What ``terraform init`` leaves behind, as far as it is looked at."""
    config = {"bucket": BUCKET, "key": KEY, "region": REGION, "use_lockfile": True}
    provider = folder / ".terraform/providers/registry.terraform.io/hashicorp/aws/5.100.0/linux_amd64"
    provider.mkdir(parents=True)
    (folder / ".terraform/terraform.tfstate").write_text(json.dumps({"backend": {"type": "s3", "config": config}}))


@pytest.fixture
def patient(terraform: None, tmp_path: Path) -> Patient:
    """For checks that ask no AWS."""
    pool_id = "eu-central-1_AbCdEf123"
    arn = f"arn:aws:cognito-idp:{REGION}:123456789012:userpool/{pool_id}"
    return _patient(tmp_path, "", {"id": pool_id, "arn": arn, "client": "1h57kf5cpq17m0eml12EXAMPLE"})


@pytest.fixture
def served(terraform: None, tmp_path: Path, aws_url: str, pool: dict[str, str], account: None) -> Patient:
    """With the AWS that it is for."""
    return _patient(tmp_path, aws_url, pool)


def _patient(root: Path, url: str, pool: dict[str, str]) -> Patient:
    _copy(root)
    _initialise(root / "terraform")
    patient = Patient(root, url, pool)
    patient.tfvars.touch()
    for name, value in {
        "api_account_role": True,
        "aws_region": REGION,
        "cognito_aud": pool["client"],
        "cognito_user_pool_arn": pool["arn"],
        "cognito_user_pool_id": pool["id"],
        "permissions_boundary_arn": f"arn:aws:iam::123456789012:policy/{BOUNDARY}",
        "redis_url_parameter": PARAMETER,
        "stage_name": "doctor",
    }.items():
        patient.set(name, value)
    return patient


def test_a_good_stack_has_nothing_wrong(served: Patient) -> None:
    findings = list(examine(served.stack, (*OFFLINE, *ONLINE)))

    assert [finding for finding in findings if not finding.ok] == []
    assert len(findings) >= 20


def _wrong_client(patient: Patient) -> None:
    patient.set("cognito_aud", "1h57kf5cpq17m0eml12EXAMPLE")


def _wrong_arn(patient: Patient) -> None:
    patient.set("cognito_user_pool_arn", patient.pool["arn"].replace("123456789012", "999999999999"))


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


def _too_much(patient: Patient) -> None:
    patient.set("reserved_concurrency", 950)


def _no_log_role(patient: Patient) -> None:
    patient.set("api_account_role", False)


def _not_versioned(patient: Patient) -> None:
    client("s3", patient.url).put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})


#: What is done, the thing that is then named, and what is said of it. Each is mended by the printed command.
AWS_FAULTS: dict[str, tuple[Callable[[Patient], None], str, str]] = {
    "a wrong COGNITO_AUD": (_wrong_client, "client 1h57kf5cpq17m0eml12EXAMPLE of COGNITO_AUD", "has no such client"),
    "an ARN of another account": (_wrong_arn, "user pool's ARN", "999999999999"),
    "a scope of no resource server": (_no_server, "scope", "no resource server 'other-router'"),
    "a client that may not ask": (_may_not_ask, "scope of client", "email"),
    "no Redis parameter": (_no_parameter, "Redis parameter", f"no {PARAMETER}"),
    "a Redis parameter in the clear": (_plain_parameter, "Redis parameter", "is a String"),
    "a key that the function may not use": (_another_key, "Redis parameter", "is encrypted with arn:aws:kms"),
    "too much concurrency": (_too_much, "reserved concurrency", "950 of 1000 executions"),
    "no log role": (_no_log_role, "API Gateway's log role", "none"),
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


def _misspelt_value(patient: Patient) -> None:
    patient.set("router_queue_kap", 5)


def _extra_value(patient: Patient) -> None:
    patient.set("colour", "blue")


def _missing_value(patient: Patient) -> None:
    lines = patient.tfvars.read_text().splitlines(keepends=True)
    patient.tfvars.write_text("".join(line for line in lines if not line.startswith("cognito_aud ")))


def _implausible_value(patient: Patient) -> None:
    patient.set("router_queue", "Tiny Llama")


def _misspelt_in_the_environment(patient: Patient) -> None:
    patient.environ["TF_VAR_cognito_regoin"] = REGION


def _overruled_in_the_environment(patient: Patient) -> None:
    patient.environ["TF_VAR_cognito_aud"] = "another"


def _another_client_in_the_shell(patient: Patient) -> None:
    patient.environ["COGNITO_AUD"] = "another"


def _another_client_in_dotenv(patient: Patient) -> None:
    (patient.root / ".env").write_text("COGNITO_AUD=another\n")


def _another_region(patient: Patient) -> None:
    patient.environ["AWS_REGION"] = "us-east-1"


OFFLINE_FAULTS: dict[str, tuple[Callable[[Patient], None], str, str]] = {
    "a misspelt value": (_misspelt_value, "terraform/doctor.auto.tfvars:9", "did you mean router_queue_cap?"),
    "an extra value": (_extra_value, "terraform/doctor.auto.tfvars:9", "colour is no variable"),
    "a missing value": (_missing_value, "variable cognito_aud", '"cognito_aud" is not set'),
    "an implausible value": (_implausible_value, "variable router_queue", "router_queue must match"),
    "a misspelt TF_VAR": (_misspelt_in_the_environment, "TF_VAR_cognito_regoin", "did you mean TF_VAR_cognito_region?"),
    "a TF_VAR that a file overrules": (_overruled_in_the_environment, "TF_VAR_cognito_aud", "'another'"),
    "another client in the shell": (_another_client_in_the_shell, "COGNITO_AUD in the shell", "'another'"),
    "another client in .env": (_another_client_in_dotenv, "COGNITO_AUD in .env", "'another'"),
    "another region in the shell": (_another_region, "AWS_REGION", "us-east-1"),
}


@pytest.mark.parametrize(("harm", "thing", "said"), OFFLINE_FAULTS.values(), ids=OFFLINE_FAULTS)
def test_what_is_wrong_here_is_named_and_mended_by_the_printed_command(
    patient: Patient, harm: Callable[[Patient], None], thing: str, said: str
) -> None:
    harm(patient)

    fault = next(fault for fault in patient.faults() if fault.seen)

    assert fault.thing == thing
    assert said in fault.found
    assert fault.why
    patient.mend(fault)
    assert patient.faults() == []


def test_a_variable_missing_in_the_workflow_is_named_with_its_line(patient: Patient) -> None:
    workflow = patient.root / ".github/workflows/deploy.yml"
    workflow.parent.mkdir(parents=True)
    whole = with_settings("env:\n  # generated: settings\n  # end\n")
    workflow.write_text(whole.replace("  TF_VAR_cognito_aud: ${{ vars.COGNITO_AUD }}\n", ""))

    (fault,) = patient.faults()

    assert (fault.thing, fault.found) == (".github/workflows/deploy.yml:2", "cognito_aud is missing")
    assert fault.fix == "make settings"
    workflow.write_text(with_settings(workflow.read_text()))  # what make settings writes there
    assert patient.faults() == []


def test_a_folder_without_init_is_told_the_whole_command(patient: Patient) -> None:
    shutil.rmtree(patient.root / "terraform/.terraform")

    (fault,) = patient.faults()

    assert fault.found == "not run"
    assert fault.fix == (
        "terraform -chdir=terraform init -backend-config=bucket=YOUR_STATE_BUCKET"
        f" -backend-config=key={KEY} -backend-config=region={REGION}"
    )


def test_a_missing_provider_lock_is_told_the_command_that_writes_it(patient: Patient) -> None:
    (patient.root / "terraform/.terraform.lock.hcl").unlink()

    (fault,) = patient.faults()

    assert fault.found == "no terraform/.terraform.lock.hcl"
    assert fault.fix.startswith("terraform -chdir=terraform providers lock -platform=linux_amd64")


def test_another_python_is_named(patient: Patient) -> None:
    (patient.root / ".python-version").write_text("3.9\n")

    (fault,) = patient.faults()

    assert (fault.thing, fault.wanted) == ("Python", "3.9")


def test_a_value_is_set_where_it_comes_from(patient: Patient) -> None:
    (patient.root / "terraform/last.auto.tfvars.json").write_text('{"cognito_aud": "json", "timeout": 20}')
    patient.environ["TF_VAR_router_queue"] = "other"

    assert patient.stack.setting("timeout", 29) == (
        """sed -i 's|"timeout": *[^,}]*|"timeout": 29|' terraform/last.auto.tfvars.json"""
    )
    assert patient.stack.setting("router_queue", "mine") == "export TF_VAR_router_queue=mine"
    assert patient.stack.setting("memory_size", 512) == "echo 'memory_size = 512' >> terraform/stack.auto.tfvars"


def test_a_value_that_terraform_cannot_read_keeps_no_other_check_from_looking(patient: Patient) -> None:
    patient.environ["TF_VAR_router_queue_cap"] = ""

    faults = patient.faults()

    assert "a number is required" in next(fault for fault in faults if fault.seen).found
    assert [fault.thing for fault in faults if not fault.seen] == ["TF_VAR_…", "settings", "shell and .env", "region"]


class Denying:
    """AWS that knows the caller and allows nothing else."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getattr__(self, operation: str) -> Any:
        def refuse(*_: Any, **__: Any) -> Any:
            raise self._error

        return refuse


def _denied(stack: Stack, error: Exception) -> list[Finding]:
    denying = replace(stack, connect=lambda service, region: Denying(error))
    return [finding for finding in examine(denying, ONLINE) if not finding.ok]


def test_what_may_not_be_looked_at_names_the_permission_and_the_rest_goes_on(patient: Patient) -> None:
    denied = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "DescribeUserPool")

    unseen = _denied(patient.stack, denied)

    assert [finding.thing for finding in unseen] == [check.thing for check in ONLINE]
    assert not any(finding.seen for finding in unseen)
    pool = next(finding for finding in unseen if finding.thing == "user pool")
    assert pool.found.endswith("it takes cognito-idp:DescribeUserPool and cognito-idp:ListUserPools")
    assert status_of(unseen) is Status.FAILED


def test_without_credentials_all_of_aws_is_unseen_at_once(patient: Patient) -> None:
    unseen = _denied(patient.stack, NoCredentialsError())

    assert [finding.found for finding in unseen[1:]] == ["no credentials"] * (len(ONLINE) - 1)
    assert unseen[0].fix == "aws sso login"


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
