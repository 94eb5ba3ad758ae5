"""``make doctor`` and the user pool: its id and ARN, its issuer, its clients and their scope."""

from collections.abc import Callable

import pytest

from chalicelib.user_pool import issuers_of
from tests.deploy.doctor.conftest import POOL_NAME
from tests.deploy.kit.doctor_patient import Patient, client
from tools.doctor.__main__ import ONLINE, examine

pytestmark = pytest.mark.release


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


#: What is done, the thing that is then named, and what is said of it.
FAULTS: dict[str, tuple[Callable[[Patient], None], str, str]] = {
    "a wrong COGNITO_AUD": (_wrong_client, "client 1h57kf5cpq17m0eml12EXAMPLE of COGNITO_AUD", "has no such client"),
    "an ARN of another account": (_wrong_arn, "user pool's ARN", "999999999999"),
    "an issuer that API Gateway refuses": (_updated_issuer, "issuer type", "UPDATED"),
    "a scope of no resource server": (_no_server, "scope", "no resource server 'other-router'"),
    "a client that may not ask": (_may_not_ask, "scope of client", "email"),
}


@pytest.mark.parametrize(("harm", "thing", "said"), FAULTS.values(), ids=FAULTS)
def test_what_aws_would_refuse_is_named_and_mended_by_the_printed_command(
    served: Patient, harm: Callable[[Patient], None], thing: str, said: str
) -> None:
    harm(served)

    served.mend_the_one_fault(ONLINE, thing, said)


def test_a_wrong_client_is_told_those_there_are(served: Patient) -> None:
    _wrong_client(served)

    fault = served.faults(ONLINE)[0]

    assert fault.found == f"user pool {served.pool['id']} has no such client"
    assert fault.wanted == f"one of {served.pool['client']} (caller)"
    assert "COGNITO_AUD is compared with the client_id of each token" in fault.why


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
