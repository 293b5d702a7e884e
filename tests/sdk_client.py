"""The official SDK's clients."""

from __future__ import annotations

from typing import Any

from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdksmn.v2 import SmnAsyncClient, SmnClient


def build_client(credentials: dict[str, str], **changes: str) -> SmnClient:
    """As the SDK's documentation builds one; ``changes`` replace credentials."""
    return _built(SmnClient.new_builder(), credentials | changes)


def build_async_client(credentials: dict[str, str], **changes: str) -> SmnAsyncClient:
    """The same of the client whose calls return at once."""
    return _built(SmnAsyncClient.new_builder(), credentials | changes)


def _built(builder: Any, given: dict[str, str]) -> Any:
    basic = BasicCredentials(given["access_key"], given["secret_key"], given["project_id"])
    return builder.with_credentials(basic).with_endpoint(given["endpoint"]).build()
