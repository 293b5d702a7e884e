"""What the service offers, without a project in the path."""

from __future__ import annotations

import pytest

from tests.worlds import World


@pytest.mark.parametrize("path", ["cloud_service", "cloud-services"])
async def test_cloud_services_have_two_names(world: World, path: str) -> None:
    """One for access policies, one for people; both paths answer the same."""
    answer = await world.call("GET", f"/v2/notifications/{path}")
    assert answer.status == 200
    assert set(answer.json) == {"request_id", "cloud_services"}
    assert {"name": "obs", "show_name": "OBS"} in answer.json["cloud_services"]
    assert all(set(one) == {"name", "show_name"} for one in answer.json["cloud_services"])


async def test_protocols_are_those_with_an_adapter(world: World) -> None:
    """What a subscription could be made for here."""
    answer = await world.call("GET", "/v2/notifications/protocols")
    assert answer.status == 200
    assert set(answer.json["protocols"]) == set(world.engine.adapters)
    assert {"http", "https"} <= set(answer.json["protocols"])


@pytest.mark.parametrize("path", ["cloud_service", "cloud-services", "protocols"])
async def test_callers_are_known(world: World, path: str) -> None:
    """Without credentials it is a 401."""
    target = f"/v2/notifications/{path}"
    await world.refuses("GET", target, status=401, code="APIGW.0301", sign=False)
