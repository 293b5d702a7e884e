"""The table of operations against the official SDK's own."""

from __future__ import annotations

import re

import pytest
from huaweicloudsdksmn import v2 as smn

from engine.api.table import ROUTES

IN_SDK = sorted({one.operation for one in ROUTES} & {name[:-7] for name in dir(smn)})
"""Operations that the SDK has a ``…Request`` class for."""


@pytest.mark.parametrize("operation", IN_SDK)
def test_an_operation_is_where_the_sdk_calls_it(operation: str) -> None:
    """Method and path, with the same parameter names."""
    snake = re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower()
    request = getattr(smn, f"{operation}Request")()
    called = getattr(smn.SmnClient, f"_{snake}_http_info")(request)
    rows = {(one.method, one.path) for one in ROUTES if one.operation == operation}
    assert (called["method"], called["resource_path"]) in rows


def test_the_table_holds_the_sdks_operations() -> None:
    """The comparison is not empty by accident."""
    assert {"CreateTopic", "PublishMessage", "AddSubscription", "DownloadHttpCert"} <= set(IN_SDK)
