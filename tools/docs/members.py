"""The tables of ``docs/openai.md``: the members of a request to the OpenAI API, and what becomes of each."""

import typing
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from chalicelib.openai.completion_request import CompletionRequest
from chalicelib.openai.members import Member, members_of
from chalicelib.openai.response_request import ResponseRequest
from tools.docs.markdown import code, table


def response_members() -> str:
    """Return the members of ``POST /v1/responses``."""
    return _members(ResponseRequest)


def completion_members() -> str:
    """Return the members of ``POST /v1/chat/completions``."""
    return _members(CompletionRequest)


def _members(model: type[BaseModel]) -> str:
    rows = [(code(name), _accepted(member), member.description) for name, member in _with_inner(model)]
    return table(("Member", "Honoured, or accepted only as", "Note"), rows)


def _with_inner(model: type[BaseModel]) -> Iterator[tuple[str, Member]]:
    """Yield every member with its name; after an honoured object also those inside it that are not honoured."""
    for member in members_of(model):
        yield member.name, member
        for inner in _objects(_annotation(model, member.name)):
            yield from ((f"{member.name}.{each.name}", each) for each in members_of(inner) if each.accepted)


def _annotation(model: type[BaseModel], name: str) -> Any:
    return next(field.annotation for key, field in model.model_fields.items() if (field.alias or key) == name)


def _objects(annotation: Any) -> list[type[BaseModel]]:
    """Return the models that a member may be; none for a list of them."""
    kinds = typing.get_args(annotation) or (annotation,)
    return [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]


def _accepted(member: Member) -> str:
    return ", ".join(map(code, member.accepted)) or "honoured"
