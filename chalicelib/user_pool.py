"""The issuers of a Cognito user pool: the accepted values of its tokens' ``iss`` claim.

A pool whose issuer type is UPDATED uses another host than one whose type is ORIGINAL. While a pool is switched, tokens
of both kinds are in use. Both issuers belong to the pool and end in its id
(https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_IssuerConfigurationType.html).
"""

from urllib.parse import urlsplit

from chalicelib.partitions import partition_of

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
