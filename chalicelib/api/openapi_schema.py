"""Conversion of pydantic's JSON Schema 2020-12 to OpenAPI 3.0 (specification 3.0.3, "Schema Object")."""

from typing import Any

type Schema = dict[str, Any]

REF_TEMPLATE = "#/components/schemas/{model}"

#: Keywords that 3.0 lacks and that readers can do without.
_DROPPED = frozenset({"$defs", "propertyNames", "discriminator", "examples", "prefixItems", "patternProperties"})
#: Keywords that contain plain values, not schemas.
_VALUES = frozenset({"default", "enum", "example", "required", "const"})

_NULL: Schema = {"type": "null"}
#: Accepts null and nothing else. In 3.0 ``nullable`` only widens a ``type`` beside it.
_ONLY_NULL: Schema = {"type": "string", "enum": [None], "nullable": True}


def to_openapi_30(schema: Any) -> Any:
    """Convert a schema: ``null`` to ``nullable``, ``const`` to a one-element ``enum``, exclusive bounds to booleans."""
    if isinstance(schema, list):
        return [to_openapi_30(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    converted = {name: _member(name, value) for name, value in schema.items() if name not in _DROPPED}
    for rule in (_example, _tuple, _pattern_properties):
        converted |= rule(schema)
    for rewrite in (_const, _nullable, _exclusive, _reference):
        converted = rewrite(converted)
    return converted


def _member(name: str, value: Any) -> Any:
    if name in _VALUES:
        return value
    if name == "properties":
        return {field: to_openapi_30(inner) for field, inner in value.items()}
    return to_openapi_30(value)


def _example(schema: Schema) -> Schema:
    return {"example": schema["examples"][0]} if schema.get("examples") else {}


def _tuple(schema: Schema) -> Schema:
    """Allow any of the items' schemas at any position: 3.0 cannot tell positions apart."""
    items = schema.get("prefixItems")
    return {} if items is None else {"items": {"anyOf": to_openapi_30(items)}}


def _pattern_properties(schema: Schema) -> Schema:
    """Allow any of the schemas for any name: 3.0 cannot assign schemas to names by pattern."""
    patterns = schema.get("patternProperties")
    return {} if patterns is None else {"additionalProperties": {"anyOf": to_openapi_30(list(patterns.values()))}}


def _const(schema: Schema) -> Schema:
    if "const" not in schema:
        return schema
    return {name: value for name, value in schema.items() if name != "const"} | {"enum": [schema["const"]]}


def _nullable(schema: Schema) -> Schema:
    choices = schema.get("anyOf")
    if not isinstance(choices, list) or _NULL not in choices:
        return schema
    others = [choice for choice in choices if choice != _NULL]
    rest = {name: value for name, value in schema.items() if name != "anyOf"}
    only = others[0] if len(others) == 1 else {}
    if "type" not in only:
        return rest | {"anyOf": [*others, _ONLY_NULL]}
    enum = {"enum": [*only["enum"], None]} if "enum" in only else {}
    return rest | only | enum | {"nullable": True}


def _exclusive(schema: Schema) -> Schema:
    for bound in ("Minimum", "Maximum"):
        limit = schema.get(f"exclusive{bound}")
        if isinstance(limit, int | float) and not isinstance(limit, bool):
            schema = schema | {bound.lower(): limit, f"exclusive{bound}": True}
    return schema


def _reference(schema: Schema) -> Schema:
    """Wrap a ``$ref`` that has siblings, which 3.0 would ignore."""
    if "$ref" not in schema or len(schema) == 1:
        return schema
    rest = {name: value for name, value in schema.items() if name != "$ref"}
    return rest | {"allOf": [{"$ref": schema["$ref"]}]}
