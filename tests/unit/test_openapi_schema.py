"""chalicelib.api.openapi_schema: what pydantic writes becomes what OpenAPI 3.0 understands."""

from typing import Annotated, Any, Literal

import pytest
from openapi_schema_validator import OAS30Validator
from openapi_spec_validator import validate
from pydantic import BaseModel, Field, ValidationError

from chalicelib.api.openapi import document
from chalicelib.api.openapi_schema import to_openapi_30
from chalicelib.jobs.job_types import JobType, registry
from lambda_router_queue.models import Closed

A = {"$ref": "#/components/schemas/A"}
NULL = {"type": "null"}

RULES: dict[str, tuple[Any, Any]] = {
    "what 3.0 knows stays": ({"type": "string", "minLength": 1}, {"type": "string", "minLength": 1}),
    "a constant": ({"const": "a", "title": "T"}, {"enum": ["a"], "title": "T"}),
    "a constant that is false": ({"const": False}, {"enum": [False]}),
    "null beside one type": (
        {"anyOf": [{"type": "integer", "minimum": 1}, NULL], "default": None},
        {"type": "integer", "minimum": 1, "nullable": True, "default": None},
    ),
    "null in front": ({"anyOf": [NULL, {"type": "string"}]}, {"type": "string", "nullable": True}),
    "two types without null": (
        {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        {"anyOf": [{"type": "string"}, {"type": "integer"}]},
    ),
    "an exclusive minimum": ({"exclusiveMinimum": 0}, {"minimum": 0, "exclusiveMinimum": True}),
    "an exclusive maximum": ({"exclusiveMaximum": 1.5}, {"maximum": 1.5, "exclusiveMaximum": True}),
    "both": (
        {"exclusiveMinimum": 0, "exclusiveMaximum": 1},
        {"minimum": 0, "exclusiveMinimum": True, "maximum": 1, "exclusiveMaximum": True},
    ),
    "an exclusive that is boolean already": ({"exclusiveMinimum": True}, {"exclusiveMinimum": True}),
    "a lone reference": (A, A),
    "a reference with neighbours": (A | {"description": "d"}, {"allOf": [A], "description": "d"}),
    "definitions": ({"$defs": {"A": {}}, "type": "object"}, {"type": "object"}),
    "names of properties": ({"propertyNames": {"maxLength": 64}, "type": "object"}, {"type": "object"}),
    "deep inside": (
        {"items": {"properties": {"a": {"const": 1}}}, "allOf": [{"exclusiveMinimum": 1}]},
        {"items": {"properties": {"a": {"enum": [1]}}}, "allOf": [{"minimum": 1, "exclusiveMinimum": True}]},
    ),
    "a boolean schema": ({"additionalProperties": False}, {"additionalProperties": False}),
}


@pytest.mark.parametrize(("given", "wanted"), RULES.values(), ids=RULES)
def test_a_keyword_is_put_in_the_words_of_openapi_30(given: Any, wanted: Any):
    assert to_openapi_30(given) == wanted


def test_the_schema_handed_in_is_left_as_it_was():
    given = {"properties": {"a": {"anyOf": [{"const": 1}, NULL]}}}
    to_openapi_30(given)
    assert given == {"properties": {"a": {"anyOf": [{"const": 1}, NULL]}}}


class Inner(Closed):
    """Stands inside others."""

    size: int


class Awkward(Closed):
    """Has fields that are named like keywords of JSON Schema."""

    const: str
    discriminator: str
    properties: dict[str, int] = Field(default_factory=dict)
    anyOf: int | None = None  # noqa: N815


class Rich(Closed):
    """Uses what authors of job types reach for."""

    example: str = Field(default="a", examples=["a", "b"])
    number: int | None = None
    nothing_or_inner: Inner | None = None
    either: Inner | str | None = None
    choice: Literal["a", "b"] | None = None
    one: Literal["only"] = "only"
    between: float = Field(default=0.5, gt=0, lt=1)
    pair: tuple[int, str] = (1, "a")
    by_name: dict[Annotated[str, Field(pattern="^[a-z]+$")], int] = Field(default_factory=dict)
    default_like_a_schema: dict[str, int] = Field(default={"const": 1})


def converted(model: type[BaseModel]) -> dict[str, Any]:
    schema: dict[str, Any] = to_openapi_30(model.model_json_schema())
    return schema


@pytest.mark.parametrize("field", Awkward.model_fields)
def test_a_field_may_be_named_like_a_keyword(field: str):
    assert field in converted(Awkward)["properties"]
    assert converted(Awkward)["properties"].keys() == Awkward.model_fields.keys()


def test_a_default_is_a_value_and_no_schema():
    assert converted(Rich)["properties"]["default_like_a_schema"]["default"] == {"const": 1}


@pytest.mark.parametrize("model", [Rich, Awkward, Inner], ids=lambda model: model.__name__)
def test_a_job_type_of_ones_own_makes_a_valid_document(model: type[BaseModel]):
    validate(document(registry(JobType(name="own", input_model=model)), "s"))


RICH_FIELDS = [name for name in Rich.model_fields if name != "default_like_a_schema"]


@pytest.mark.parametrize("field", RICH_FIELDS)
def test_a_field_of_ones_own_makes_a_valid_document(field: str):
    described = Rich.model_fields[field]
    model = type("OneField", (Closed,), {"__annotations__": {field: described.annotation}, field: described})
    validate(document(registry(JobType(name="own", input_model=model)), "s"))


def takes(field: str, value: Any) -> bool:
    """What a strict reader of the document thinks: in 3.0, ``nullable`` widens only a ``type`` beside it."""
    schema = Rich.model_json_schema(ref_template="#/components/schemas/{model}")
    root = {
        "allOf": [to_openapi_30(schema["properties"][field])],
        "components": {"schemas": {name: to_openapi_30(model) for name, model in schema["$defs"].items()}},
    }
    return OAS30Validator(root).is_valid(value)


@pytest.mark.parametrize(
    ("field", "value", "fits"),
    [
        ("number", None, True),
        ("number", 1, True),
        ("number", "1", False),
        ("nothing_or_inner", None, True),
        ("nothing_or_inner", {"size": 1}, True),
        ("nothing_or_inner", {"size": "x"}, False),
        ("nothing_or_inner", "x", False),
        ("either", None, True),
        ("either", "x", True),
        ("either", {"size": 1}, True),
        ("either", 1, False),
        ("choice", None, True),
        ("choice", "a", True),
        ("choice", "c", False),
        ("between", 0.5, True),
        ("between", 0, False),
        ("between", 1, False),
        ("between", None, False),
        ("one", "only", True),
        ("one", "other", False),
    ],
)
def test_the_schema_takes_what_the_model_takes(field: str, value: Any, fits: bool):
    assert takes(field, value) is fits
    assert model_takes({field: value}) is fits


def model_takes(members: dict[str, Any]) -> bool:
    try:
        Rich.model_validate(members, strict=True)
    except ValidationError:
        return False
    return True
