"""``make doctor`` without AWS: what is wrong on this machine is named, and mended by the printed command."""

import shlex
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from redis import Redis

from tests.deploy.cloud import inventory
from tests.deploy.cloud.inventory import REGION
from tests.deploy.kit.doctor_patient import KEY, Patient, new_patient
from tests.deploy.kit.terraform_cli import terraform_path
from tools.docs.workflows import with_settings
from tools.doctor.__main__ import ONLINE, examine
from tools.package.environment import refuse_variables
from tools.stack.configured import Stack
from tools.stack.findings import Finding, Status, status_of
from tools.stack.refusal import Refusal

pytestmark = pytest.mark.release


@pytest.fixture
def patient(terraform: None, tmp_path: Path) -> Patient:
    """For checks that ask no AWS."""
    pool_id = "eu-central-1_AbCdEf123"
    arn = f"arn:aws:cognito-idp:{REGION}:123456789012:userpool/{pool_id}"
    return new_patient(tmp_path, "", {"id": pool_id, "arn": arn, "client": "1h57kf5cpq17m0eml12EXAMPLE"})


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
    "a misspelt value": (_misspelt_value, "terraform/doctor.auto.tfvars:8", "did you mean router_queue_cap?"),
    "an extra value": (_extra_value, "terraform/doctor.auto.tfvars:8", "colour is not a variable"),
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


@pytest.mark.smoke
def test_a_folder_without_init_is_told_the_whole_command(patient: Patient) -> None:
    shutil.rmtree(patient.root / "terraform/.terraform")

    (fault,) = patient.faults()

    assert fault.found == "not run"
    assert fault.fix == (
        f"make package && make init STATE_BUCKET=YOUR_STATE_BUCKET AWS_REGION={REGION} STATE_KEY={KEY}"
    )


def test_a_missing_provider_lock_is_told_the_command_that_writes_it(patient: Patient) -> None:
    (patient.root / "terraform/.terraform.lock.hcl").unlink()

    (fault,) = patient.faults()

    assert fault.found == "no terraform/.terraform.lock.hcl"
    assert fault.fix.startswith("terraform -chdir=terraform providers lock -platform=linux_amd64")


def test_opentofu_has_its_own_registry_in_the_lock_and_the_folder(
    patient: Patient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tofu").symlink_to(terraform_path())
    monkeypatch.setenv("TERRAFORM", str(tmp_path / "tofu"))

    faults = {fault.thing: fault for fault in patient.faults()}

    assert faults.keys() == {"provider lock", "terraform init"}
    assert faults["provider lock"].found == "terraform/.terraform.lock.hcl has no registry.opentofu.org/hashicorp/aws"
    assert "/tofu -chdir=terraform providers lock " in faults["provider lock"].fix
    assert "make init " in faults["terraform init"].fix  # which runs the program that TERRAFORM names
    lock = patient.root / "terraform/.terraform.lock.hcl"
    lock.write_text(lock.read_text().replace("registry.terraform.io", "registry.opentofu.org"))
    providers = patient.root / "terraform/.terraform/providers"
    (providers / "registry.terraform.io").rename(providers / "registry.opentofu.org")
    assert patient.faults() == []


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
    unseen = ["TF_VAR_…", "settings", "size of the variables", "shell and .env", "region", "provider and region"]
    assert [fault.thing for fault in faults if not fault.seen] == unseen


class Denying:
    """AWS that knows the caller and allows nothing else."""

    def __init__(self, error: Exception, service: str) -> None:
        self._error, self.exceptions = error, inventory.client(service, "http://127.0.0.1:1").exceptions

    def __getattr__(self, operation: str) -> Any:
        def refuse(*_: Any, **__: Any) -> Any:
            raise self._error

        return refuse


def _denied(stack: Stack, error: Exception) -> list[Finding]:
    denying = replace(stack, connect=lambda service, region: Denying(error, service))
    return [finding for finding in examine(denying, ONLINE) if not finding.ok]


def test_what_may_not_be_looked_at_names_the_permission_and_the_rest_goes_on(patient: Patient) -> None:
    asked_for = {  # what is not set is not looked at
        "cognito_aud_parameter": "/lambda-router/doctor/clients",
        "cognito_domain": "https://octo.auth.eu-central-1.amazoncognito.com",
        "cognito_login_client_id": "1h57kf5cpq17m0eml12EXAMPLE",
        "custom_domain": {"name": "api.example.com"},
        "redis_ca_parameter": "/lambda-router/doctor/authority",
        "router_docs": "true",
    }
    for name, value in asked_for.items():
        patient.set(name, value)
    denied = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "DescribeUserPool")

    unseen = _denied(patient.stack, denied)

    assert [finding.thing for finding in unseen] == [check.thing for check in ONLINE]
    assert not any(finding.seen for finding in unseen)
    pool = next(finding for finding in unseen if finding.thing == "user pool")
    assert pool.found.endswith("needs cognito-idp:DescribeUserPool and cognito-idp:ListUserPools")
    assert status_of(unseen) is Status.FAILED


def test_without_credentials_all_of_aws_is_unseen_at_once(patient: Patient) -> None:
    unseen = _denied(patient.stack, NoCredentialsError())

    assert [finding.found for finding in unseen[1:]] == ["no credentials"] * (len(ONLINE) - 1)
    assert unseen[0].fix == "aws sso login"


@pytest.mark.parametrize(
    ("region", "version", "wrong"),
    [
        ("eusc-de-east-1", "5.100.0", True),
        ("eusc-de-east-1", "6.28.0", True),
        ("eusc-de-east-1", "6.29.0", False),
        ("us-gov-west-1", "5.100.0", False),
    ],
)
def test_a_provider_that_takes_no_arn_of_the_region_is_named(
    patient: Patient, region: str, version: str, wrong: bool
) -> None:
    lock = patient.root / "terraform/.terraform.lock.hcl"
    lock.write_text(lock.read_text().replace("5.100.0", version))
    patient.set("aws_region", region)

    found = [fault for fault in patient.faults() if fault.thing == "provider and region"]

    assert [fault.found for fault in found] == ([f"hashicorp/aws {version} in {region}"] if wrong else [])


#: As Cognito makes ids of app clients: 26 letters and digits. So many fit into no function.
MANY_CLIENTS = ",".join(f"1h57kf5cpq17m0eml12{number:07}" for number in range(161))


def test_more_variables_than_lambda_takes_are_named_before_apply_would_stop(patient: Patient) -> None:
    patient.set("cognito_aud", MANY_CLIENTS)

    (fault,) = patient.faults()

    assert fault.thing == "size of the variables"
    assert "COGNITO_AUD 4,3" in fault.found
    assert "COGNITO_AUD" in fault.fix


def test_make_package_refuses_more_variables_than_lambda_takes(patient: Patient, chalice: dict[str, Any]) -> None:
    refuse_variables(chalice, patient.stack)
    patient.set("cognito_aud", MANY_CLIENTS)

    with pytest.raises(Refusal, match="the largest: COGNITO_AUD 4,3"):
        refuse_variables(chalice, patient.stack)


def test_make_package_leaves_to_doctor_what_terraform_cannot_say(
    patient: Patient, chalice: dict[str, Any], tmp_path: Path
) -> None:
    patient.set("timeout", "soon")
    refuse_variables(chalice, patient.stack)
    refuse_variables(chalice, Stack(patient.root, tmp_path))


@pytest.fixture
def redis_here(patient: Patient, redis_url: str) -> Iterator[Redis]:
    """The one that the shell's REDIS_URL names."""
    patient.environ["REDIS_URL"] = redis_url
    with Redis.from_url(redis_url) as client:
        yield client
        client.config_set("maxmemory-policy", "noeviction")


def test_a_redis_that_deletes_jobs_is_named_and_mended_by_the_printed_command(
    patient: Patient, redis_here: Redis
) -> None:
    assert patient.faults() == []
    redis_here.config_set("maxmemory-policy", "volatile-lru")

    (fault,) = patient.faults()

    assert (fault.thing, fault.seen) == ("Redis", True)
    assert "volatile-lru" in fault.found
    program, _, url, *words = shlex.split(fault.fix, comments=True)
    assert (program, url) == ("valkey-cli", "$REDIS_URL")
    redis_here.execute_command(*words)
    assert patient.faults() == []


@pytest.mark.parametrize(
    ("url", "seen"),
    [("redis://:hunter2@127.0.0.1:1/0", False), ("http://:hunter2@127.0.0.1:1", True)],
    ids=["nothing listens", "no Redis URL"],
)
def test_a_redis_url_that_leads_nowhere_is_named_without_being_shown(patient: Patient, url: str, seen: bool) -> None:
    patient.environ["REDIS_URL"] = url

    (fault,) = patient.faults()

    assert (fault.thing, fault.seen) == ("Redis", seen)
    assert "hunter2" not in str(fault)
