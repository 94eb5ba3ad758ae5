"""The account: the caller's identity, and what the stack needs in the account. No secret's value is read."""

from collections.abc import Iterator

from botocore.exceptions import ClientError

from tools.stack.configured import Stack
from tools.stack.findings import Finding
from tools.stack.terraform import program

#: Lambda keeps this many executions for functions without a reservation
#: (https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html).
_UNRESERVED = 100


def identity(stack: Stack) -> Iterator[Finding]:
    told = stack.aws("sts").get_caller_identity()
    yield Finding("identity", ok=True, found=f"{told['Arn']} in {stack.region}")


def redis_parameter(stack: Stack) -> Iterator[Finding]:
    """Check the parameter with DescribeParameters, which does not return its value."""
    name, thing = stack.text("redis_url_parameter"), "Redis parameter"
    named = [{"Key": "Name", "Option": "Equals", "Values": [name]}]
    told = stack.aws("ssm").describe_parameters(ParameterFilters=named)["Parameters"]
    put = f'aws ssm put-parameter --region {stack.region} --name {name} --type SecureString --value "$REDIS_URL"'
    if not told:
        why = "the function reads the Redis URL there and could reach no queue: 503"
        yield Finding(thing, False, f"no {name}", "a SecureString", why, put)
    elif told[0]["Type"] != "SecureString":
        why = "the URL holds a password, and everybody who may read parameters reads it"
        fix = f"aws ssm delete-parameter --region {stack.region} --name {name} && {put}"
        yield Finding(thing, False, f"{name} is a {told[0]['Type']}", "a SecureString", why, fix)
    else:
        yield _encrypted(stack, name, told[0].get("KeyId", ""))


def _encrypted(stack: Stack, name: str, key: str) -> Finding:
    """Check that Terraform knows a customer managed key, for which the function's role needs a permission."""
    if key in ("", "alias/aws/ssm") or stack.text("redis_kms_key_arn"):
        return Finding("Redis parameter", ok=True, found=f"{name}, a SecureString")
    fix = stack.setting("redis_kms_key_arn", _key_arn(stack, key))
    found, wanted = f"{name} is encrypted with {key}", "that key in redis_kms_key_arn"
    return Finding("Redis parameter", False, found, wanted, "the function's role may not decrypt it", fix)


def _key_arn(stack: Stack, key: str) -> str:
    """Return the key's ARN; a parameter names its key by ARN, id or alias, and KMS resolves the others."""
    if ":key/" in key:
        return key
    described = stack.aws("kms").describe_key(KeyId=key)
    return str(described["KeyMetadata"]["Arn"])


def concurrency(stack: Stack) -> Iterator[Finding]:
    """Check that the reservation leaves the account enough; what the function has reserved already is its own."""
    thing, wanted = "reserved concurrency", int(stack.values.get("reserved_concurrency") or -1)
    limits = stack.aws("lambda").get_account_settings()["AccountLimit"]
    free = limits["UnreservedConcurrentExecutions"] + _reserved(stack) - _UNRESERVED
    if wanted <= max(free, -1):
        kept = f"{wanted} of {limits['ConcurrentExecutions']}" if wanted >= 0 else "none reserved"
        yield Finding(thing, ok=True, found=kept)
        return
    why = f"Lambda refuses what leaves fewer than {_UNRESERVED} executions to the other functions"
    found = f"{wanted} of {limits['ConcurrentExecutions']} executions"
    said = f"at most {free}" if free > 0 else "-1: none can be reserved"
    yield Finding(thing, False, found, said, why, stack.setting("reserved_concurrency", free if free > 0 else -1))


def _reserved(stack: Stack) -> int:
    try:
        told = stack.aws("lambda").get_function_concurrency(FunctionName=_name(stack))
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        return 0
    return int(told.get("ReservedConcurrentExecutions", 0))


def boundary(stack: Stack) -> Iterator[Finding]:
    arn, thing = stack.text("permissions_boundary_arn"), "permissions boundary"
    if not arn:
        yield Finding(thing, ok=True, found="none asked for")
        return
    try:
        stack.aws("iam").get_policy(PolicyArn=arn)
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchEntity":
            raise
        why = "the function's role cannot be made with a boundary that does not exist"
        fix = f"{program()} -chdir=terraform/bootstrap apply"
        yield Finding(thing, False, f"no policy {arn}", "the one that terraform/bootstrap makes", why, fix)
        return
    yield Finding(thing, ok=True, found=arn)


def _name(stack: Stack) -> str:
    return f"{stack.text('app_name')}-{stack.text('stage_name')}"
