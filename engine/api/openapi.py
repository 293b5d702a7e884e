"""The OpenAPI 3.1 document of all operations, made from the route table and its models.

Nothing is written a second time: summaries are the docstrings of handlers and models, codes
come from models, paths and rows, texts from the catalogue of errors.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from engine.api.answers import REQUEST_ID, Shape
from engine.api.bodies import codes
from engine.api.routes import Auth, declared
from engine.errors import CATALOG

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pydantic import BaseModel

    from engine.api.bodies import Query
    from engine.api.routes import Route

_SCHEMAS: Final = "#/components/schemas/"
_JSON: Final = "application/json"
_HTML: Final = "text/html"
_NO_BODY: Final = {204, 304}
_PARAMETER: Final = re.compile(r"\{(\w+)\}")

_ABOUT: Final = """Tocsin speaks version 2 of the SMN API. Names, paths, statuses, limits and codes
are those of the contract; codes that begin with `TOCSIN.` are its own. Every answer carries the
header `X-Request-Id`. Unknown fields and query parameters are ignored; an empty query parameter
counts as absent. In JSON, an `x-error-code` names the code for a bad value of its field."""

_ID: Final = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
_TEXT: Final = {"type": "string", "minLength": 1}
_PATH_PARAMETERS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "project_id": ("The project; it must be the caller's.", _ID),
    "domain_id": ("The account (domain) of the caller.", _ID),
    "topic_urn": ("`urn:smn:REGION:PROJECT:NAME`; colons may be percent-encoded.", _TEXT),
    "subscription_urn": ("The topic's URN, a colon, and 32 hexadecimal digits.", _TEXT),
}

_STRING: Final = {"type": "string"}
_FAILURES: Final[dict[Shape, dict[str, Any]]] = {
    Shape.SMN: {
        "type": "object",
        "description": "A failure. Both pairs say the same: clients look for either.",
        "properties": {
            "request_id": _STRING,
            "code": _STRING,
            "message": _STRING,
            "error_code": _STRING,
            "error_msg": _STRING,
        },
        "required": ["request_id", "code", "message", "error_code", "error_msg"],
    },
    Shape.MESSAGE: {
        "type": "object",
        "description": "A failure of a public link: a sentence and no more.",
        "properties": {"message": _STRING},
        "required": ["message"],
    },
    Shape.KEYSTONE: {
        "type": "object",
        "description": "A failure of the identity service.",
        "properties": {
            "error": {
                "type": "object",
                "properties": {
                    "code": {"type": "integer"},
                    "message": _STRING,
                    "title": _STRING,
                },
                "required": ["code", "message", "title"],
            }
        },
        "required": ["error"],
    },
    Shape.IAM: {
        "type": "object",
        "description": "A failure of the identity service that tells its code.",
        "properties": {
            "error": {
                "type": "object",
                "properties": {"code": _STRING, "message": _STRING},
                "required": ["code", "message"],
            }
        },
        "required": ["error"],
    },
}
_FAILURE_NAMES: Final = {
    Shape.SMN: "Failure",
    Shape.MESSAGE: "LinkFailure",
    Shape.KEYSTONE: "IdentityFailure",
    Shape.IAM: "IamFailure",
}

_SECURITY_SCHEMES: Final = {
    "token": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Auth-Token",
        "description": "A token from `POST /v3/auth/tokens`.",
    },
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "`SDK-HMAC-SHA256 Access=…, SignedHeaders=…, Signature=…` by an access "
        "key, with the time in `X-Sdk-Date`; the official SDKs sign so.",
    },
}


class _Untitled(GenerateJsonSchema):
    """Titles of fields repeat their names."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401 - pydantic's hook
        del schema
        return False


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """The document for these routes. Raises `LookupError` for a code without a status."""
    shown = _without_aliases(routes)
    refs, schemas = _schemas(shown)
    responses: dict[str, Any] = {}
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    groups: dict[str, str] = {}
    for route in shown:
        group, about = _group(route)
        groups.setdefault(group, about)
        operation = _operation(route, refs, schemas, responses)
        paths[route.path][route.method.lower()] = {"tags": [group], **operation}
    asked = {refs[route.query].removeprefix(_SCHEMAS) for route in shown if route.query}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tocsin", "version": "2", "description": " ".join(_ABOUT.split())},
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": about} for name, about in groups.items()],
        "paths": dict(paths),
        "components": {
            "schemas": {
                **{name: found for name, found in sorted(schemas.items()) if name not in asked},
                **{_FAILURE_NAMES[shape]: schema for shape, schema in _FAILURES.items()},
            },
            "responses": dict(sorted(responses.items())),
            "headers": {
                REQUEST_ID: {"description": "The id of this request.", "schema": _STRING},
            },
            "securitySchemes": _SECURITY_SCHEMES,
        },
    }


def failures(route: Route) -> dict[int, list[str]]:
    """Every code that an operation may answer, by HTTP status."""
    found: dict[int, set[str]] = defaultdict(set)
    for status, code in _failures(route):
        if status >= 400:  # the contract's SMN.0190 is none: it comes with a 200
            found[status].add(code)
    return {status: sorted(found[status]) for status in sorted(found)}


def _failures(route: Route) -> Iterable[tuple[int, str]]:
    # Too many query parameters, a path that is not UTF-8, Redis, a bug: everywhere
    yield from map(declared, ("APIGW.0201", "SMN.0016", "SMN.0018"))
    if not route.quiet:
        yield declared("TOCSIN.0002")
    if route.auth is Auth.CALLER:
        yield from map(declared, ("APIGW.0301", "SMN.0001"))
        if route.shape is Shape.SMN:
            yield from map(declared, ("SMN.0070", "SMN.0071"))
        if route.action:
            yield declared("SMN.00308")
    if route.method != "GET" or route.changes:
        yield declared("APIGW.0308")
    names = _PARAMETER.findall(route.path)
    if "topic_urn" in names:
        yield declared("SMN.0005")
    if "subscription_urn" in names:
        yield declared("SMN.0014")
    if route.body is not None:
        yield from ((408, "APIGW.0201"), (413, "APIGW.0201"))
        yield declared(route.body.malformed)
        yield from map(declared, codes(route.body).values())
    if route.query is not None:
        yield from map(declared, codes(route.query).values())
    yield from map(declared, route.errors)


def _without_aliases(routes: Iterable[Route]) -> list[Route]:
    """The same operation at a path with a slash at its end is not told twice."""
    every = list(routes)
    paths = {(route.operation, route.path) for route in every}
    return [
        route
        for route in every
        if route.path == "/"
        or not route.path.endswith("/")
        or (route.operation, route.path[:-1]) not in paths
    ]


def _group(route: Route) -> tuple[str, str]:
    """The module that owns an operation, and what its docstring says."""
    name = getattr(route.handler, "__module__", __name__)
    about = (inspect.getdoc(sys.modules[name]) or "").partition("\n")[0]
    return name.rpartition(".")[2].replace("_", " "), about


def _schemas(
    routes: Sequence[Route],
) -> tuple[dict[type[BaseModel], str], dict[str, dict[str, Any]]]:
    """References to the models' schemas, and the schemas by name."""
    models: dict[type[BaseModel], None] = {}
    for route in routes:
        for model in (route.query, route.body, route.answer):
            if model is not None:
                models[model] = None
    found, definitions = models_json_schema(
        [(model, "validation") for model in models],
        ref_template=f"{_SCHEMAS}{{model}}",
        schema_generator=_Untitled,
    )
    refs = {model: str(found[model, "validation"]["$ref"]) for model in models}
    schemas: dict[str, dict[str, Any]] = definitions.get("$defs", {})
    for schema in schemas.values():
        schema.pop("title", None)
        if "description" in schema:
            schema["description"] = inspect.cleandoc(schema["description"])
    for route in routes:
        if route.body is not None:
            _mark(schemas[refs[route.body].removeprefix(_SCHEMAS)], codes(route.body))
    return refs, schemas


def _mark(schema: dict[str, Any], known: Mapping[str, str]) -> None:
    for name, code in known.items():
        schema["properties"][name]["x-error-code"] = code


def _operation(
    route: Route,
    refs: Mapping[type[BaseModel], str],
    schemas: Mapping[str, Any],
    responses: dict[str, Any],
) -> dict[str, Any]:
    summary, _, rest = (inspect.getdoc(route.handler) or route.operation).partition("\n")
    operation: dict[str, Any] = {"operationId": route.operation, "summary": summary.rstrip(".")}
    if rest.strip():
        operation["description"] = rest.strip()
    operation["security"] = [{"token": []}, {"signature": []}] if route.auth is Auth.CALLER else []
    if route.action:
        operation["x-action"] = _action(route.action)
    if route.topic_action:
        operation["x-topic-action"] = route.topic_action
    parameters = [_path_parameter(name) for name in _PARAMETER.findall(route.path)]
    if route.query is not None:
        name = refs[route.query].removeprefix(_SCHEMAS)
        parameters += _query_parameters(route.query, schemas[name])
    parameters += [
        {"name": name, "in": "header", "description": about, "schema": _STRING}
        for name, about in route.headers
    ]
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        content = {_JSON: {"schema": {"$ref": refs[route.body]}}}
        operation["requestBody"] = {"required": True, "content": content}
    operation["responses"] = {
        str(status): _success(route, status, refs) for status in (route.success, *route.also)
    } | {
        str(status): _failure(route.shape, status, found, responses)
        for status, found in failures(route).items()
        if status not in route.also
    }
    return operation


def _action(action: object) -> str:
    """An action, or what the function that finds it says of itself."""
    return action if isinstance(action, str) else inspect.getdoc(action) or ""


def _path_parameter(name: str) -> dict[str, Any]:
    about, schema = _PATH_PARAMETERS.get(name, ("", _TEXT))
    parameter: dict[str, Any] = {"name": name, "in": "path", "required": True, "schema": schema}
    return parameter | ({"description": about} if about else {})


def _query_parameters(model: type[Query], schema: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    known = codes(model)
    for name, found in schema.get("properties", {}).items():
        shown = _without_null(found)
        yield {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "schema": shown | {"x-error-code": known[name]},
        }


def _without_null(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A parameter that may be left out is not one that may be null."""
    shown = {key: value for key, value in schema.items() if (key, value) != ("default", None)}
    kinds = [kind for kind in shown.pop("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) == 1:
        return {**kinds[0], **shown}
    return {**shown, "anyOf": kinds} if kinds else shown


def _success(route: Route, status: int, refs: Mapping[type[BaseModel], str]) -> dict[str, Any]:
    headers = {REQUEST_ID: {"$ref": f"#/components/headers/{REQUEST_ID}"}}
    about = (inspect.getdoc(route.answer) or "") if route.answer is not None else ""
    response: dict[str, Any] = {"description": about or "Done.", "headers": headers}
    if status in _NO_BODY:
        return response
    if route.answer is not None:
        response["content"] = {_JSON: {"schema": {"$ref": refs[route.answer]}}}
    elif route.shape is Shape.PAGE:
        response["content"] = {_HTML: {"schema": _STRING}}
    else:
        response["content"] = {route.content_type: {}}
    return response


def _failure(
    shape: Shape, status: int, found: Sequence[str], responses: dict[str, Any]
) -> dict[str, str]:
    """A reference to the response of these codes, which many operations share."""
    name = f"{shape.value}.{status}.{'-'.join(found)}"
    if name not in responses:
        responses[name] = {
            "description": "\n".join(f"- `{code}` {_text(code)}".rstrip() for code in found),
            "headers": {REQUEST_ID: {"$ref": f"#/components/headers/{REQUEST_ID}"}},
            "content": _failure_content(shape, found),
        }
    return {"$ref": f"#/components/responses/{name}"}


def _text(code: str) -> str:
    """The catalogue's text; what is filled in for each failure is left open."""
    return CATALOG[code][1].replace("{}", "…") if code in CATALOG else ""


def _failure_content(shape: Shape, found: Sequence[str]) -> dict[str, Any]:
    if shape is Shape.PAGE:
        return {_HTML: {"schema": _STRING}}
    schema: dict[str, Any] = {"$ref": f"{_SCHEMAS}{_FAILURE_NAMES[shape]}"}
    if shape is Shape.SMN:
        schema["properties"] = {"code": {"enum": list(found)}}
    return {_JSON: {"schema": schema}}
