"""Lambda's entry point: for any event, return a response that API Gateway can pass on.

Chalice alone raises on events that do not come from a REST API, or responds to them with 500. Only a REST API is wired
to this function, so a wrong trigger, a test event from the console or another kind of gateway gets a clear error.
``chalicelib/chalice_local.py`` first completes the events of Chalice's own server and test client.
"""

import json
import re
import sys
from itertools import takewhile
from typing import Annotated, Any

from chalice.app import Chalice
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from chalicelib.errors import PROBLEM_CONTENT_TYPE, InternalError, MalformedRequest, Problem
from chalicelib.observability import log

_PARAMETER = re.compile(r"{(\w+)}")

#: Any text without a lone surrogate, which JSON can carry and UTF-8 cannot. The constraint makes Pydantic look for one.
Text = Annotated[str, StringConstraints(min_length=0)]
#: A value that is echoed in a response header. It has no control characters, so it cannot start another header.
HeaderText = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$")]


class _Event(BaseModel):
    model_config = ConfigDict(strict=True, alias_generator=to_camel)


class _RequestContext(_Event):
    resource_path: Text
    http_method: Text
    path: HeaderText
    request_id: HeaderText | None = None


class ProxyEvent(_Event):
    """The members that are read from a Lambda proxy event of a REST API, payload format 1.0.

    Source: API Gateway Developer Guide, "Input format of a Lambda function for proxy integration".
    """

    request_context: _RequestContext
    headers: dict[Text, Text] | None
    multi_value_headers: dict[Text, list[Text]] | None = None
    multi_value_query_string_parameters: dict[Text, list[Text]] | None
    path_parameters: dict[Text, Text] | None
    stage_variables: dict[Text, Text] | None
    body: Text | None
    is_base64_encoded: bool

    @model_validator(mode="after")
    def _path_is_whole(self) -> "ProxyEvent":
        wanted = set(_PARAMETER.findall(self.request_context.resource_path))
        if not wanted <= (self.path_parameters or {}).keys():
            raise ValueError("a parameter of the path is missing")
        return self


#: The names of an event's members.
_OURS = frozenset(str(field.alias) for kind in (ProxyEvent, _RequestContext) for field in kind.model_fields.values())


class Router(Chalice):
    """The Chalice app; see the module's docstring."""

    def __call__(self, event: Any, context: Any) -> dict[str, Any]:
        if "chalice.local" in sys.modules:  # never in Lambda: the package does not contain it
            from chalicelib import chalice_local

            if chalice_local.is_chalices(event, context):
                return chalice_local.answer(self._checked, event, context)
        return self._checked(event, context)

    def _checked(self, event: Any, context: Any) -> dict[str, Any]:
        try:
            ProxyEvent.model_validate(event)
            return super().__call__(event, context)
        except ValidationError as error:
            request_id = _request_id(context)
            explanation = f"not an event of a REST API: see {_member_at_fault(error) or 'the whole'}"
            log.warning("refused_event", extra={"explanation": explanation})
            return _answer(MalformedRequest("This is not a request of an API Gateway REST API."), request_id)
        except Exception:
            request_id = _request_id(context)
            log.exception("unforeseen")
            return _answer(InternalError(), request_id)


def _request_id(context: Any) -> str:
    """Return Lambda's id of the invocation, and add it to the log lines that follow."""
    request_id = str(getattr(context, "aws_request_id", ""))
    log.thread_safe_append_keys(request_id=request_id)
    return request_id


def _member_at_fault(error: ValidationError) -> str:
    """Return the path to the faulty member, up to the first name that a caller chose (a header or parameter)."""
    at = error.errors(include_input=False, include_url=False)[0]["loc"]
    return ".".join(takewhile(_OURS.__contains__, map(str, at)))


def _answer(problem: Problem, request_id: str) -> dict[str, Any]:
    return {
        "statusCode": problem.status,
        "headers": {
            "Content-Type": PROBLEM_CONTENT_TYPE,
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "X-Request-Id": request_id,
        },
        "multiValueHeaders": {},
        "body": json.dumps(problem.to_dict(request_id)),
        "isBase64Encoded": False,
    }
