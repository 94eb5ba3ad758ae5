"""JSON Schema 2020-12, as pydantic writes it, as the dialect of OpenAPI 3.0 (specification 3.0.3, "Schema Object")."""

from typing import Any

type Schema = dict[str, Any]

REF_TEMPLATE = "#/components/schemas/{model}"


def to_openapi_30(schema: Any) -> Any:
    """The same schema with ``null`` as ``nullable``, ``const`` as a one-element ``enum``, and boolean exclusives."""
    if isinstance(schema, list):
        return [to_openapi_30(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    converted = {name: to_openapi_30(value) for name, value in schema.items() if name not in _DROPPED}
    for rule in (_const, _nullable, _exclusive, _reference):
        converted = rule(converted)
    return converted


#: Keywords that 3.0 lacks and that say nothing a reader misses.
_DROPPED = frozenset({"$defs", "propertyNames", "discriminator"})


def _const(schema: Schema) -> Schema:
    if "const" not in schema:
        return schema
    return {name: value for name, value in schema.items() if name != "const"} | {"enum": [schema["const"]]}


def _nullable(schema: Schema) -> Schema:
    choices = schema.get("anyOf")
    if not isinstance(choices, list) or {"type": "null"} not in choices:
        return schema
    others = [choice for choice in choices if choice != {"type": "null"}]
    rest = {name: value for name, value in schema.items() if name != "anyOf"}
    if len(others) > 1:
        return rest | {"anyOf": others, "nullable": True}
    only = others[0]
    # A $ref swallows its neighbours in 3.0, so what stands beside it is wrapped.
    return rest | ({"allOf": [only]} if "$ref" in only else only) | {"nullable": True}


def _exclusive(schema: Schema) -> Schema:
    for bound in ("Minimum", "Maximum"):
        limit = schema.get(f"exclusive{bound}")
        if isinstance(limit, int | float) and not isinstance(limit, bool):
            schema = schema | {bound.lower(): limit, f"exclusive{bound}": True}
    return schema


def _reference(schema: Schema) -> Schema:
    if "$ref" not in schema or len(schema) == 1:
        return schema
    rest = {name: value for name, value in schema.items() if name != "$ref"}
    return rest | {"allOf": [{"$ref": schema["$ref"]}]}
