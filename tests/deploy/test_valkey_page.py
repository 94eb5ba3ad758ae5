"""The AWS CLI's commands of docs/valkey.md, pasted into a shell against moto; tests/box runs those of the instance."""

from pathlib import Path

import pytest

from lambda_router_queue.redis.url import RedisAddress
from lambda_router_worker.cli_options import checked_url
from tests.deploy.cloud.inventory import REGION, client
from tests.deploy.kit.shell import AWS, WHY_SKIPPED, blocks, paste
from tests.tls import write_signed

pytestmark = [
    pytest.mark.release,
    pytest.mark.timeout(180),
    pytest.mark.skipif(not AWS.exists(), reason=WHY_SKIPPED),
]

PAGE = "docs/valkey.md"
NAME = "lambda-router-prod-valkey"
#: Where the worker's unit looks for its files.
FOLDER = "/etc/lambda-router"
URL = "rediss://worker:0123456789abcdef@203.0.113.7:6379/0"


def pasted(section: str, aws_url: str, folder: Path) -> str:
    text = "\n".join(each for each in blocks(PAGE, section) if each.partition("\n")[0].split()[0] != "make")
    ran = paste(text.replace(FOLDER, str(folder)), aws_url, folder)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_a_box_gets_url_and_authority_where_its_unit_looks(aws_url: str, tmp_path: Path) -> None:
    ssm = client("ssm", aws_url)
    authority = write_signed(tmp_path / "signed").authority.read_text()
    for name, kind, value in (("redis-authority", "String", authority), ("worker-redis-url", "SecureString", URL)):
        ssm.put_parameter(Name=f"/lambda-router/prod/{name}", Type=kind, Value=value)

    pasted("Create it", aws_url, tmp_path)

    address = RedisAddress.of(checked_url(None, str(tmp_path / "redis-url")))
    assert address.tls is not None
    assert (address.host, address.tls.authority) == ("203.0.113.7", str(tmp_path / "redis-ca.pem"))
    assert Path(address.tls.authority).read_text().strip() == authority.strip()
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("redis-url", "redis-ca.pem")] == [0o600, 0o644]


def test_the_snapshots_of_this_queue_are_listed_and_removed_and_no_others(aws_url: str, tmp_path: Path) -> None:
    ec2 = client("ec2", aws_url)
    volume = ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=1)["VolumeId"]
    ours, another = (
        ec2.create_snapshot(
            VolumeId=volume,
            TagSpecifications=[{"ResourceType": "snapshot", "Tags": [{"Key": "Name", "Value": name}]}],
        )["SnapshotId"]
        for name in (NAME, NAME.replace("prod", "staging"))
    )

    listed = pasted("Restore a snapshot", aws_url, tmp_path)
    pasted("Removal", aws_url, tmp_path)

    left = {each["SnapshotId"] for each in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]}
    assert ours in listed
    assert another not in listed
    assert (ours in left, another in left) == (False, True)
