"""The custom domain: its certificate and Route 53 zone, or the domain itself if another stack creates it."""

from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import ClientError

from tools.stack.configured import Stack
from tools.stack.findings import Finding

_THING = "custom domain"


def domain(stack: Stack) -> Iterator[Finding]:
    asked: dict[str, Any] | None = stack.values.get("custom_domain")
    if asked is None:
        yield Finding(_THING, ok=True, found="none configured")
        return
    name: str = asked["name"]
    if asked.get("certificate_arn"):
        yield _certificate(stack, name, asked["certificate_arn"])
    elif _found(lambda: stack.aws("apigateway").get_domain_name(domainName=name)) is None:
        why = "without certificate_arn, only a base path is added, to a domain that must exist"
        fix = f"aws apigateway get-domain-names --region {stack.region}"
        yield Finding(_THING, False, f"no {name} in {stack.region}", "an existing domain, or certificate_arn", why, fix)
    else:
        yield Finding(_THING, ok=True, found=f"{name} exists")
    if asked.get("zone_id"):
        yield _zone(stack, name, asked["zone_id"])


def _certificate(stack: Stack, name: str, arn: str) -> Finding:
    thing, why = f"certificate of {_THING}", "API Gateway does not create the domain"
    look = f"aws acm list-certificates --region {stack.region}"
    told = _found(lambda: stack.aws("acm").describe_certificate(CertificateArn=arn)["Certificate"])
    if told is None:
        return Finding(thing, False, f"no {arn}", f"one for {name} in {stack.region}", why, look)
    names = [told["DomainName"], *told.get("SubjectAlternativeNames", [])]
    if not any(_covers(each, name) for each in names):
        return Finding(thing, False, f"covers only {', '.join(dict.fromkeys(names))}", name, why, look)
    if told["Status"] != "ISSUED":
        look = f"aws acm describe-certificate --region {stack.region} --certificate-arn {arn}"
        why += " until the certificate is issued: create the DNS record that this command shows"
        return Finding(thing, False, told["Status"], "ISSUED", why, look)
    return Finding(thing, ok=True, found=f"issued for {name}")


def _zone(stack: Stack, name: str, zone: str) -> Finding:
    thing, wanted, look = f"zone of {_THING}", f"the zone of {name}", "aws route53 list-hosted-zones"
    why = "the DNS record cannot be created, or would not be found"
    told = _found(lambda: stack.aws("route53").get_hosted_zone(Id=zone)["HostedZone"])
    if told is None:
        return Finding(thing, False, f"no {zone}", wanted, why, look)
    apex = told["Name"].rstrip(".")
    if name != apex and not name.endswith(f".{apex}"):
        return Finding(thing, False, f"{zone} is the zone of {apex}", wanted, why, look)
    return Finding(thing, ok=True, found=f"{zone} of {apex}")


def _covers(pattern: str, name: str) -> bool:
    """Return whether a certificate covers the domain; a wildcard stands for one label (RFC 6125, section 6.4.3)."""
    return pattern == name or (pattern.startswith("*.") and pattern[2:] == name.partition(".")[2])


def _found(ask: Callable[[], Any]) -> Any:
    """Return the response, or None if the resource does not exist."""
    try:
        return ask()
    except ClientError as error:
        if error.response["Error"]["Code"] not in {
            "NoSuchHostedZone",
            "NotFoundException",
            "ResourceNotFoundException",
        }:
            raise
        return None
