"""Secrets from SSM Parameter Store."""

from lambda_router_queue.encryption.aws_calls import AWSRefused, ask, client


class ParameterUnavailable(Exception):
    """The parameter could not be read. The message names the parameter and the fix, never its value."""


def fetch_secret(name: str) -> str:
    """Fetch the value of a SecureString.

    Raises:
        ParameterUnavailable: the parameter does not exist, or the role may not read it.
    """
    try:
        ssm = client("ssm", connect_seconds=0.7, read_seconds=0.7, attempts=2, region=None)
        value: str = ask(ssm, "get_parameter", Name=name, WithDecryption=True)["Parameter"]["Value"]
    except AWSRefused as refused:
        raise ParameterUnavailable(
            f"REDIS_URL_PARAMETER: the SSM parameter {name!r} cannot be read ({refused.code}); check that it exists in"
            " this region and that the function's role has ssm:GetParameter on it and kms:Decrypt on its key"
        ) from None
    return value
