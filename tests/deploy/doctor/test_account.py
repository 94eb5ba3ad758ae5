"""``make doctor`` and the account: quota, log role, boundary; and a stack with which nothing is wrong."""

import json
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.contract.repository import ROOT
from tests.deploy.cloud.account_wide import point_gateway_at
from tests.deploy.doctor.conftest import delete_role
from tests.deploy.kit.doctor_patient import Patient, client
from tools.doctor.__main__ import OFFLINE, ONLINE, examine
from tools.doctor.gateway import POLICY, ROLE, TRUST
from tools.stack.findings import Status

pytestmark = pytest.mark.release


@pytest.mark.smoke
def test_a_good_stack_has_nothing_wrong(served: Patient) -> None:
    findings = list(examine(served.stack, (*OFFLINE, *ONLINE)))

    assert [finding for finding in findings if not finding.ok] == []
    assert len(findings) >= 20


def _too_much(patient: Patient) -> None:
    patient.set("reserved_concurrency", 950)


def _no_log_role(patient: Patient) -> None:
    _log_role_that_is_gone(patient)
    point_gateway_at(lambda service: client(service, patient.url), "")


def _log_role_that_is_gone(patient: Patient) -> None:
    """Its owner destroyed it, and the account's setting stayed."""
    delete_role(client("iam", patient.url), ROLE)


def _log_role_of_lambda(patient: Patient) -> None:
    trust = json.dumps(TRUST).replace("apigateway", "lambda")
    client("iam", patient.url).update_assume_role_policy(RoleName=ROLE, PolicyDocument=trust)


def _log_role_without_policy(patient: Patient) -> None:
    client("iam", patient.url).detach_role_policy(RoleName=ROLE, PolicyArn=f"arn:aws:iam::aws:policy/{POLICY}")


#: What is done, the thing that is then named, and what is said of it.
FAULTS: dict[str, tuple[Callable[[Patient], None], str, str]] = {
    "too much concurrency": (_too_much, "reserved concurrency", "950 + 50 of 1000 executions"),
    "no log role": (_no_log_role, "API Gateway's log role", "none"),
    "a log role that is gone": (_log_role_that_is_gone, "API Gateway's log role", "does not exist"),
    "a log role of Lambda": (_log_role_of_lambda, "API Gateway's log role", "does not trust apigateway.amazonaws.com"),
    "a log role without its policy": (
        _log_role_without_policy,
        "API Gateway's log role",
        "has no permission for logs:CreateLogGroup",
    ),
}


@pytest.mark.parametrize(("harm", "thing", "said"), FAULTS.values(), ids=FAULTS)
def test_what_aws_would_refuse_is_named_and_mended_by_the_printed_command(
    served: Patient, harm: Callable[[Patient], None], thing: str, said: str
) -> None:
    harm(served)

    served.mend_the_one_fault(ONLINE, thing, said)


def test_a_boundary_that_is_not_there_is_named(served: Patient) -> None:
    served.set("permissions_boundary_arn", "arn:aws:iam::123456789012:policy/gone")

    fault = served.faults(ONLINE)[0]

    assert fault.found == "no policy arn:aws:iam::123456789012:policy/gone"


def test_programs_get_one_object_and_a_status(served: Patient) -> None:
    served.set("cognito_aud", "1h57kf5cpq17m0eml12EXAMPLE")
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
