"""The SSM parameters that the function reads. No secret's value is read here."""

import shlex
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError
from cryptography import x509

from tools.doctor.cognito import clients_of, pool_id_of
from tools.stack.configured import Stack, commas
from tools.stack.findings import Finding

#: An authority that ends sooner is a fault: its owner has to make another, and the server a certificate by it.
_SOON = timedelta(days=30)


def redis_url(stack: Stack) -> Iterator[Finding]:
    """Check the parameter with DescribeParameters, which does not return its value."""
    name, thing = stack.text("redis_url_parameter"), "Redis parameter"
    told = _described(stack, name)
    put = f'{_put(stack, name, "SecureString")} "$REDIS_URL"'
    if not told:
        why = "the function reads the Redis URL there; without it, no queue can be reached: 503"
        yield Finding(thing, False, f"no {name}", "a SecureString", why, put)
    elif told[0]["Type"] != "SecureString":
        why = "the URL contains a password, which anyone who can read parameters would see"
        fix = f"aws ssm delete-parameter --region {stack.region} --name {name} && {put}"
        yield Finding(thing, False, f"{name} is a {told[0]['Type']}", "a SecureString", why, fix)
    elif (key := told[0].get("KeyId", "")) in ("", "alias/aws/ssm") or stack.text("redis_kms_key_arn"):
        yield Finding(thing, ok=True, found=f"{name}, a SecureString")
    else:
        found, wanted = f"{name} is encrypted with {key}", "that key in redis_kms_key_arn"
        # A parameter names its key by ARN, id or alias; KMS resolves the latter two.
        arn = key if ":key/" in key else stack.aws("kms").describe_key(KeyId=key)["KeyMetadata"]["Arn"]
        fix = stack.setting("redis_kms_key_arn", arn)
        yield Finding(thing, False, found, wanted, "the function's role has no permission to decrypt it", fix)


def redis_authority(stack: Stack) -> Iterator[Finding]:
    """Check that the certificates of an authority of one's own are there and can be used."""
    name, thing = stack.text("redis_ca_parameter"), "Redis authority"
    if not name:
        yield Finding(thing, ok=True, found="the system's")
        return
    put = f"{_put(stack, name, 'String')} file://authority.pem"
    why = "the function would not start, or would not trust Redis: 500 or 503"
    text = value_of(stack, name)
    if text is None:
        yield Finding(thing, False, f"no {name}", "the authority's certificates as PEM", why, put)
        return
    fault = _fault_of_authority(text)
    if fault:
        yield Finding(thing, False, f"{name} {fault}", "the authority's certificates as PEM", why, f"{put} --overwrite")
    else:
        yield Finding(thing, ok=True, found=f"{name}, {_how_long(text)}" if text else _unread(name))


def further_clients(stack: Stack) -> Iterator[Finding]:
    """Check that each further client is one of the pool's."""
    name, thing = stack.text("cognito_aud_parameter"), "further clients"
    if not name:
        yield Finding(thing, ok=True, found="none configured")
        return
    known = clients_of(stack)
    given = set(commas(stack.text("cognito_aud")))
    others = ",".join(each for each in known if each not in given) or "CLIENT_ID"
    wanted, why = f"ids of clients of {pool_id_of(stack)}", "tokens of further clients would get 401"
    put = f"{_put(stack, name, 'String')} {shlex.quote(others)}"
    text = value_of(stack, name)
    if text is None:
        yield Finding(thing, False, f"no {name}", wanted, why, put)
    elif wrong := [each for each in commas(text) if each not in known]:
        yield Finding(thing, False, f"{name} names {', '.join(wrong)}", wanted, why, f"{put} --overwrite")
    else:
        yield Finding(thing, ok=True, found=", ".join(known[each] for each in commas(text)) or _unread(name))


def _put(stack: Stack, name: str, kind: str) -> str:
    return f"aws ssm put-parameter --region {stack.region} --name {name} --type {kind} --value"


def _unread(name: str) -> str:
    return f"{name}; its value was not read, which takes ssm:GetParameter or a String"


def _described(stack: Stack, name: str) -> list[Any]:
    """Return what DescribeParameters says, which never has the value; empty if there is no such parameter."""
    named = [{"Key": "Name", "Option": "Equals", "Values": [name]}]
    told: list[Any] = stack.aws("ssm").describe_parameters(ParameterFilters=named)["Parameters"]
    return told


def value_of(stack: Stack, name: str) -> str | None:
    """Return the value of a parameter that is no secret: None if there is none, empty if it may not be read."""
    told = _described(stack, name)
    if not told:
        return None
    if told[0]["Type"] == "SecureString":
        return ""
    try:
        value: str = stack.aws("ssm").get_parameter(Name=name)["Parameter"]["Value"]
    except ClientError as error:
        if "AccessDenied" in error.response["Error"]["Code"]:
            return ""
        raise
    return value


def _fault_of_authority(text: str) -> str:
    """Return what is wrong with the certificates; empty if nothing is, or if they were not read."""
    if not text:
        return ""
    if "PRIVATE KEY" in text:
        return "holds a private key, too, which everyone who may read parameters can use"
    ends = _ends(text)
    if not ends:
        return "holds no certificate"
    return "" if max(ends) > datetime.now(UTC) + _SOON else f"holds certificates of which the last ends {max(ends):%F}"


def _how_long(text: str) -> str:
    ends = _ends(text)
    return f"{len(ends)} certificate{'s' if len(ends) > 1 else ''}, until {max(ends):%F}"


def _ends(text: str) -> list[datetime]:
    try:
        return [each.not_valid_after_utc for each in x509.load_pem_x509_certificates(text.encode())]
    except ValueError:
        return []
