"""``terraform/settings.tf``: Terraform's variables for the function, from ``chalicelib.settings.Settings``.

Type, default and limits are those of the setting. Rules that only Terraform can check are written below, such as that
two variables name the same user pool.
"""

import json
import textwrap
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import AfterValidator
from pydantic.fields import FieldInfo

from chalicelib.job_settings import MAX_WORK_SECONDS, TypeTerms
from chalicelib.partitions import PREFIXES_WITHOUT_USER_POOLS, WITHOUT_USER_POOLS
from chalicelib.settings import Settings
from lambda_router_queue.models import MAX_REST_SECONDS

_NOTICE = (
    "# Written by `make settings` from chalicelib/settings.py; edits here are lost. Rules that only Terraform checks\n"
    "# are in tools/docs/terraform.py. In alphabetical order.\n"
)

#: Settings without a Terraform variable. A secret must not enter the state, and OPTIONS methods are decided when the
#: app is packaged, before Terraform knows any value.
NOT_VARIABLES = frozenset({"redis_url", "router_cors_origin", "router_stack", "router_waits_cap"})

#: Settings derived from other Terraform variables: from the stack's name, and from its reserved concurrency.
LOCALS = {"router_stack": "local.name", "router_waits_cap": "local.waits_cap"}

#: Defaults that mean "not set".
EMPTY: tuple[Any, ...] = (None, "", (), {})

#: Optional for the function, required for the stack.
_REQUIRED = frozenset({"cognito_user_pool_arn", "redis_url_parameter"})


@dataclass(frozen=True)
class Rule:
    """One ``validation`` of a variable: a condition in HCL, and its error message."""

    condition: str
    message: str


def example(name: str) -> str:
    """Return an example of a setting's value."""
    return str((Settings.model_fields[name].examples or [""])[0])


def _is_a_parameters_name(name: str, held: str) -> Rule:
    return Rule(
        f'var.{name} == "" || startswith(var.{name}, "/")',
        f"{name} must begin with '/', such as {example(name)}: its ARN is derived from it. {held} does not belong"
        " here.",
    )


def _fits_into_the_body(name: str) -> Rule:
    return Rule(
        f"var.{name} <= var.router_max_body_bytes",
        f"{name} must not exceed router_max_body_bytes: such an input would not fit into a body.",
    )


_RULES: dict[str, tuple[Rule, ...]] = {
    "cognito_aud": (
        Rule(
            'can(regex("^[0-9A-Za-z_+]+( *, *[0-9A-Za-z_+]+)*$", var.cognito_aud))',
            "cognito_aud must be one or more ids of app clients, comma-separated.",
        ),
    ),
    "cognito_aud_parameter": (_is_a_parameters_name("cognito_aud_parameter", "A client's id"),),
    "cognito_domain": (
        Rule(
            'var.cognito_domain == "" || can(regex("^https://[a-z0-9.-]+$", var.cognito_domain))',
            f"cognito_domain must be empty or an https origin in lower case, such as {example('cognito_domain')}.",
        ),
    ),
    "cognito_issuer": (
        Rule(
            'alltrue([for each in split(",", var.cognito_issuer) :'
            ' !can(regex("^https://(issuer-)?cognito-idp[.]", trimspace(each)))'
            ' || endswith(trimspace(each), "/${var.cognito_user_pool_id}")])',
            "cognito_issuer names another pool than cognito_user_pool_id: a Cognito issuer ends with the pool's id.",
        ),
    ),
    "cognito_jwks": (
        Rule(
            '!startswith(var.cognito_jwks, "http://")',
            "cognito_jwks must not be fetched without TLS: write an https URL, a path or JSON.",
        ),
        Rule(
            '!startswith(trimspace(var.cognito_jwks), "{") || can(jsondecode(var.cognito_jwks))',
            "cognito_jwks begins with '{' but is not JSON.",
        ),
    ),
    "cognito_region": (
        Rule(
            'var.cognito_region == "" || startswith(var.cognito_user_pool_id, "${var.cognito_region}_")',
            "cognito_region must be empty or the region that cognito_user_pool_id begins with.",
        ),
        Rule(
            'var.cognito_region != "" || var.cognito_issuer != "" ||'
            ' startswith(var.cognito_user_pool_id, "${var.aws_region}_")',
            "The user pool is in another region than aws_region: set cognito_region to the one that"
            " cognito_user_pool_id begins with.",
        ),
    ),
    "cognito_user_pool_arn": (
        Rule(
            'can(regex("^arn:aws[a-z-]*:cognito-idp:[a-z0-9-]+:[0-9]{12}:userpool/", var.cognito_user_pool_arn))',
            f"cognito_user_pool_arn must look like {example('cognito_user_pool_arn')}.",
        ),
        Rule(
            'endswith(var.cognito_user_pool_arn, ":userpool/${var.cognito_user_pool_id}")',
            "cognito_user_pool_arn must end with cognito_user_pool_id: API Gateway and the function would use"
            " different pools.",
        ),
    ),
    "cognito_user_pool_id": (
        Rule(
            f'!can(regex("^({"|".join(PREFIXES_WITHOUT_USER_POOLS)})", var.cognito_user_pool_id))',
            f"cognito_user_pool_id {WITHOUT_USER_POOLS}.",
        ),
    ),
    "router_image_hosts": (
        Rule(
            'var.router_image_hosts == "" || can(regex("^[a-z0-9.-]+( *, *[a-z0-9.-]+)*$", var.router_image_hosts))',
            "router_image_hosts must be empty or names of hosts in lower case, comma-separated.",
        ),
    ),
    "router_job_attempts": (
        Rule(
            f"var.router_job_attempts * (var.router_job_timeout_seconds + {MAX_REST_SECONDS}) <= {MAX_WORK_SECONDS}",
            f"router_job_attempts times (router_job_timeout_seconds + {MAX_REST_SECONDS}) must be at most"
            f" {MAX_WORK_SECONDS}: a job may take at most a day.",
        ),
    ),
    "router_job_types": (
        Rule(
            'var.router_job_types == "" || can(merge(values(jsondecode(var.router_job_types))...))',
            f"router_job_types must be empty or JSON such as {example('router_job_types')}.",
        ),
        Rule(
            'var.router_job_types == "" || length(setsubtract(flatten([for terms in'
            " try(values(jsondecode(var.router_job_types)), []) : try(keys(terms), [])]),"
            f" {json.dumps(list(TypeTerms.model_fields))})) == 0",
            f"router_job_types may set only {', '.join(TypeTerms.model_fields)} for a job type.",
        ),
    ),
    "router_kms_key_id": (
        Rule(
            'var.router_kms_key_id == "" || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/",'
            " var.router_kms_key_id))",
            "router_kms_key_id must be empty or the ARN of a key (not of an alias): the role's permission names it.",
        ),
    ),
    "router_max_batch_bytes": (
        Rule(
            "var.router_max_batch_bytes >= var.router_max_body_bytes",
            "router_max_batch_bytes must not be below router_max_body_bytes: a batch could not hold such a job.",
        ),
    ),
    "router_max_chat_bytes": (_fits_into_the_body("router_max_chat_bytes"),),
    "router_max_prompt_bytes": (_fits_into_the_body("router_max_prompt_bytes"),),
    "router_models": (
        Rule(
            'var.router_models == "" || can(regex("^[0-9A-Za-z][0-9A-Za-z._/:@+-]*(=[a-z0-9-]+)?'
            '( *, *[0-9A-Za-z][0-9A-Za-z._/:@+-]*(=[a-z0-9-]+)?)*$", var.router_models))',
            "router_models must be empty or models such as tinyllama,phi-3=phi: name or name=queue, comma-separated.",
        ),
    ),
    "router_retry_longest_seconds": (
        Rule(
            "var.router_retry_longest_seconds >= var.router_retry_first_seconds",
            "router_retry_longest_seconds must not be below router_retry_first_seconds.",
        ),
    ),
    "router_stream_seconds": (
        Rule(
            "!var.streaming || var.router_stream_seconds <= 890",
            "router_stream_seconds must not exceed 890 with streaming: Lambda stops the function after 900 seconds, and"
            " the response needs some to end as an error.",
        ),
    ),
    "redis_ca_parameter": (_is_a_parameters_name("redis_ca_parameter", "The certificate"),),
    "redis_url_parameter": (
        Rule(
            'startswith(var.redis_url_parameter, "/")',
            "redis_url_parameter must begin with '/', such as /lambda-router/prod/redis-url: its ARN is derived from"
            " it. The URL itself does not belong here.",
        ),
    ),
}


def variables() -> dict[str, FieldInfo]:
    """Return the settings that are Terraform variables, by the variable's name, in alphabetical order."""
    return {name: field for name, field in sorted(Settings.model_fields.items()) if name not in NOT_VARIABLES}


def settings_tf() -> str:
    """Return the file, formatted as by ``terraform fmt``."""
    return "\n".join([_NOTICE, *(_variable(name, field) for name, field in variables().items())])


def default_text(field: FieldInfo) -> str:
    """Return a setting's default as the text of an environment variable; empty if there is none."""
    return "" if field.is_required() or field.default in EMPTY else str(field.default)


def _variable(name: str, field: FieldInfo) -> str:
    is_number, default = field.annotation is int, default_text(field)
    lines = [
        f"description = {quoted(f'{name.upper()}: {field.description}')}",
        f"type        = {'number' if is_number else 'string'}",
    ]
    if not _is_required(name, field):
        lines.append(f"default     = {default if is_number else quoted(default)}")
    lines.append("nullable    = false")
    rules = "".join(
        f"\nvalidation {{\n  condition     = {rule.condition}\n  error_message = {quoted(rule.message)}\n}}\n"
        for rule in (*_derived(name, field), *_RULES.get(name, ()))
    )
    return f'variable "{name}" {{\n{textwrap.indent("\n".join(lines), "  ")}\n{textwrap.indent(rules, "  ")}}}\n'


def _is_required(name: str, field: FieldInfo) -> bool:
    return field.is_required() or name in _REQUIRED


def _derived(name: str, field: FieldInfo) -> Iterator[Rule]:
    """Yield the rules from the setting's own limits; a variable whose default is empty may be empty."""
    unset = "" if _is_required(name, field) or default_text(field) else f'var.{name} == "" || '
    pattern = _limit(field, "pattern")
    if field.annotation is int:
        low, high = _limit(field, "ge"), _limit(field, "le")
        yield Rule(
            f"var.{name} >= {low} && var.{name} <= {high} && floor(var.{name}) == var.{name}",
            f"{name} must be a whole number from {low} to {high}.",
        )
    if typing.get_origin(field.annotation) is Literal:
        words = typing.get_args(field.annotation)
        yield Rule(f"contains({json.dumps(words)}, var.{name})", f"{name} must be one of {', '.join(words)}.")
    if pattern:
        example = f", such as {field.examples[0]}" if field.examples else ""
        yield Rule(f"{unset}can(regex({quoted(pattern)}, var.{name}))", f"{name} must match {pattern}{example}.")
    if "is_https" in checks_of(field):
        each = f'[for each in split(",", var.{name}) : startswith(trimspace(each), "https://")]'
        yield Rule(f"{unset}alltrue({each})", f"{name} must be empty or comma-separated https URLs.")


def _limit(field: FieldInfo, kind: str) -> Any:
    return next((getattr(part, kind) for part in field.metadata if getattr(part, kind, None) is not None), None)


def checks_of(field: FieldInfo) -> list[str]:
    """Return the names of the functions that check the value, including those of an optional value."""
    inner = [part for kind in typing.get_args(field.annotation) for part in getattr(kind, "__metadata__", ())]
    checks = [part for part in [*field.metadata, *inner] if isinstance(part, AfterValidator)]
    return [str(getattr(check.func, "__name__", "")) for check in checks]


def quoted(text: str) -> str:
    """Return an HCL string in which nothing is an expression."""
    return json.dumps(text, ensure_ascii=False).replace("${", "$${").replace("%{", "%%{")
