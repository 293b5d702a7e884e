"""Topics and their attributes."""

from typing import Any, Final

from tests.contract.api_cases._case import Case

GONE: Final = {"topic_urn": "urn:smn:region01:{project_id}:gone"}
NO_URN: Final = {"topic_urn": "nonsense"}
OTHERS: Final = {"topic_urn": "urn:smn:region01:{missing}:demo"}
"""Paths of a topic that is not there, that is no URN, and that is another project's."""


def named(operation: str, body: Any = None, **path: str) -> tuple[Case, ...]:
    """What every operation on a topic answers for a bad one."""
    return (
        Case(operation, 404, "SMN.0006", body, path=GONE | path),
        Case(operation, 400, "SMN.0005", body, path=NO_URN | path),
        Case(operation, 403, "SMN.0001", body, path=OTHERS | path),
    )


_POLICY: Final = {"name": "access_policy"}
_INTRODUCTION: Final = {"name": "introduction"}


def _refused_policy(code: str, text: str) -> Case:
    return Case("UpdateTopicAttribute", 400, code, {"value": text}, path=_POLICY)


def _statement(fields: str) -> str:
    return f'{{"Version":"2016-09-07","Id":"a","Statement":[{{{fields}}}]}}'


_SID = '"Sid":"a"'
_EFFECT = '"Effect":"Allow"'
_ACTION = '"Action":["SMN:Publish"]'
_PRINCIPAL = '"Principal":{"CSP":["*"]}'
_RESOURCE = '"Resource":"{topic_urn}"'

CASES: Final = (
    Case("CreateTopic", 201, body={"name": "{topic_name}", "display_name": "Demo"}),
    Case("CreateTopic", 200, body={"name": "{topic_name}"}, given=("topic_urn",)),
    Case("CreateTopic", 400, "APIGW.0201", b"{"),
    Case("CreateTopic", 400, "SMN.0002", {"name": "-a"}),
    Case("CreateTopic", 400, "SMN.0002", {"display_name": "no name"}),
    Case("CreateTopic", 400, "SMN.0003", {"name": "a", "display_name": "a" * 193}),
    Case("CreateTopic", 403, "SMN.0001", {"name": "a"}, path={"project_id": "{missing}"}),
    Case("ListTopics", 200, given=("topic_urn",)),
    Case("ListTopics", 200, query="offset=9999"),
    Case("ListTopics", 400, "SMN.0015", query="limit=101"),
    Case("ListTopics", 400, "SMN.0003", query=f"fuzzy_display_name={'a' * 193}"),
    Case("ListTopicsWithAssociatedResources", 200, given=("described", "tagged", "logtank_id")),
    Case("ListTopicsWithAssociatedResources", 400, "SMN.0015", query="offset=-1"),
    Case("ListTopicDetails", 200),
    *named("ListTopicDetails"),
    Case("UpdateTopic", 200, body={"display_name": "New"}),
    Case("UpdateTopic", 200, body={}),
    Case("UpdateTopic", 400, "SMN.0003", {"display_name": "a" * 193}),
    *named("UpdateTopic", {"display_name": "New"}),
    Case("DeleteTopic", 200),
    *named("DeleteTopic"),
    # Attributes
    Case("ListTopicAttributes", 200, given=("described",)),
    Case("ListTopicAttributes", 200, query="name=introduction"),
    Case("ListTopicAttributes", 400, "SMN.0046", query="name=other"),
    *named("ListTopicAttributes"),
    Case("UpdateTopicAttribute", 200, body={"value": "For all."}, path=_INTRODUCTION),
    Case("UpdateTopicAttribute", 200, body={"value": ""}, path=_POLICY),
    Case("UpdateTopicAttribute", 400, "SMN.0046", {"value": "a"}, path={"name": "other"}),
    Case("UpdateTopicAttribute", 400, "SMN.0046", {"value": 1}, path=_INTRODUCTION),
    Case("UpdateTopicAttribute", 403, "SMN.0047", {"value": "a" * 121}, path=_INTRODUCTION),
    Case("UpdateTopicAttribute", 403, "SMN.0047", {"value": "a" * 30_721}, path=_POLICY),
    Case("UpdateTopicAttribute", 400, "SMN.0048", {}, path=_POLICY),
    _refused_policy("SMN.0048", "[]"),
    _refused_policy("SMN.0049", '{"Version":"2012-10-17","Id":"a","Statement":[]}'),
    _refused_policy("SMN.0050", '{"Version":"2016-09-07","Id":"","Statement":[]}'),
    _refused_policy("SMN.0051", '{"Version":"2016-09-07","Id":"a","Statement":[]}'),
    _refused_policy("SMN.0052", _statement(f"{_EFFECT},{_PRINCIPAL},{_ACTION},{_RESOURCE}")),
    _refused_policy("SMN.0053", _statement(f"{_SID},{_EFFECT},{_PRINCIPAL},{_ACTION}")),
    _refused_policy(
        "SMN.0054", _statement(f'{_SID},"Effect":"Maybe",{_PRINCIPAL},{_ACTION},{_RESOURCE}')
    ),
    _refused_policy(
        "SMN.0055", _statement(f'{_SID},{_EFFECT},{_PRINCIPAL},"Action":["SMN:Fly"],{_RESOURCE}')
    ),
    _refused_policy("SMN.0056", _statement(f"{_SID},{_EFFECT},{_ACTION},{_RESOURCE}")),
    _refused_policy(
        "SMN.0058",
        _statement(f'{_SID},{_EFFECT},{_PRINCIPAL},{_ACTION},{_RESOURCE},"Condition":"never"'),
    ),
    *named("UpdateTopicAttribute", {"value": "a"}, name="introduction"),
    Case("DeleteTopicAttributeByName", 200, path=_POLICY, given=("described",)),
    Case("DeleteTopicAttributeByName", 200, path=_INTRODUCTION),
    Case("DeleteTopicAttributeByName", 400, "SMN.0046", path={"name": "other"}),
    *named("DeleteTopicAttributeByName", name="introduction"),
    Case("DeleteTopicAttributes", 200, given=("described",)),
    *named("DeleteTopicAttributes"),
)
