"""The benchmark client's signature."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer

from benchmarks.client import Credentials, signed_headers

CREDENTIALS = Credentials(
    endpoint="https://smn.example.test",
    project_id="762bdb3251034f268af0e395c53ea09b",
    access_key="AKEXAMPLE00000000001",
    secret_key="SKEXAMPLE0000000000000000000000000000001",
)
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("method", "query", "body"),
    [("POST", "", '{"message": "m"}'), ("GET", "limit=100&offset=20", ""), ("DELETE", "", "")],
)
def test_signature_is_the_sdks(method: str, query: str, body: str) -> None:
    """The official SDK's signer (3.1.219) makes the same signature of the same request."""
    path = "/v2/762bdb3251034f268af0e395c53ea09b/notifications/topics/urn%3Asmn%3Ax/publish"
    url = f"{CREDENTIALS.endpoint}{path}" + (f"?{query}" if query else "")
    ours = signed_headers(CREDENTIALS, method, url, body.encode(), now=NOW)
    request = SdkRequest(
        method=method,
        schema="https",
        host="smn.example.test",
        resource_path=path,
        uri=path,
        query_params=[tuple(pair.split("=")) for pair in query.split("&") if pair],
        header_params={k: v for k, v in ours.items() if k not in {"host", "authorization"}},
        body=body,
    )
    keys = BasicCredentials(CREDENTIALS.access_key, CREDENTIALS.secret_key)
    theirs = Signer(keys).sign(request)
    assert ours["authorization"] == theirs.header_params["Authorization"]


def test_what_is_signed() -> None:
    """Content type, host, project and time are signed."""
    headers = signed_headers(CREDENTIALS, "POST", f"{CREDENTIALS.endpoint}/v2/x", b"", now=NOW)
    assert "SignedHeaders=content-type;host;x-project-id;x-sdk-date," in headers["authorization"]
    assert headers["x-sdk-date"] == "20260102T030405Z"
