"""``make doctor`` and the custom domain: certificate, zone, or a domain that another stack makes."""

from pathlib import Path

import pytest

from tests.deploy.cloud.inventory import REGION
from tests.deploy.kit.doctor_patient import Patient, client, new_patient
from tests.tls import write_certificate
from tools.doctor.__main__ import ONLINE

pytestmark = pytest.mark.release

CHECK = tuple(check for check in ONLINE if check.thing == "custom domain")
POOL = {
    "id": "eu-central-1_AbCdEf123",
    "arn": "arn:aws:cognito-idp:eu-central-1:123456789012:userpool/eu-central-1_AbCdEf123",
    "client": "1h57kf5cpq17m0eml12EXAMPLE",
}


@pytest.fixture
def patient(terraform: None, tmp_path: Path, aws_url: str) -> Patient:
    return new_patient(tmp_path, aws_url, POOL)


@pytest.mark.smoke
def test_without_a_custom_domain_there_is_nothing_to_look_at(patient: Patient) -> None:
    assert patient.faults(CHECK) == []


def _certificate_of(patient: Patient, *names: str) -> str:
    """One that is issued: moto leaves what is requested pending for a minute."""
    certificate, key = write_certificate(patient.root, *names)
    made = client("acm", patient.url).import_certificate(
        Certificate=certificate.read_bytes(), PrivateKey=key.read_bytes()
    )
    return str(made["CertificateArn"])


def _zone_of(patient: Patient, name: str) -> str:
    made = client("route53", patient.url).create_hosted_zone(Name=name, CallerReference=name)
    return str(made["HostedZone"]["Id"].removeprefix("/hostedzone/"))


@pytest.mark.parametrize(
    ("names", "well"),
    [(["api.example.com"], True), (["*.example.com"], True), (["example.com", "*.eu.example.com"], False)],
    ids=["its own", "a wildcard", "of others"],
)
def test_a_certificate_has_to_cover_the_custom_domain(patient: Patient, names: list[str], well: bool) -> None:
    arn = _certificate_of(patient, *names)
    patient.set("custom_domain", {"name": "api.example.com", "certificate_arn": arn})

    found = {fault.thing: fault.found for fault in patient.faults(CHECK)}

    assert found == ({} if well else {"certificate of custom domain": f"covers only {', '.join(names)}"})


def test_a_certificate_that_is_not_there_is_named(patient: Patient) -> None:
    arn = "arn:aws:acm:eu-central-1:123456789012:certificate/11111111-2222-3333-4444-555555555555"
    patient.set("custom_domain", {"name": "api.example.com", "certificate_arn": arn})

    fault = patient.faults(CHECK)[0]

    assert (fault.found, fault.wanted) == (f"no {arn}", f"one for api.example.com in {REGION}")


def test_a_certificate_that_is_not_issued_is_named_with_the_command_that_shows_what_to_do(patient: Patient) -> None:
    arn = client("acm", patient.url).request_certificate(DomainName="api.example.com")["CertificateArn"]
    patient.set("custom_domain", {"name": "api.example.com", "certificate_arn": arn})

    fault = patient.faults(CHECK)[0]

    assert (fault.found, fault.wanted) == ("PENDING_VALIDATION", "ISSUED")
    assert fault.fix == f"aws acm describe-certificate --region {REGION} --certificate-arn {arn}"


def test_a_zone_of_another_domain_is_named(patient: Patient) -> None:
    arn = _certificate_of(patient, "api.example.com")
    other = _zone_of(patient, "example.org")
    domain = {"name": "api.example.com", "certificate_arn": arn}
    patient.set("custom_domain", domain | {"zone_id": other})

    fault = patient.faults(CHECK)[0]

    assert (fault.thing, fault.found) == ("zone of custom domain", f"{other} is the zone of example.org")
    patient.set("custom_domain", domain | {"zone_id": _zone_of(patient, "example.com")})
    assert patient.faults(CHECK) == []


def test_a_domain_of_another_stack_has_to_be_there(patient: Patient) -> None:
    patient.set("custom_domain", {"name": "api.example.net", "base_path": "router"})

    fault = patient.faults(CHECK)[0]

    assert (fault.thing, fault.found) == ("custom domain", f"no api.example.net in {REGION}")
    client("apigateway", patient.url).create_domain_name(domainName="api.example.net")
    assert patient.faults(CHECK) == []
