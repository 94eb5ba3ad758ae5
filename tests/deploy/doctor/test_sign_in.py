"""``make doctor`` and the client with which people sign in."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.deploy.kit.doctor_patient import Patient, client
from tools.doctor.__main__ import ONLINE
from tools.doctor.redirects import LOGIN_REDIRECTS

pytestmark = pytest.mark.release


def make_sign_in_client(patient: Patient, **changes: Any) -> None:
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
    make_sign_in_client(patient)
    patient.set("cognito_login_client_id", "1h57kf5cpq17m0eml12EXAMPLE")


def _sign_in_with_a_secret(patient: Patient) -> None:
    make_sign_in_client(patient)
    patient.set("cognito_login_client_id", patient.pool["client"])


def _sign_in_without_a_grant(patient: Patient) -> None:
    make_sign_in_client(patient, AllowedOAuthFlows=[], AllowedOAuthFlowsUserPoolClient=False)


def _sign_in_elsewhere(patient: Patient) -> None:
    make_sign_in_client(patient, CallbackURLs=[*LOGIN_REDIRECTS[:4], "https://app.example.com/"])


def _sign_in_without_the_scope(patient: Patient) -> None:
    make_sign_in_client(patient, AllowedOAuthScopes=["openid"])


#: What is done, the thing that is then named, and what is said of it.
FAULTS: dict[str, tuple[Callable[[Patient], None], str, str]] = {
    "a sign-in client that is none": (_good_sign_in, "sign-in client", "has no such client"),
    "a sign-in client with a secret": (_sign_in_with_a_secret, "sign-in client", "with a secret"),
    "a sign-in client without a grant": (_sign_in_without_a_grant, "its grant", "none"),
    "a sign-in client that returns elsewhere": (_sign_in_elsewhere, "its redirects", LOGIN_REDIRECTS[4]),
    "a sign-in client that may not ask": (_sign_in_without_the_scope, "its scope", "openid"),
}


@pytest.mark.parametrize(("harm", "thing", "said"), FAULTS.values(), ids=FAULTS)
def test_what_aws_would_refuse_is_named_and_mended_by_the_printed_command(
    served: Patient, harm: Callable[[Patient], None], thing: str, said: str
) -> None:
    harm(served)

    served.mend_the_one_fault(ONLINE, thing, said)


def test_a_sign_in_client_keeps_its_other_redirects(served: Patient) -> None:
    _sign_in_elsewhere(served)

    served.mend(served.faults(ONLINE)[0])

    pools, client_id = client("cognito-idp", served.url), served.stack.text("cognito_login_client_id")
    told = pools.describe_user_pool_client(UserPoolId=served.pool["id"], ClientId=client_id)["UserPoolClient"]
    assert set(told["CallbackURLs"]) == {*LOGIN_REDIRECTS, "https://app.example.com/"}
