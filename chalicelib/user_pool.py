"""The Cognito user pool: its settings, and its issuers, which are the accepted values of a token's ``iss`` claim.

A pool whose issuer type is UPDATED uses another host than one whose type is ORIGINAL. While a pool is switched, tokens
of both kinds are in use. Both issuers belong to the pool and end in its id
(https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_IssuerConfigurationType.html).
"""

from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from chalicelib.partitions import REGION_PATTERN, partition_of
from chalicelib.setting_values import (
    PARAMETER_PATTERN,
    has_user_pools,
    is_https,
    is_https_origin,
    is_key_source,
    split_commas,
)

#: First label of the host, by the pool's issuer type (DescribeUserPool, ``IssuerConfiguration.Type``).
ISSUER_HOSTS = {"ORIGINAL": "cognito-idp", "UPDATED": "issuer-cognito-idp"}


def issuers_of(pool_id: str) -> dict[str, str]:
    """Return the pool's issuer of each issuer type. The id begins with the pool's region."""
    region = pool_id.partition("_")[0]
    suffix = partition_of(region).dns_suffix
    return {kind: f"https://{host}.{region}.{suffix}/{pool_id}" for kind, host in ISSUER_HOSTS.items()}


def key_address(issuer: str) -> str:
    """Return the URL at which an issuer publishes its signing keys."""
    return f"{issuer}/.well-known/jwks.json"


def check_issuer(issuer: str, pool_id: str) -> None:
    """Reject a Cognito issuer of another pool. Other hosts, such as a stand-in on loopback, may have any path.

    Raises:
        ValueError: the issuer belongs to another pool.
    """
    parts = urlsplit(issuer)
    host = (parts.hostname or "").partition(".")[0].removesuffix("-fips")
    if host in ISSUER_HOSTS.values() and parts.path != f"/{pool_id}":
        raise ValueError(
            f"COGNITO_ISSUER names {issuer!r}, which is not an issuer of COGNITO_USER_POOL_ID {pool_id!r}: an issuer of"
            f" Cognito ends in '/{pool_id}'"
        )


_HttpsURL = Annotated[str, AfterValidator(is_https)]


class PoolSettings(BaseModel):
    """The settings that name the user pool, and the tokens of it that are accepted."""

    model_config = ConfigDict(defer_build=True)

    cognito_user_pool_id: Annotated[str, AfterValidator(has_user_pools)] = Field(
        pattern=rf"^{REGION_PATTERN}_[0-9A-Za-z]{{1,55}}$",
        description="Id of the Cognito user pool whose access tokens are accepted.",
        examples=["eu-central-1_AbCdEf123"],
    )
    cognito_aud: Annotated[tuple[str, ...], BeforeValidator(split_commas)] = Field(
        min_length=1,
        description="Ids of the app clients whose tokens are accepted, comma-separated: the `client_id` claim.",
        examples=["1h57kf5cpq17m0eml12EXAMPLE"],
    )
    cognito_aud_parameter: str | None = Field(
        default=None,
        pattern=PARAMETER_PATTERN,
        description="Name of the SSM parameter with the ids of further app clients, comma-separated; read when a token"
        " names one that `COGNITO_AUD` lacks, and kept for five minutes. The parameter may be made after the stage.",
        examples=["/lambda-router/prod/pages-client"],
    )
    cognito_login_client_id: str | None = Field(
        default=None,
        pattern=r"^[\w+]{1,128}$",
        description="Id of the public app client with which people sign in, by `lambda-router login`: the address of"
        " the API leads there. Its tokens are accepted like those of `COGNITO_AUD`. Unset: people cannot sign in so.",
        examples=["2h68lg6dqr28n1fnm23EXAMPLE"],
    )
    cognito_domain: Annotated[str, AfterValidator(is_https_origin)] | None = Field(
        default=None,
        description="Origin of the user pool's domain, at which the pages of `ROUTER_DOCS` let people sign in. Unset:"
        " the pages take a token instead.",
        examples=["https://team.auth.eu-central-1.amazoncognito.com"],
    )
    cognito_region: str = Field(
        default="",
        description="Region of the user pool; `AWS_REGION` where unset. Must be the one in the pool's id.",
        examples=["eu-central-1"],
    )
    cognito_issuer: Annotated[tuple[_HttpsURL, ...], BeforeValidator(split_commas)] = Field(
        default=(),
        description="Values of the `iss` claim that are taken beside the pool's own two, comma-separated: such as the"
        " issuer of the pool's replica in another region. The first is where people sign in.",
        examples=["https://cognito-idp.eu-west-1.amazonaws.com/eu-central-1_AbCdEf123"],
    )
    cognito_jwks: Annotated[str, AfterValidator(is_key_source)] | None = Field(
        default=None,
        description="Where the signing keys are: a URL, a file, or the JWKS itself as JSON (for a function in a VPC"
        " without a way out). Where unset: `/.well-known/jwks.json` of the issuers.",
        examples=["/var/task/jwks.json"],
    )
    cognito_user_pool_arn: str = Field(
        default="",
        description="ARN of the user pool for API Gateway's own authorizer. Empty only in stage `local`, where our"
        " own check of the token stands alone. Read when Chalice packages the app.",
        examples=["arn:aws:cognito-idp:eu-central-1:123456789012:userpool/eu-central-1_AbCdEf123"],
    )
    router_scope: str = Field(
        default="lambda-router/jobs",
        min_length=1,
        pattern=r'^[^\s"\\]+$',
        description="Scope that a token must carry. Read when Chalice packages the app, too.",
        examples=["lambda-router/jobs"],
    )

    @model_validator(mode="after")
    def _name_one_pool(self) -> Self:
        pool_region = self.cognito_user_pool_id.split("_")[0]
        if self.cognito_region and self.cognito_region != pool_region:
            raise ValueError(
                f"COGNITO_REGION is {self.cognito_region!r} but COGNITO_USER_POOL_ID names a pool in {pool_region!r}: "
                "set both from the same pool"
            )
        for issuer in self.cognito_issuer:
            check_issuer(issuer, self.cognito_user_pool_id)
        return self

    @property
    def client_ids(self) -> frozenset[str]:
        """The app clients whose tokens are accepted without a look at ``COGNITO_AUD_PARAMETER``."""
        login = [self.cognito_login_client_id] if self.cognito_login_client_id else []
        return frozenset([*self.cognito_aud, *login])

    @property
    def issuer(self) -> str:
        """The issuer at which people sign in: the first of the setting, or else the pool's own of type ORIGINAL."""
        return self.issuers[0]

    @property
    def issuers(self) -> tuple[str, ...]:
        """The accepted values of a token's ``iss``."""
        pools_own = issuers_of(self.cognito_user_pool_id).values()
        return tuple(dict.fromkeys([*self.cognito_issuer, *pools_own]))

    @property
    def key_sources(self) -> tuple[str, ...]:
        """The sources of the signing keys, in the order in which they are tried."""
        return (self.cognito_jwks,) if self.cognito_jwks else tuple(map(key_address, self.issuers))
