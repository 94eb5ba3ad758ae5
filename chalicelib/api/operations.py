"""Operations of the OpenAPI document, each declared by a decorator beside its route."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from chalicelib import errors
from chalicelib.errors import Problem

#: Problems that every operation may return.
ALWAYS: tuple[type[Problem], ...] = (errors.NotAcceptable, errors.InternalError, errors.Misconfigured)
SIGNED_IN = (
    *ALWAYS,
    errors.Unauthenticated,
    errors.InsufficientScope,
    errors.SigningKeysUnavailable,
    errors.QueueUnavailable,
    errors.EncryptionUnavailable,
)
#: Problems of a request with a body.
BODY = (errors.MalformedRequest, errors.PayloadTooLarge, errors.UnsupportedMediaType, errors.InvalidJob)

BODY_OPENAI = (errors.MalformedRequest, errors.PayloadTooLarge, errors.UnsupportedMediaType, errors.InvalidParameter)

#: Attribute of a view function that has its ``Operation``.
_ATTRIBUTE = "openapi_operation"


class Answer(NamedTuple):
    """A response other than a problem.

    Attributes:
        schema: name of the component that describes the JSON content; None if there is no content.
        headers: names of components that describe headers, besides ``X-Request-Id``.
        is_streamed: the content may come as server-sent events instead.
    """

    description: str
    schema: str | None
    headers: tuple[str, ...] = ()
    is_streamed: bool = False


class Operation(NamedTuple):
    """One operation of the document. Its ``summary`` is no docstring: the package has none of functions.

    Attributes:
        id: the ``operationId``: the name that generated clients give to its method.
        answers: by status.
        body: which request body it takes, if any.
    """

    id: str
    summary: str
    answers: Mapping[int, Answer]
    problems: tuple[type[Problem], ...]
    parameters: tuple[dict[str, Any], ...] = ()
    body: Literal["job", "batch", "response", "completion"] | None = None

    @property
    def needs_token(self) -> bool:
        return errors.Unauthenticated in self.problems


def described_by[View: Callable[..., Any]](operation: Operation) -> Callable[[View], View]:
    """Declare the operation of a view function. It belongs below ``@routes.route``."""

    def describe(view: View) -> View:
        setattr(view, _ATTRIBUTE, operation)
        return view

    return describe


def operation_of(view: Callable[..., Any]) -> Operation | None:
    """Return the operation that a view function is described by; None for preflights."""
    return getattr(view, _ATTRIBUTE, None)
