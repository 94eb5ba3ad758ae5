"""The bucket of the state: it exists, keeps versions, and holds no abandoned lock."""

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from tools.deploy.ready import stack_in
from tools.stack.backend import Backend
from tools.stack.configured import Stack
from tools.stack.findings import Finding
from tools.stack.terraform import program

_NOT_THERE = {"404", "NoSuchBucket", "NotFound"}


def state(stack: Stack) -> Iterator[Finding]:
    """Check the state without taking its lock."""
    if stack.state_file is not None:
        yield Finding("state", ok=True, found=f"{stack.path(stack.state_file.path)}, on this machine alone")
        return
    bucket, key = stack.backend.get("bucket", ""), stack.backend.get("key", "")
    if not bucket:
        why = "the state's location is known only after `terraform init`"
        yield Finding("state", ok=False, found="no backend yet", why=why, fix="see terraform init, above", seen=False)
        return
    s3 = stack.aws("s3", stack.backend.get("region", ""))
    try:
        listed = s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=10)
    except ClientError as error:
        if error.response["Error"]["Code"] not in _NOT_THERE:
            raise
        yield Finding("state", False, f"no bucket {bucket}", "", "the state cannot be stored", _create(stack))
        return
    names = [each["Key"] for each in listed.get("Contents", [])]
    said = "exists" if key in names else "will be created by the first apply"
    yield Finding("state", ok=True, found=f"s3://{bucket}/{key} {said}")
    yield from _versions(stack, s3, bucket)
    backend = Backend(bucket, key, _region(stack), stack.aws)
    yield from _lock(stack, backend)
    if (found := stack_in(backend, stack)) is not None:
        yield found


def _versions(stack: Stack, s3: Any, bucket: str) -> Iterator[Finding]:
    found = s3.get_bucket_versioning(Bucket=bucket).get("Status", "off")
    if found == "Enabled":
        yield Finding("state's versions", ok=True, found="kept")
        return
    why = "a state that is overwritten or deleted could not be restored"
    fix = f"aws s3api put-bucket-versioning --bucket {bucket} --versioning-configuration Status=Enabled"
    yield Finding("state's versions", False, found.lower(), "kept", why, f"{fix} --region {_region(stack)}")


def _lock(stack: Stack, backend: Backend) -> Iterator[Finding]:
    held = backend.lock()
    if held is None:
        yield Finding("state's lock", ok=True, found="free")
        return
    fix = f"{program()} -chdir={stack.path(stack.folder)} force-unlock -force {held.number}"
    why = "no plan or apply can start; if none is running, the last one was killed"
    yield Finding("state's lock", False, str(held), "free", why, fix)


def _create(stack: Stack) -> str:
    region = _region(stack)
    bucket = f"aws s3api create-bucket --bucket {stack.backend['bucket']} --region {region}"
    where = "" if region == "us-east-1" else f" --create-bucket-configuration LocationConstraint={region}"
    return bucket + where


def _region(stack: Stack) -> str:
    return str(stack.backend.get("region") or stack.region)
