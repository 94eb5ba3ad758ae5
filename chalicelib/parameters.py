"""Secrets from SSM Parameter Store."""


class ParameterUnavailable(Exception):
    """The parameter could not be read; the message names it and the fix, never its value."""


def fetch_secret(name: str) -> str:
    """The value of a SecureString.

    boto3 comes with the Lambda runtime and costs 140 ms to import, so only those who ask for a secret pay.

    Raises:
        ParameterUnavailable: it does not exist, or the role may not read it.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        patience = Config(connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 2})
        answer = boto3.client("ssm", config=patience).get_parameter(Name=name, WithDecryption=True)
    except (BotoCoreError, ClientError) as error:
        answered = getattr(error, "response", None) or {}
        code = answered.get("Error", {}).get("Code", type(error).__name__)
        raise ParameterUnavailable(
            f"REDIS_URL_PARAMETER: the SSM parameter {name!r} cannot be read ({code}); check that it exists in this "
            "region and that the function's role has ssm:GetParameter on it and kms:Decrypt on its key"
        ) from None
    value: str = answer["Parameter"]["Value"]
    return value
