"""Every environment variable of the Lambda function, read and validated.

``Settings`` is the single source, with its bases ``JobSettings`` and ``PoolSettings``: ``make settings`` generates from
it the stages of ``.chalice/config.json``, Terraform's variables, the workflows' settings, ``.env.example`` and
``docs/settings.md``.
"""

import difflib
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from chalicelib.job_settings import JobSettings
from chalicelib.setting_values import PARAMETER_PATTERN, are_origins, is_origin, is_redis_url, split_commas
from chalicelib.user_pool import PoolSettings
from lambda_router_queue.metrics import DEFAULT_STACK, STACK_PATTERN
from lambda_router_queue.queue_keys import QUEUE_PATTERN

#: Variables with these prefixes are ours; one that Settings does not define is a typing error.
OWN_PREFIXES = ("COGNITO_", "ROUTER_", "REDIS_URL", "REDIS_CA")
#: Not a setting: in stage ``local`` it names the file that supplies settings which the shell does not set.
LOCAL_ENV_FILE = "LAMBDA_ROUTER_ENV_FILE"


class SettingsError(Exception):
    """A variable is missing, malformed or unknown. The message names it, its value and the fix."""


class Surface(NamedTuple):
    """The settings that shape the API when Chalice packages it.

    In stage ``terraform`` they are Terraform expressions, so they are used unchanged.
    """

    user_pool_arn: str
    scope: str
    cors_origin: str
    has_pages: bool = False

    @property
    def cors_origins(self) -> tuple[str, ...]:
        return _origins(self.cors_origin)


@cache
def _origins(text: str) -> tuple[str, ...]:
    """Split the origins; cached because every response needs them."""
    return tuple(split_commas(text))


class ServiceSettings(PoolSettings):
    """All settings except those of jobs."""

    redis_url: Annotated[SecretStr, AfterValidator(is_redis_url)] | None = Field(
        default=None,
        description="Where Redis or Valkey (7.2 or newer) is; secret. Set this or `REDIS_URL_PARAMETER`.",
        examples=["redis://127.0.0.1:6379/0"],
    )
    redis_url_parameter: str | None = Field(
        default=None,
        pattern=PARAMETER_PATTERN,
        description="Name of the SSM SecureString that holds the Redis URL; read once per process, never logged.",
        examples=["/lambda-router/prod/redis-url"],
    )
    redis_ca_parameter: str | None = Field(
        default=None,
        pattern=PARAMETER_PATTERN,
        description="Name of the SSM parameter with the certificates (PEM) of your own authority: with a `rediss` URL"
        " it alone is trusted. Read with the URL, and again when the server's certificate is not trusted.",
        examples=["/lambda-router/prod/redis-authority"],
    )
    router_queue: str = Field(
        default="tinyllama",
        pattern=QUEUE_PATTERN,
        description="Queue of the job types that do not name one.",
        examples=["tinyllama"],
    )
    router_rate_per_minute: int = Field(
        default=60, ge=1, le=100_000, description="Jobs that one caller may send per minute, sustained; above: 429."
    )
    router_rate_burst: int = Field(
        default=20,
        ge=1,
        le=100_000,
        description="Jobs that one caller may send at once before the rate applies.",
    )
    router_caller_waits_cap: int = Field(
        default=8, ge=0, le=1_000, description="Requests of one caller that each function holds or streams at a time."
    )
    router_waits_cap: int = Field(
        default=40,
        ge=0,
        le=1_000,
        description="The same of all callers together: fewer than Lambda may run environments, of which each keeps"
        " one. Terraform sets four fifths of each function's reserved concurrency.",
    )
    router_store_result_seconds: int = Field(
        default=86_400, ge=60, le=604_800, description="Seconds for which a final job can be fetched."
    )
    router_idempotency_seconds: int = Field(
        default=86_400, ge=60, le=604_800, description="Seconds for which an `Idempotency-Key` is remembered."
    )
    router_kms_key_id: str | None = Field(
        default=None,
        pattern=r"^(arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:(key|alias)/[0-9A-Za-z/_-]+|alias/[0-9A-Za-z/_-]+)$",
        description="KMS key that encrypts inputs and results in Redis: ARN of a key or alias, or `alias/<name>`.",
        examples=["arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"],
    )
    router_plain_text: Literal["refused", "accepted"] = Field(
        default="refused",
        description="What becomes of a result that is not encrypted although `ROUTER_KMS_KEY_ID` is set. Whoever can"
        " write to Redis can forge one, so `accepted` is for the day on which the key is first set.",
    )
    router_token_leeway_seconds: int = Field(
        default=10,
        ge=0,
        le=60,
        description="Seconds by which clocks may differ when a token's times are checked.",
    )
    router_cors_origin: Annotated[
        tuple[Annotated[str, AfterValidator(is_origin)], ...],
        BeforeValidator(split_commas),
        AfterValidator(are_origins),
    ] = Field(
        default=(),
        description="Origins whose browser pages may call the API, comma-separated, or `*` alone; unset: no CORS. Read"
        " when Chalice packages the app.",
        examples=["https://app.example.com"],
    )
    router_docs: Literal["true", "false"] = Field(
        default="false",
        description="Whether the API serves its pages: the playground at `/`, and Swagger UI at `/docs`. In stage"
        " `local` they are on unless this is `false`. Read when Chalice packages the app.",
    )
    router_stack: str = Field(
        default=DEFAULT_STACK,
        pattern=STACK_PATTERN,
        description="Name of the stack: a dimension of every metric, so that no alarm sees another stack's. Terraform"
        " sets it; tell the stack's workers the same.",
        examples=["lambda-router-prod"],
    )
    router_log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Minimum log level."
    )


class Settings(JobSettings, ServiceSettings):
    """The settings, frozen. Create them with :meth:`from_environ`; an empty variable counts as unset.

    The fields of the last base class come first.
    """

    model_config = ConfigDict(frozen=True, alias_generator=str.upper, extra="forbid", hide_input_in_errors=True)

    @property
    def models(self) -> dict[str, str]:
        """The queue of each model that callers may name."""
        named = {name: queue or self.router_queue for name, queue in self.router_models.items()}
        return named or {self.router_queue: self.router_queue}

    @classmethod
    def names(cls) -> list[str]:
        """Return every variable's name, in the order of the documentation."""
        return [name.upper() for name in cls.model_fields]

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Read and validate the variables.

        Raises:
            SettingsError: names every variable at fault, what was found and what is expected.
        """
        given = {name: environ[name] for name in cls.names() if environ.get(name)}
        if not given.get("COGNITO_REGION") and environ.get("AWS_REGION") and not given.get("COGNITO_ISSUER"):
            given["COGNITO_REGION"] = environ["AWS_REGION"]
        faults = [_unknown(name, cls.names()) for name in sorted(environ) if _is_stray(name, cls.names())]
        # Not in a validator of the model, which does not run if another variable is missing.
        if ("REDIS_URL" in given) == ("REDIS_URL_PARAMETER" in given):
            found = "both are" if "REDIS_URL" in given else "neither is"
            faults.append(f"  set exactly one of REDIS_URL and REDIS_URL_PARAMETER; {found} set")
        try:
            settings = cls.model_validate(given)
        except ValidationError as error:
            raise _refusal([*faults, *(_explain(fault, given) for fault in error.errors(include_url=False))]) from None
        if faults:
            raise _refusal(faults)
        return settings

    @staticmethod
    def surface(environ: Mapping[str, str]) -> Surface:
        """Return the variables that shape the API at packaging time, unvalidated.

        In stage ``local`` the pages are on by default: nobody else sees them there.
        """
        default_scope: str = Settings.model_fields["router_scope"].default
        return Surface(
            user_pool_arn=environ.get("COGNITO_USER_POOL_ARN", ""),
            scope=environ.get("ROUTER_SCOPE") or default_scope,
            cors_origin=environ.get("ROUTER_CORS_ORIGIN", ""),
            has_pages=(environ.get("ROUTER_DOCS") or str(LOCAL_ENV_FILE in environ).lower()) == "true",
        )


def _refusal(faults: list[str]) -> SettingsError:
    return SettingsError("\n".join(["the settings are not usable:", *faults]))


def _is_stray(name: str, known: list[str]) -> bool:
    return name.startswith(OWN_PREFIXES) and name not in known


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else "remove it; docs/settings.md lists the variables there are"
    return f"  {name}: found a variable that does not exist; {hint}"


def _explain(fault: Any, given: Mapping[str, str]) -> str:
    """Describe one rejected variable in one line; secrets are shown as asterisks."""
    name, *within = fault["loc"] or ("",)
    wanted = fault["msg"].removeprefix("Value error, ")
    if not name:
        return f"  {wanted}"
    field = Settings.model_fields[name.lower()]
    example = f", such as {field.examples[0]!r}" if field.examples else ""
    if fault["type"] == "missing":
        return f"  {name}: found nothing; wants a value{example} ({field.description})"
    found = "'****'" if name == "REDIS_URL" else repr(given.get(name, ""))
    at = ".".join(part for part in within if isinstance(part, str))
    return f"  {name}: found {found}; {at and f'{at}: '}{wanted[:1].lower()}{wanted[1:]}{example}"
