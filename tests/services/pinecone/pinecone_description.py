"""Pinecone's official OpenAPI description, out of the package `pinecone`, whose models are generated from it: as JSON Schema.

Which operations there are, with their paths and parameters, and what their bodies are, requests and answers. Names that the
description does not know are let through by OpenAPI; here they are refused, for a slip is one of them.
"""

import inspect
from collections.abc import Iterator
from typing import Any, NamedTuple, get_origin

import jsonschema_rs
from pinecone.core.openapi.db_control.api.manage_indexes_api import ManageIndexesApi
from pinecone.core.openapi.db_data.api.namespace_operations_api import NamespaceOperationsApi
from pinecone.core.openapi.db_data.api.vector_operations_api import VectorOperationsApi
from pinecone.openapi_support.endpoint import Endpoint
from pinecone.openapi_support.model_utils import OpenApiModel

PLAIN: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    dict: {"type": "object"},
    type(None): {"type": "null"},
}
ANYTHING: dict[str, Any] = {}
_BOUNDS = {
    "max_length": "maxLength",
    "min_length": "minLength",
    "max_items": "maxItems",
    "min_items": "minItems",
    "inclusive_maximum": "maximum",
    "inclusive_minimum": "minimum",
}


class Operation(NamedTuple):
    """One operation: `parameters` are those of the query, `body` and `answer` judge JSON, None where there is none."""

    name: str
    method: str
    path: str
    parameters: dict[str, dict[str, Any]]
    required: frozenset[str]
    versions: frozenset[str]
    body: "jsonschema_rs.Validator | None"
    answer: "jsonschema_rs.Validator | None"


def operations() -> Iterator[Operation]:
    """Yield what the description knows."""
    for api in (VectorOperationsApi(_NoClient()), NamespaceOperationsApi(_NoClient()), ManageIndexesApi(_NoClient())):
        for endpoint in vars(api).values():
            if isinstance(endpoint, Endpoint):
                yield _operation(endpoint)


class _NoClient:
    """Stands in for a client of the package: nothing is called."""

    def __getattr__(self, name: str) -> Any:
        return self


def _operation(endpoint: Any) -> Operation:
    settings, types, places = endpoint.settings, endpoint.openapi_types, endpoint.location_map
    names = endpoint.attribute_map
    query = {names[each]: _schema(types[each], {}) for each, place in places.items() if place == "query"}
    required = frozenset(names[each] for each in endpoint.params_map["required"] if places.get(each) == "query")
    bodies = [types[each] for each, place in places.items() if place == "body"]
    version = inspect.signature(endpoint.callable).parameters["x_pinecone_api_version"].default
    answer = settings["response_type"]
    return Operation(
        settings["operation_id"],
        settings["http_method"],
        settings["endpoint_path"],
        query,
        required,
        frozenset({version}),
        _validator(bodies[0]) if bodies else None,
        _validator(answer) if answer else None,
    )


def _validator(types: Any) -> jsonschema_rs.Validator:
    models: dict[str, dict[str, Any]] = {}
    schema = _schema(types, models)
    return jsonschema_rs.validator_for({**schema, "$defs": models}, validate_formats=True)


def _schema(types: Any, models: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Translate the form in which the package keeps types: a tuple of them, a list of one for an array, a dict for an object."""
    match types:
        case tuple():
            options = [_schema(each, models) for each in types]
            found = options[0] if len(options) == 1 else {"anyOf": options}
        case list():
            found = {"type": "array", "items": _schema(tuple(types), models)}
        case dict():
            found = {"type": "object", "additionalProperties": _schema(next(iter(types.values())), models)}
        case type() if issubclass(types, OpenApiModel):
            found = _model(types, models)
        case _ if get_origin(types) is dict:
            found = {"type": "object"}
        case _:
            found = PLAIN.get(types, ANYTHING)
    return found


def _model(model: Any, models: dict[str, dict[str, Any]]) -> dict[str, Any]:
    name = model.__name__
    if name not in models:
        models[name] = {}
        composed = model._composed_schemas
        if composed and any(composed.get(each) for each in ("oneOf", "anyOf")):
            options = [*composed.get("oneOf", ()), *composed.get("anyOf", ())]
            models[name] = {"anyOf": [_schema(each, models) for each in options]}
        elif "value" in model.openapi_types and model.attribute_map == {}:
            models[name] = _schema(model.openapi_types["value"], models)
        else:
            models[name] = _object(model, models)
    return {"$ref": f"#/$defs/{name}"}


def _object(model: Any, models: dict[str, dict[str, Any]]) -> dict[str, Any]:
    known = {}
    for field, types in model.openapi_types.items():
        schema = _schema(types, models)
        bounds = model.validations.get((field,), {})
        more = {ours: bounds[theirs] for theirs, ours in _BOUNDS.items() if theirs in bounds}
        allowed = model.allowed_values.get((field,))
        known[model.attribute_map[field]] = {**schema, **more} | ({"enum": list(allowed.values())} if allowed else {})
    needed = [
        model.attribute_map[each.name]
        for each in inspect.signature(model._from_openapi_data).parameters.values()
        if each.name in model.attribute_map and each.default is inspect.Parameter.empty
    ]
    # A vector's metadata and a filter are free objects of their own; a model knows all of its members.
    return {"type": "object", "properties": known, "required": needed, "additionalProperties": False}
