"""The account: the caller's identity, and what the stack needs in the account."""

from collections.abc import Iterator
from contextlib import suppress

from tools.stack.configured import Stack
from tools.stack.findings import Finding
from tools.stack.terraform import program

#: Lambda keeps this many executions for functions without a reservation
#: (https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html).
_UNRESERVED = 100


def identity(stack: Stack) -> Iterator[Finding]:
    told = stack.aws("sts").get_caller_identity()
    yield Finding("identity", ok=True, found=f"{told['Arn']} in {stack.region}")


def concurrency(stack: Stack) -> Iterator[Finding]:
    """Check that the reservations leave the account enough; what the functions have reserved already is their own."""
    wanted = _reservations(stack)
    thing, functions = "reserved concurrency", stack.aws("lambda")
    limits = functions.get_account_settings()["AccountLimit"]
    free = limits["UnreservedConcurrentExecutions"] - _UNRESERVED + _reserved(stack)
    total = sum(wanted.values())
    if total <= max(free, 0):
        kept = f"{total} of {limits['ConcurrentExecutions']}" if total else "none reserved"
        yield Finding(thing, ok=True, found=kept)
        return
    why = f"Lambda rejects a reservation that leaves fewer than {_UNRESERVED} executions to other functions"
    found = f"{' + '.join(str(each) for each in wanted.values())} of {limits['ConcurrentExecutions']} executions"
    share = free // len(wanted) if free >= len(wanted) else -1
    said = f"at most {free}" if share > 0 else "-1: none can be reserved"
    yield Finding(thing, False, found, said, why, " && ".join(stack.setting(name, share) for name in wanted))


def _reservations(stack: Stack) -> dict[str, int]:
    """Return how many executions each function is to have for itself, by its variable."""
    names = ["reserved_concurrency"]
    if stack.values.get("streaming") is not False:
        names.append("stream_reserved_concurrency")
    wanted = {name: int(stack.values.get(name) or -1) for name in names}
    return {name: value for name, value in wanted.items() if value > 0}


def _reserved(stack: Stack) -> int:
    """Return how many executions the stack's functions have for themselves by now."""
    functions, name, found = stack.aws("lambda"), f"{stack.text('app_name')}-{stack.text('stage_name')}", 0
    for function in (name, f"{name}-stream"):
        with suppress(functions.exceptions.ResourceNotFoundException):
            found += functions.get_function_concurrency(FunctionName=function).get("ReservedConcurrentExecutions", 0)
    return found


def boundary(stack: Stack) -> Iterator[Finding]:
    arn, thing = stack.text("permissions_boundary_arn"), "permissions boundary"
    if not arn:
        yield Finding(thing, ok=True, found="none configured")
        return
    iam = stack.aws("iam")
    try:
        iam.get_policy(PolicyArn=arn)
    except iam.exceptions.NoSuchEntityException:
        why = "the function's role cannot be created with a missing boundary"
        fix = f"{program()} -chdir=terraform/bootstrap apply"
        yield Finding(thing, False, f"no policy {arn}", "the one that terraform/bootstrap creates", why, fix)
        return
    yield Finding(thing, ok=True, found=arn)
