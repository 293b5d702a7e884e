"""The OpenAPI document says what rows and models say."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from openapi_spec_validator import validate

from engine.api.answers import Shape
from engine.api.bodies import Body, Code, Query, Requested
from engine.api.call import Call
from engine.api.openapi import document, failures
from engine.api.routes import Auth, Route


class Wish(Body):
    """What is wished for."""

    malformed = "SMN.0043"

    name: Annotated[str, Code("SMN.0002")]
    note: Annotated[str | None, Code("SMN.0017")] = None


class Ask(Query):
    """What is asked for."""

    limit: Annotated[int | None, Code("SMN.0015")] = None


async def wish(call: Call) -> dict[str, Any]:
    """Wish for something.

    It may come true.
    """
    return {"request_id": call.request_id}


def row(**fields: Any) -> Route:
    """An operation on a topic."""
    given: dict[str, Any] = {
        "operation": "Wish",
        "method": "POST",
        "path": "/v2/{project_id}/wishes/{topic_urn}",
        "handler": wish,
        "body": Wish,
        "query": Ask,
        "answer": Requested,
        "errors": ("SMN.0006", "400 SMN.0022"),
        "success": 201,
        "also": (200,),
    }
    return Route(**(given | fields))


def made(*routes: Route) -> dict[str, Any]:
    """The document, checked."""
    found = document(routes)
    validate(found)
    return found


def test_codes_come_from_models_paths_and_rows() -> None:
    """By status; an entry with a status of its own keeps it."""
    found = failures(row(action="smn:wish:make"))
    assert found[400] == [
        *("APIGW.0201", "SMN.0002", "SMN.0005", "SMN.0015", "SMN.0017", "SMN.0022", "SMN.0043")
    ]
    assert found[401] == ["APIGW.0301"]
    assert found[403] == ["SMN.0001", "SMN.00308", "SMN.0070", "SMN.0071"]
    assert found[404] == ["SMN.0006"]
    assert list(found) == sorted(found)


def test_a_code_without_a_status_is_a_bug() -> None:
    """Nobody could tell how it looks."""
    with pytest.raises(LookupError):
        document([row(errors=("SMN.9999",))])


def test_an_operation_shows_its_parts() -> None:
    """Words from docstrings, parameters from path and query, schemas from models."""
    found = made(row(headers=(("X-Kind", "Which kind."),)))
    operation = found["paths"]["/v2/{project_id}/wishes/{topic_urn}"]["post"]
    assert operation["summary"] == "Wish for something"
    assert operation["description"] == "It may come true."
    places = {one["name"]: one["in"] for one in operation["parameters"]}
    assert places == {
        "project_id": "path",
        "topic_urn": "path",
        "limit": "query",
        "X-Kind": "header",
    }
    assert {"200", "201", "400", "401"} <= set(operation["responses"])
    schema = found["components"]["schemas"]["Wish"]
    assert schema["properties"]["name"] == {"type": "string", "x-error-code": "SMN.0002"}
    assert schema["required"] == ["name"]
    assert "Ask" not in found["components"]["schemas"]


def test_an_optional_parameter_is_not_one_that_may_be_null() -> None:
    """There is no null in a query."""
    found = made(row())
    (parameter,) = [
        one
        for one in found["paths"]["/v2/{project_id}/wishes/{topic_urn}"]["post"]["parameters"]
        if one["in"] == "query"
    ]
    assert parameter["schema"] == {"type": "integer", "x-error-code": "SMN.0015"}
    assert parameter["required"] is False


@pytest.mark.parametrize(
    ("shape", "schema"),
    [
        (Shape.SMN, "Failure"),
        (Shape.MESSAGE, "LinkFailure"),
        (Shape.KEYSTONE, "IdentityFailure"),
        (Shape.IAM, "IamFailure"),
    ],
)
def test_failures_have_the_shape_of_their_row(shape: Shape, schema: str) -> None:
    """The shapes of the contract."""
    found = made(row(shape=shape))
    name = f"{shape.value}.401.APIGW.0301"
    content = found["components"]["responses"][name]["content"]["application/json"]
    assert content["schema"]["$ref"] == f"#/components/schemas/{schema}"


def test_a_page_is_html_whatever_happens() -> None:
    """Persons get pages, also of failures."""
    found = made(row(shape=Shape.PAGE, answer=None, auth=Auth.NONE))
    responses = found["paths"]["/v2/{project_id}/wishes/{topic_urn}"]["post"]["responses"]
    assert list(responses["201"]["content"]) == ["text/html"]
    failure = found["components"]["responses"][responses["404"]["$ref"].rpartition("/")[2]]
    assert list(failure["content"]) == ["text/html"]


def test_the_same_path_with_a_slash_is_told_once() -> None:
    """Clients may write it, readers need not read it twice."""
    found = made(row(path="/v2", method="GET"), row(path="/v2/", method="GET"))
    assert list(found["paths"]) == ["/v2"]


def test_who_may_call_is_declared() -> None:
    """Either of two credentials, or none."""
    private = made(row())["paths"]["/v2/{project_id}/wishes/{topic_urn}"]["post"]
    public = made(row(auth=Auth.NONE))["paths"]["/v2/{project_id}/wishes/{topic_urn}"]["post"]
    assert private["security"] == [{"token": []}, {"signature": []}]
    assert public["security"] == []
    assert "401" not in public["responses"]
