"""Traces, metrics, logs and statistics through the official clients of their services."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from huaweicloudsdkces import v1 as ces
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkcts import v3 as cts
from huaweicloudsdklts import v2 as lts
from huaweicloudsdksmn import v2 as smn
from huaweicloudsdksmn.v2 import SmnClient

from tests.e2e.conftest import Receiver
from tests.sdk_client import build_client
from tests.serving import Serve

Found = TypeVar("Found")
HOUR_S = 3600


def _client(kind: Any, credentials: dict[str, str], **changes: str) -> Any:
    given = credentials | changes
    basic = BasicCredentials(given["access_key"], given["secret_key"], given["project_id"])
    return kind.new_builder().with_credentials(basic).with_endpoint(given["endpoint"]).build()


def _until(ask: Callable[[], Found]) -> Found:
    """What is recorded after an answer is there a moment later."""
    deadline = time.monotonic() + 60
    while not (found := ask()):
        assert time.monotonic() < deadline, "it did not come in time"
        time.sleep(0.02)
    return found


def _topic(sdk: SmnClient, name: str) -> Any:
    body = smn.CreateTopicRequestBody(name=name)
    urn = sdk.create_topic(smn.CreateTopicRequest(body=body)).topic_urn
    return sdk.list_topic_details(smn.ListTopicDetailsRequest(topic_urn=urn))


@pytest.fixture
def delivered(sdk: SmnClient, receiver: Receiver) -> Any:
    """A topic in an LTS stream of its own, with one message delivered by HTTP."""
    topic = _topic(sdk, f"observed-{time.monotonic_ns()}")
    bound = smn.CreateLogtankRequestBody(log_group_id="group", log_stream_id=topic.topic_id)
    sdk.create_logtank(smn.CreateLogtankRequest(topic_urn=topic.topic_urn, body=bound))
    body = smn.AddSubscriptionRequestBody(protocol="http", endpoint=receiver.url)
    sdk.add_subscription(smn.AddSubscriptionRequest(topic_urn=topic.topic_urn, body=body))
    _, invitation = receiver.wait("SubscriptionConfirmation")
    token = invitation["subscribe_url"].partition("token=")[2].partition("&")[0]
    sdk.subscribe_topic(smn.SubscribeTopicRequest(token=token, topic_urn=topic.topic_urn))
    message = smn.PublishMessageRequestBody(message="hello")
    sdk.publish_message(smn.PublishMessageRequest(topic_urn=topic.topic_urn, body=message))
    receiver.wait("Notification")
    return topic


def test_traces_are_listed(sdk: SmnClient, credentials: dict[str, str]) -> None:
    """The trace service's client reads what was recorded, page by page."""
    client = _client(cts.CtsClient, credentials)
    name = f"traced-{time.monotonic_ns()}"
    topic = _topic(sdk, name)
    with pytest.raises(ClientRequestException):
        sdk.update_topic(
            smn.UpdateTopicRequest(
                topic_urn=topic.topic_urn, body=smn.UpdateTopicRequestBody(display_name="a" * 193)
            )
        )

    def found() -> list[Any]:
        request = cts.ListTracesRequest(trace_type="system", limit=200, resource_name=name)
        traces = client.list_traces(request).traces
        return traces if len(traces) == 3 else []

    failed, read, made = _until(found)
    assert (made.trace_name, made.trace_rating, made.code) == ("createTopic", "normal", "201")
    assert (made.resource_id, made.resource_type) == (topic.topic_urn, "topic")
    assert made.user.domain.name == credentials["domain_name"]
    assert made.user.access_key_id == credentials["access_key"]
    assert (read.trace_name, read.read_only) == ("listTopicDetails", True)
    assert (failed.trace_name, failed.trace_rating) == ("updateTopic", "warning")

    request = cts.ListTracesRequest(trace_type="system", limit=1, resource_name=name)
    seen = []
    while True:
        page = client.list_traces(request)
        seen += [trace.trace_id for trace in page.traces]
        if page.meta_data.marker is None:
            break
        request.next = page.meta_data.marker
    assert seen == [failed.trace_id, read.trace_id, made.trace_id]


def test_a_bad_trace_query_has_its_code(credentials: dict[str, str]) -> None:
    """The client's exception carries code and request id."""
    request = cts.ListTracesRequest(trace_type="system", limit=201)
    with pytest.raises(ClientRequestException) as caught:
        _client(cts.CtsClient, credentials).list_traces(request)
    assert (caught.value.status_code, caught.value.error_code) == (400, "APIGW.0201")
    assert caught.value.request_id


def test_metrics_are_listed_and_read(delivered: Any, credentials: dict[str, str]) -> None:
    """The monitoring service's client reads a topic's counters, one and many at once."""
    client = _client(ces.CesClient, credentials)
    dimension = f"topic_id,{delivered.topic_id}"
    listed = client.list_metrics(ces.ListMetricsRequest(namespace="SYS.SMN", dim_0=dimension))
    assert {one.dimensions[0].value for one in listed.metrics} == {delivered.topic_id}
    assert (listed.meta_data.count, listed.meta_data.total) == (8, 8)
    now_ms = int(time.time() * 1000)
    asked = {"period": 300, "_from": now_ms - 300_000, "to": now_ms + 300_000}

    def total() -> float:
        request = ces.ShowMetricDataRequest(
            namespace="SYS.SMN",
            metric_name="http_total_count",
            dim_0=dimension,
            filter="sum",
            **asked,
        )
        points = client.show_metric_data(request).datapoints
        assert {point.unit for point in points} == {"count"}
        return float(sum(point.sum for point in points))

    _until(lambda: total() == 2)  # the invitation and the message

    names = [one.metric_name for one in listed.metrics]
    series = [
        ces.MetricInfo(
            namespace="SYS.SMN",
            metric_name=name,
            dimensions=[ces.MetricsDimension(name="topic_id", value=delivered.topic_id)],
        )
        for name in names
    ]
    body = ces.BatchListMetricDataRequestBody(
        metrics=series,
        period=ces.BatchPeriod._300,
        filter=ces.Filter.MAX,
        _from=asked["_from"],
        to=asked["to"],
    )
    found = client.batch_list_metric_data(ces.BatchListMetricDataRequest(body=body)).metrics
    most = {one.metric_name: max(point.max for point in one.datapoints) for one in found}
    assert set(most) == set(names)
    assert most["http_success_rate"] == 100
    assert most["http_5xx_count"] == most["email_total_count"] == 0


def test_bad_metric_queries_have_their_codes(credentials: dict[str, str]) -> None:
    """Each operation of the client is refused in its way."""
    client = _client(ces.CesClient, credentials)
    bad = ces.ShowMetricDataRequest(
        namespace="SYS.SMN",
        metric_name="http_total_count",
        dim_0=f"topic_id,{'0' * 32}",
        filter="sum",
        period=7,
        _from=1_764_000_000_000,
        to=1_764_000_300_000,
    )
    body = ces.BatchListMetricDataRequestBody(
        metrics=[], period="300", filter="sum", _from=1_764_000_000_000, to=1_764_000_300_000
    )
    calls: list[Callable[[], Any]] = [
        lambda: client.show_metric_data(bad),
        lambda: client.list_metrics(ces.ListMetricsRequest(limit=1001)),
        lambda: client.batch_list_metric_data(ces.BatchListMetricDataRequest(body=body)),
    ]
    for call in calls:
        with pytest.raises(ClientRequestException) as caught:
            call()
        assert (caught.value.status_code, caught.value.error_code) == (400, "APIGW.0201")


def _query(topic: Any, **changes: Any) -> lts.ListLogsRequest:
    asked = {"start_time": "1000000000000", "end_time": "9999999999999", "limit": 100} | changes
    return lts.ListLogsRequest(
        log_group_id="group", log_stream_id=topic.topic_id, body=lts.QueryLtsLogParams(**asked)
    )


def test_the_delivery_log_is_read(delivered: Any, credentials: dict[str, str]) -> None:
    """The log service's client finds the lines of a bound topic."""
    client = _client(lts.LtsClient, credentials)

    def found() -> list[Any]:
        logs = client.list_logs(_query(delivered)).logs
        return logs if len(logs) == 2 else []

    invitation, message = _until(found)
    line = json.loads(message.content)
    assert (line["topic_urn"], line["status"]) == (delivered.topic_urn, "DELIVERED")
    assert (line["http_code"], line["protocol_name"]) == (200, "http")
    counted = client.list_logs(
        _query(delivered, is_desc=True, is_count=True, limit=1, keywords="DELIVERED")
    )
    assert (counted.count, counted.is_query_complete) == (2, True)
    assert counted.logs[0].line_num == message.line_num
    further = _query(delivered, is_desc=True, line_num=message.line_num, search_type="forwards")
    assert [one.line_num for one in client.list_logs(further).logs] == [invitation.line_num]


def test_a_bad_log_query_has_its_code(credentials: dict[str, str]) -> None:
    """As does another project's stream."""
    topic = type("T", (), {"topic_id": "stream"})
    with pytest.raises(ClientRequestException) as caught:
        _client(lts.LtsClient, credentials).list_logs(_query(topic, line_num="x"))
    assert (caught.value.status_code, caught.value.error_code) == (400, "APIGW.0201")
    with pytest.raises(ClientRequestException) as caught:
        _client(lts.LtsClient, credentials, project_id="0" * 32).list_logs(_query(topic))
    assert (caught.value.status_code, caught.value.error_code) == (403, "SMN.0001")


def _hour(offset: int) -> str:
    now_s = int(time.time()) // HOUR_S * HOUR_S
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now_s + offset * HOUR_S))


def test_statistics_count_short_messages(sdk: SmnClient) -> None:
    """Hour by hour; a time that is none has the contract's code."""
    topic = _topic(sdk, f"counted-{time.monotonic_ns()}")
    body = smn.AddSubscriptionRequestBody(protocol="sms", endpoint="13600000000")
    sdk.add_subscription(smn.AddSubscriptionRequest(topic_urn=topic.topic_urn, body=body))

    def found(start: str) -> Any:
        return sdk.list_topic_message_statistics(
            smn.ListTopicMessageStatisticsRequest(
                topic_urn=topic.topic_urn, start_time=start, end_time=_hour(1)
            )
        )

    _until(lambda: found(_hour(-1)).total.sms == 1)  # the invitation
    hours = found(_hour(-1)).statistics
    assert sum(hour.count.sms for hour in hours) == 1
    assert hours[0].start_time.endswith(":00:00Z")
    with pytest.raises(ClientRequestException) as caught:
        found("yesterday")
    assert (caught.value.status_code, caught.value.error_code) == (400, "SMN.0103")


def _tocsin(service: Serve, *arguments: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "engine", *arguments, "--data", str(service.data), "--json"]
    done = subprocess.run(command, capture_output=True, check=True, cwd=service.data.parent)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_command_line_shows_logs_and_audit(service: Serve, delivered: Any) -> None:
    """By a topic's name or URN, the newest last, filtered; each line says what it delivered."""

    def both() -> list[dict[str, Any]]:
        found = _tocsin(service, "logs", delivered.name, "--status", "DELIVERED")
        return found if len(found) == 2 else []

    lines = _until(both)
    assert sorted(line["kind"] for line in lines) == ["confirmation", "notification"]
    assert {line["topic_urn"] for line in lines} == {delivered.topic_urn}
    assert lines[-1]["attempts"][0]["code"] == 200
    assert _tocsin(service, "logs", delivered.topic_urn, "--status", "REJECTED") == []
    only = ("--resource", delivered.name, "--since", "1h")
    names = [trace["trace_name"] for trace in _tocsin(service, "audit", *only)]
    assert names[:3] == ["createTopic", "listTopicDetails", "createLogtank"]
    assert _tocsin(service, "audit", *only, "--rating", "incident") == []
    assert _tocsin(service, "audit", *only, "--project", "region01", "--name", "createLogtank")


def test_the_audit_of_an_unknown_project_is_refused(service: Serve) -> None:
    """Rather than shown as empty."""
    command = [sys.executable, "-m", "engine", "audit", "--project", "nosuch"]
    done = subprocess.run(
        [*command, "--data", str(service.data)],
        cwd=service.data.parent,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert b"has no project nosuch." in done.stderr


def test_the_audit_is_followed(service: Serve, sdk: SmnClient) -> None:
    """A record appears while the command runs."""
    name = f"followed-{time.monotonic_ns()}"
    command = [sys.executable, "-m", "engine", "audit", "--data", str(service.data), "--json"]
    only = ("--follow", "--type", "topic", "--name", "createTopic")
    with subprocess.Popen(
        [*command, *only], stdout=subprocess.PIPE, cwd=service.data.parent
    ) as process:
        assert process.stdout is not None
        _topic(sdk, name)
        for line in process.stdout:
            if json.loads(line)["resource_name"] == name:
                break
        process.terminate()


def test_an_async_client_lists_traces(credentials: dict[str, str]) -> None:
    """The client's own thread pool asks the same questions."""
    client = _client(cts.CtsAsyncClient, credentials)
    request = cts.ListTracesRequest(trace_type="system")
    assert client.list_traces_async(request).result().meta_data is not None


def test_without_rights_nothing_is_shown(credentials: dict[str, str]) -> None:
    """A wrong key is 401 for each service."""
    wrong = {"secret_key": "wrong"}
    calls: list[Callable[[], Any]] = [
        lambda: _client(cts.CtsClient, credentials, **wrong).list_traces(
            cts.ListTracesRequest(trace_type="system")
        ),
        lambda: _client(ces.CesClient, credentials, **wrong).list_metrics(ces.ListMetricsRequest()),
        lambda: build_client(credentials, **wrong).list_topics(smn.ListTopicsRequest()),
    ]
    for call in calls:
        with pytest.raises(ClientRequestException) as caught:
            call()
        assert caught.value.status_code == 401
