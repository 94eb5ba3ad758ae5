"""``make doctor`` and SSM: the Redis URL, an authority of one's own, further clients."""

from collections.abc import Callable

import pytest

from tests.deploy.doctor.conftest import AUTHORITY, CLIENTS
from tests.deploy.kit.doctor_patient import PARAMETER, Patient, client
from tests.tls import write_certificate
from tools.doctor.__main__ import ONLINE

pytestmark = pytest.mark.release


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


#: What is done, the thing that is then named, and what is said of it.
FAULTS: dict[str, tuple[Callable[[Patient], None], str, str]] = {
    "no Redis parameter": (_no_parameter, "Redis parameter", f"no {PARAMETER}"),
    "a Redis parameter in the clear": (_plain_parameter, "Redis parameter", "is a String"),
    "a key that the function may not use": (_another_key, "Redis parameter", "is encrypted with arn:aws:kms"),
    "no authority": (_no_authority, "Redis authority", f"no {AUTHORITY}"),
    "no certificate in the authority": (_no_certificate, "Redis authority", "no certificate"),
    "an authority with its key": (_with_its_key, "Redis authority", "a private key"),
    "an authority that ends soon": (_ends_soon, "Redis authority", "the last ends"),
    "no further clients": (_no_further_clients, "further clients", f"no {CLIENTS}"),
    "further clients of another pool": (_further_clients_of_another_pool, "further clients", "EXAMPLE"),
}


@pytest.mark.parametrize(("harm", "thing", "said"), FAULTS.values(), ids=FAULTS)
def test_what_aws_would_refuse_is_named_and_mended_by_the_printed_command(
    served: Patient, harm: Callable[[Patient], None], thing: str, said: str
) -> None:
    harm(served)

    served.mend_the_one_fault(ONLINE, thing, said)


def test_a_key_is_asked_for_its_arn_where_the_parameter_names_it_otherwise(served: Patient) -> None:
    key = client("kms", served.url).create_key()["KeyMetadata"]
    client("ssm", served.url).put_parameter(
        Name=PARAMETER, Type="SecureString", Value="redis://example.com", KeyId=key["KeyId"], Overwrite=True
    )

    assert f'redis_kms_key_arn = "{key["Arn"]}"' in served.faults(ONLINE)[0].fix
