"""Calls to AWS: boto3 for the few modules that need it, and one exception for all of its errors.

boto3 comes with the Lambda runtime and takes 140 ms to import, so only processes that call AWS pay for it.
"""

from typing import Any

from lambda_router_queue import deadlines


class AWSRefused(Exception):
    """AWS replied with an error, or not at all. ``code`` is AWS's code for it, or the name of boto3's exception."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def client(service: str, *, connect_seconds: float, read_seconds: float, attempts: int, region: str | None) -> Any:
    """Return a client with time limits. With ``region`` None, the environment's region applies.

    Raises:
        AWSRefused: no region is known.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    patience = Config(
        connect_timeout=connect_seconds, read_timeout=read_seconds, retries={"total_max_attempts": attempts}
    )
    try:
        return boto3.client(service, config=patience, region_name=region)
    except BotoCoreError as error:
        raise AWSRefused(type(error).__name__) from None


def ask(connected: Any, operation: str, **question: Any) -> dict[str, Any]:
    """Call an operation within ``QUESTION_SECONDS`` and return its response: boto3 limits each step, not the whole.

    Raises:
        AWSRefused: instead of boto3's exceptions, which quote what they were given.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        with deadlines.within(deadlines.QUESTION_SECONDS):
            answer: dict[str, Any] = deadlines.in_time(lambda: getattr(connected, operation)(**question))
    except TimeoutError:
        raise AWSRefused("no answer in time") from None
    except (BotoCoreError, ClientError) as error:
        answered = getattr(error, "response", None) or {}
        raise AWSRefused(answered.get("Error", {}).get("Code", type(error).__name__)) from None
    return answer
