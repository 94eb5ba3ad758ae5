"""``make doctor`` and the sign-in of the pages."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.deploy.cloud.inventory import REGION
from tests.deploy.doctor.conftest import CLIENTS
from tests.deploy.doctor.test_sign_in import make_sign_in_client
from tests.deploy.kit.doctor_patient import BUCKET, KEY, Patient, client
from tools.doctor.__main__ import ONLINE, examine
from tools.doctor.redirects import LOGIN_REDIRECTS, page_redirects

API = "https://a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com/api/"
DOMAIN = f"https://octo.auth.{REGION}.amazoncognito.com"

pytestmark = pytest.mark.release


def _pages(patient: Patient, domain: str = DOMAIN, **changes: Any) -> None:
    """The API's pages, with a sign-in that lacks something; the stack is applied already."""
    pools = client("cognito-idp", patient.url)
    pools.create_user_pool_domain(Domain="octo", UserPoolId=patient.pool["id"])
    good = {"CallbackURLs": [*LOGIN_REDIRECTS, *page_redirects(API)], "LogoutURLs": [API]}
    make_sign_in_client(patient, **good | changes)
    patient.set("cognito_domain", domain)
    patient.set("router_docs", "true")
    outputs = {"api_url": {"value": API.rstrip("/")}, "function_name": {"value": "lambda-router-doctor"}}
    state = json.dumps({"version": 4, "outputs": outputs})
    client("s3", patient.url).put_object(Bucket=BUCKET, Key=KEY, Body=state)


def _pages_that_return_elsewhere(patient: Patient) -> None:
    _pages(patient, CallbackURLs=[*LOGIN_REDIRECTS, API])


def _pages_that_sign_out_elsewhere(patient: Patient) -> None:
    _pages(patient, LogoutURLs=["https://app.example.com/"])


def _pages_of_another_domain(patient: Patient) -> None:
    _pages(patient, domain="https://team.auth.eu-central-1.amazoncognito.com")


def _pages_that_may_not_ask_who_signs_in(patient: Patient) -> None:
    _pages(patient, AllowedOAuthScopes=["lambda-router/jobs"])


#: What is done, the thing that is then named, and what is said of it.
FAULTS: dict[str, tuple[Callable[[Patient], None], str, str]] = {
    "pages that return elsewhere": (_pages_that_return_elsewhere, "pages' redirects", f"{API}docs/oauth2-redirect"),
    "pages that sign out elsewhere": (_pages_that_sign_out_elsewhere, "pages' redirects", API),
    "pages that may not ask who signs in": (_pages_that_may_not_ask_who_signs_in, "pages' scopes", "without openid"),
    "pages of another pool's domain": (_pages_of_another_domain, "domain of the pages", "https://team.auth"),
}


@pytest.mark.parametrize(("harm", "thing", "said"), FAULTS.values(), ids=FAULTS)
def test_what_keeps_people_from_signing_in_is_named_and_mended_by_the_printed_command(
    served: Patient, harm: Callable[[Patient], None], thing: str, said: str
) -> None:
    harm(served)

    served.mend_the_one_fault(ONLINE, thing, said)


def test_pages_that_people_can_sign_in_at_have_nothing_wrong(served: Patient) -> None:
    _pages(served)
    found = {finding.thing: finding for finding in examine(served.stack, ONLINE)}

    assert [finding for finding in found.values() if not finding.ok] == []
    assert found["pages' redirects"].found == ", ".join(page_redirects(API))
    assert found["pages' scopes"].found == "openid, lambda-router/jobs"


def test_the_pages_client_of_the_parameter_is_the_one_that_is_looked_at(served: Patient) -> None:
    _pages(served, CallbackURLs=[*LOGIN_REDIRECTS, API])
    login = served.stack.text("cognito_login_client_id")
    served.set("cognito_login_client_id", "")
    served.set("cognito_aud_parameter", CLIENTS)
    client("ssm", served.url).put_parameter(Name=CLIENTS, Type="String", Value=login)

    assert [fault.thing for fault in served.faults(ONLINE)] == ["pages' redirects"]
