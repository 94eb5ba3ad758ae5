"""Values from SSM Parameter Store."""

from collections.abc import Mapping

from lambda_router_queue.encryption.aws_calls import AWSRefused, ask, client


class ParameterUnavailable(Exception):
    """A parameter could not be read. The message names the setting, the parameter and the fix, never a value.

    Attributes:
        decided: whether AWS said that there is no such parameter, or that the role may not read it. Otherwise AWS did
            not answer, and the next attempt may succeed.
    """

    def __init__(self, explanation: str, *, decided: bool = True) -> None:
        super().__init__(explanation)
        self.decided = decided


def fetch_parameter(setting: str, name: str) -> str:
    """Fetch the value of the parameter that a setting names. Raises like ``fetch_parameters``."""
    return fetch_parameters({setting: name})[setting]


def fetch_parameters(names: Mapping[str, str]) -> dict[str, str]:
    """Fetch the values of the parameters that these settings name, by setting, in one call.

    One parameter takes GetParameter, which every role of a function has had since the first release, and several take
    GetParameters, which is another permission.

    Raises:
        ParameterUnavailable: a parameter does not exist, or the role may not read it.
    """
    operation = "get_parameter" if len(names) == 1 else "get_parameters"
    question = {"Name": next(iter(names.values()))} if len(names) == 1 else {"Names": sorted(set(names.values()))}
    try:
        ssm = client("ssm", connect_seconds=0.7, read_seconds=0.7, attempts=2, region=None)
        reply = ask(ssm, operation, **question, WithDecryption=True)
    except AWSRefused as refused:
        raise _unavailable(names, refused.code) from None
    values = {each["Name"]: each["Value"] for each in reply.get("Parameters", [reply.get("Parameter")])}
    if missing := {setting: name for setting, name in names.items() if name not in values}:
        raise _unavailable(missing, _MISSING)
    return {setting: values[name] for setting, name in names.items()}


_MISSING = "ParameterNotFound"
#: Codes with which AWS says no, as opposed to none, or to one about the moment, such as ThrottlingException.
_DECIDED = frozenset({_MISSING, "AccessDeniedException", "ValidationException", "InvalidKeyId"})


def _unavailable(names: Mapping[str, str], code: str) -> ParameterUnavailable:
    settings, parameters = " and ".join(names), " and ".join(map(repr, names.values()))
    action = "ssm:GetParameter" if len(names) == 1 else "ssm:GetParameters"
    return ParameterUnavailable(
        f"{settings}: the SSM parameter {parameters} cannot be read ({code}); check that it exists in this region and"
        f" that the function's role has {action} on it and, for a SecureString, kms:Decrypt on its key",
        decided=code in _DECIDED,
    )
