"""``make doctor`` and the state: its bucket, its versions, its lock."""

import json

import pytest

from tests.deploy.kit.doctor_patient import BUCKET, KEY, Patient, client
from tools.doctor.__main__ import ONLINE

pytestmark = pytest.mark.release


def _not_versioned(patient: Patient) -> None:
    client("s3", patient.url).put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})


def test_a_state_without_versions_is_named_and_mended_by_the_printed_command(served: Patient) -> None:
    _not_versioned(served)

    served.mend_the_one_fault(ONLINE, "state's versions", "suspended")


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
