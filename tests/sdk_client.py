"""The official SDK's client."""

from __future__ import annotations

from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdksmn.v2 import SmnClient


def build_client(credentials: dict[str, str], **changes: str) -> SmnClient:
    """As the SDK's documentation builds one; ``changes`` replace credentials."""
    given = credentials | changes
    basic = BasicCredentials(given["access_key"], given["secret_key"], given["project_id"])
    builder = SmnClient.new_builder().with_credentials(basic)
    return builder.with_endpoint(given["endpoint"]).build()
