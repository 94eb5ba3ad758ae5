"""Which members of a request are honoured, and which are accepted only with a value that changes nothing.

``docs/openai.md`` lists them, generated from the models that use this.
"""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic_core import core_schema


class Only:
    """The mark of a member that is not supported, for ``Annotated``: it must be null, or one of these values."""

    def __init__(self, *values: Any) -> None:
        self.accepted = (None, *values)

    def __get_pydantic_core_schema__(self, *_: Any) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, *_: Any) -> dict[str, Any]:
        return {"enum": list(self.accepted)}

    def check(self, value: Any) -> Any:
        """Return the value. Raises ValueError unless it is accepted."""
        if any(value == each and isinstance(value, bool) == isinstance(each, bool) for each in self.accepted):
            return value
        wanted = " or ".join(json.dumps(each) for each in self.accepted if each is not None)
        raise ValueError(f"is not supported: omit it{f', or send {wanted}' if wanted else ''}")


class Member(NamedTuple):
    """A member of a request.

    Attributes:
        accepted: the values that change nothing, as JSON; empty if the member is honoured.
    """

    name: str
    accepted: tuple[str, ...]
    description: str


def members_of(model: type[BaseModel]) -> Iterator[Member]:
    """Yield every member of a request's model, in its order."""
    for name, field in model.model_fields.items():
        mark = next((each for each in field.metadata if isinstance(each, Only)), None)
        accepted = tuple(json.dumps(value) for value in mark.accepted) if mark else ()
        yield Member(field.alias or name, accepted, field.description or "")


def require_stream(stream: bool | None, options: BaseModel | None) -> None:
    """Raise ValueError if there are options of a stream without a stream."""
    if options is not None and not stream:
        raise ValueError("stream_options needs stream: true")
