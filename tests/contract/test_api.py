"""What the contract lists is declared by the server and done by it; what it refuses is no change.

``operations.json`` says what the official SDK calls and reads, `tests.contract.api_cases` says
which request must get which answer.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

import pytest
from openapi_spec_validator import validate

from engine.api.openapi import document, failures
from engine.api.table import ROUTES
from engine.models import Limits
from engine.settings import Settings
from engine.testing import RecordingAdapter
from tests.contract.api_cases import GROUPS, Case
from tests.contract.api_gaps import NOT_ANSWERED, NOT_DECLARED, NOT_SERVED, NOT_YET
from tests.contract.api_stage import Stage
from tests.smn_contract import OPERATIONS, Schema, shown, unfit
from tests.worlds import changed, open_world

SERVED: Final = {
    route.operation: route for route in reversed(ROUTES) if route.operation in OPERATIONS
}
"""The first row of each operation; further ones are the same at another path."""
DOCUMENT: Final = document(ROUTES)
CASES: Final = [case for cases in GROUPS.values() for case in cases]
_PROTOCOLS: Final = ("callnotify", "application", "email", "functionstage", "wechat")


def _declared(operation: str) -> dict[str, Any]:
    route = SERVED[operation]
    found: dict[str, Any] = DOCUMENT["paths"][route.path][route.method.lower()]
    return found


def _body_schema(operation: str) -> Schema | None:
    content = _declared(operation).get("requestBody", {}).get("content", {})
    return Schema(DOCUMENT, content["application/json"]["schema"]) if content else None


def _answer_schema(operation: str, status: int) -> Schema | None:
    content = _declared(operation)["responses"][str(status)].get("content", {})
    schema = content.get("application/json", {}).get("schema")
    return Schema(DOCUMENT, schema) if schema else None


def test_the_document_is_openapi() -> None:
    """A validator that others made accepts it."""
    validate(DOCUMENT)


def test_only_the_listed_operations_are_missing() -> None:
    """Whatever is served leaves the list, so that it can only shrink."""
    assert set(OPERATIONS) - set(SERVED) == NOT_SERVED


@pytest.mark.parametrize("name", SERVED)
def test_an_operation_is_declared_where_clients_call_it(name: str) -> None:
    """Method, path, authentication, statuses and query parameters are the contract's."""
    operation, route, declared = OPERATIONS[name], SERVED[name], _declared(name)
    assert (route.method, route.path) == (operation.method, operation.path)
    assert (declared["security"] == []) is operation.public
    assert {str(status) for status in operation.statuses} <= set(declared["responses"])
    assert {route.success, *route.also} == set(operation.statuses)
    known = {one["name"]: one for one in declared.get("parameters", ()) if one["in"] == "query"}
    for parameter, kind in operation.query.items():
        assert parameter in known, f"no query parameter {parameter}"
        schema = Schema(DOCUMENT, known[parameter]["schema"])
        assert schema.admits(kind) or schema.admits("str"), f"{parameter} is no {kind}"


@pytest.mark.parametrize("name", SERVED)
def test_every_field_of_requests_and_answers_is_declared(name: str) -> None:
    """Under its name and with its type, as deep as the SDK's models go."""
    operation = OPERATIONS[name]
    body, answer = _body_schema(name), _answer_schema(name, operation.statuses[0])
    missing = {f"body.{field}" for field in _missing(body, operation.body_fields)}
    missing |= {f"answer.{field}" for field in _missing(answer, operation.fields)}
    assert missing == NOT_DECLARED.get(name, set())


def _missing(schema: Schema | None, fields: dict[str, str]) -> set[str]:
    if schema is None:
        return set(fields)
    found = {field: schema.at(field) for field in fields}
    return {
        field
        for field, kind in fields.items()
        if (one := found[field]) is None or not one.admits(kind)
    }


def test_every_operation_has_requests() -> None:
    """A good one for each good status, and a refused one beside 401 for each that has input."""
    table = defaultdict(set)
    for case in CASES:
        table[case.operation].add(case.status)
    assert set(table) == set(OPERATIONS)
    for name, operation in OPERATIONS.items():
        assert set(operation.statuses) <= table[name], name
        has_input = "{" in operation.path or operation.query or operation.body
        assert not has_input or any(status >= 400 for status in table[name]), name


@pytest.mark.parametrize("case", [case for case in CASES if case.operation in SERVED], ids=str)
def test_every_answer_of_the_table_is_declared(case: Case) -> None:
    """Status and code are in the document, so that a reader can expect them."""
    declared = str(case.status) in _declared(case.operation)["responses"] and (
        not case.code or case.code in failures(SERVED[case.operation]).get(case.status, ())
    )
    assert declared or str(case) in NOT_YET, failures(SERVED[case.operation])


@pytest.mark.parametrize("group", GROUPS)
async def test_requests_are_answered_as_the_table_says(
    group: str, redis_url: str, tmp_path: Path, settings: Settings
) -> None:
    """Good ones with the SDK's fields; refused ones with their code, and nothing is changed."""
    adapters = [RecordingAdapter(one, limits=Limits(confirm=False)) for one in _PROTOCOLS]
    wrong: list[str] = []
    answered: dict[str, set[str]] = defaultdict(set)
    async with open_world(redis_url, tmp_path, settings, adapters) as world:
        for case in _with_401(group):
            stage = Stage(world, SERVED)
            try:
                faults = await (_refused(stage, case) if case.refused else _good(stage, case))
            except AssertionError as error:
                faults = [str(error)]
            if faults and str(case) not in NOT_YET:
                wrong += [f"{case}: {fault}" for fault in faults]
            elif not faults and str(case) in NOT_YET:
                wrong.append(f"{case}: it works, so that it leaves the list NOT_YET")
            answered[case.operation] |= stage.shown
    for name, fields in answered.items():
        missing = set(OPERATIONS[name].fields) - fields
        if missing != NOT_ANSWERED.get(name, set()):
            wrong.append(f"{name}: no answer showed {sorted(missing)}")
    assert not wrong, "\n".join(wrong)


def _with_401(group: str) -> list[Case]:
    cases = [case for case in GROUPS[group] if case.operation in SERVED]
    private = {case.operation: None for case in cases if not OPERATIONS[case.operation].public}
    return cases + [Case(name, 401, "APIGW.0301", sign=False) for name in private]


async def _good(stage: Stage, case: Case) -> list[str]:
    operation = OPERATIONS[case.operation]
    answer = await stage.send(case)
    if answer.status != case.status:
        return [f"{answer.status} {answer.raw[:400]!r}"]
    if not isinstance(operation.answer, dict):
        empty = operation.answer is None
        return [] if (answer.raw == b"") is empty else [f"{answer.raw[:100]!r}"]
    faults = list(unfit(answer.json, operation.answer))
    stage.shown = fields = set(shown(answer.json))
    schema = _answer_schema(case.operation, case.status)
    faults += [
        f"{field} is not declared"
        for field in sorted(fields)
        if schema is None or not (schema.at(field) or _is_inside_of_open(schema, field))
    ]
    if not answer.headers["Content-Type"].startswith("application/json"):
        faults.append(answer.headers["Content-Type"])
    if (
        answer.json.get("request_id", answer.headers["X-Request-Id"])
        != (answer.headers["X-Request-Id"])
    ):
        faults.append("the request id is another one than the header's")
    return faults


def _is_inside_of_open(schema: Schema, field: str) -> bool:
    parent = field.rpartition(".")[0]
    found = schema.at(parent) if parent else None
    return found is not None and found.is_open()


async def _refused(stage: Stage, case: Case) -> list[str]:
    method, target, body = await stage.prepare(case)
    before = await stage.world.dump()
    answer = await stage.sent(case, method, target, body)
    faults = []
    found = json.loads(answer.raw)
    code = found.get("code", "") if case.code else ""
    if (answer.status, code) != (case.status, case.code):
        faults.append(f"{answer.status} {answer.raw[:400]!r}")
    elif case.code and (found["code"], found["message"]) != (
        found["error_code"],
        found["error_msg"],
    ):
        faults.append(f"the two pairs differ: {found}")
    if not found.get("message"):
        faults.append("there is no message")
    differing = changed(before, await stage.world.dump())
    if wrong := [key for key in differing if not case.counted or case.counted not in key]:
        faults.append(f"it changed {wrong}")
    return faults
