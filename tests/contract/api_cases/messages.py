"""Publishing, message templates, HTTP detection and statistics."""

from typing import Any, Final

from tests.contract.api_cases._case import Case
from tests.contract.api_cases.topics import named


def _message(**fields: Any) -> dict[str, Any]:
    return {"message": "hello"} | fields


def _template(**fields: Any) -> dict[str, Any]:
    named = {"message_template_name": "fresh-{number}", "protocol": "https"}
    return named | {"content": "Hello {who}, from {where}"} | fields


def _by_template(**fields: Any) -> dict[str, Any]:
    return {"message_template_name": "template-{number}", "tags": {"who": "Bob"}} | fields


def _detection(**fields: Any) -> dict[str, Any]:
    return {"protocol": "http", "endpoint": "http://127.0.0.1:9/{number}"} | fields


_STRUCTURE: Final = '{"default": "x", "email": "abc"}'
_ATTRIBUTES: Final = [
    {"name": "alarm", "type": "STRING", "value": "os"},
    {"name": "tags", "type": "STRING_ARRAY", "value": ["a", "b"]},
    {"name": "smn_protocol", "type": "PROTOCOL", "value": ["http", "sms"]},
]
_NO_TEMPLATE: Final = {"message_template_id": "{missing}"}
_NO_ID: Final = {"message_template_id": "nonsense"}
_HOURS: Final = "start_time={hour_ago}&end_time={hour}"


def _template_named(operation: str, body: Any = None) -> tuple[Case, ...]:
    """What every operation on a template answers for a bad one."""
    return (
        Case(operation, 404, "SMN.0027", body, path=_NO_TEMPLATE),
        Case(operation, 400, "SMN.0031", body, path=_NO_ID),
    )


CASES: Final = (
    Case("PublishMessage", 200, body=_message(subject="s", time_to_live="3600", locale="zh-cn")),
    Case("PublishMessage", 200, body=_message(message_attributes=_ATTRIBUTES)),
    Case("PublishMessage", 200, body={"message_structure": _STRUCTURE}),
    Case("PublishMessage", 200, body=_by_template(), given=("message_template_id",)),
    Case("PublishMessage", 400, "APIGW.0201", b"{"),
    Case("PublishMessage", 403, "SMN.0008", _message(subject="a" * 513)),
    Case("PublishMessage", 403, "SMN.0009", {}),
    Case("PublishMessage", 403, "SMN.0009", _message(message="a" * 262_145)),
    Case("PublishMessage", 400, "SMN.0021", {"message_structure": '{"email": "no default"}'}),
    Case("PublishMessage", 400, "SMN.0038", _by_template(tags=1), given=("message_template_id",)),
    Case("PublishMessage", 400, "SMN.0042", _by_template(message_template_name="-")),
    Case("PublishMessage", 400, "SMN.0043", _message(message_attributes=[{"name": "a"}])),
    Case("PublishMessage", 400, "APIGW.0201", _message(time_to_live="0")),
    Case("PublishMessage", 404, "SMN.0076", _by_template(message_template_name="none")),
    Case("PublishMessage", 400, "TOCSIN.0003", _message(), headers={"Idempotency-Key": ""}),
    *named("PublishMessage", _message()),
    # Templates
    Case("CreateMessageTemplate", 201, body=_template()),
    Case("CreateMessageTemplate", 400, "SMN.0011", _template(protocol="pigeon")),
    Case("CreateMessageTemplate", 400, "SMN.0024", _template(content="")),
    Case(
        "CreateMessageTemplate",
        400,
        "SMN.0025",
        _template(message_template_name="template-{number}", protocol="default"),
        given=("message_template_id",),
    ),
    Case("CreateMessageTemplate", 400, "SMN.0032", _template(message_template_name="-")),
    Case(
        "CreateMessageTemplate",
        403,
        "SMN.0075",
        _template(content=" ".join(f"{{v{number}}}" for number in range(91))),
    ),
    Case("ListMessageTemplates", 200, given=("message_template_id",)),
    Case("ListMessageTemplates", 200, query="protocol=sms&offset=9999"),
    Case("ListMessageTemplates", 400, "SMN.0015", query="limit=0"),
    Case("ListMessageTemplates", 400, "SMN.0032", query="message_template_name=-"),
    Case("ListMessageTemplateDetails", 200),
    *_template_named("ListMessageTemplateDetails"),
    Case("UpdateMessageTemplate", 200, body={"content": "Bye {who}"}),
    Case("UpdateMessageTemplate", 400, "SMN.0024", {"content": ""}),
    *_template_named("UpdateMessageTemplate", {"content": "Bye"}),
    Case("DeleteMessageTemplate", 200),
    *_template_named("DeleteMessageTemplate"),
    # Detection
    Case("PublishHttpDetect", 200, body=_detection(extension={"header": {"x-a": "b"}})),
    Case("PublishHttpDetect", 400, "SMN.0011", _detection(protocol="sms")),
    Case("PublishHttpDetect", 400, "SMN.0012", _detection(endpoint="nonsense")),
    Case("PublishHttpDetect", 400, "SMN.0043", _detection(extension={"header": {"x-smn-a": "b"}})),
    Case("PublishHttpDetect", 403, "SMN.0069", _detection(endpoint="http://10.0.0.1/")),
    *named("PublishHttpDetect", _detection()),
    Case("ShowHttpDetectResult", 200),
    Case("ShowHttpDetectResult", 200, given=("probed",)),
    Case("ShowHttpDetectResult", 400, "SMN.00013030", path={"task_id": "{missing}"}),
    *named("ShowHttpDetectResult", task_id="{missing}"),
    # Statistics
    Case("ListTopicMessageStatistics", 200, query=_HOURS),
    Case("ListTopicMessageStatistics", 400, "SMN.0103", query="end_time={hour}"),
    Case("ListTopicMessageStatistics", 400, "SMN.0104", query="start_time={hour}"),
    Case("ListTopicMessageStatistics", 400, "SMN.0103", query="start_time=now&end_time={hour}"),
    Case(
        "ListTopicMessageStatistics",
        400,
        "SMN.0114",
        query="start_time={hour}&end_time={hour_ago}",
    ),
)
