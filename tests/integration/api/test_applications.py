"""Applications, their endpoints and their tags."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.errors import Refused
from engine.settings import Settings
from tests.api_client import Answer
from tests.apple import push_certificate
from tests.applications import APNS, HMS, MISSING, World, open_world
from tests.engines import eventually, names_of_keys, open_engine, snapshot


@pytest.fixture
async def world(redis_url: str, tmp_path: Path, settings: Settings) -> AsyncIterator[World]:
    """Mobile push is enabled."""
    async with open_world(redis_url, tmp_path, settings) as world:
        yield world


async def test_an_application_lives_as_documented(world: World) -> None:
    """Created, found again, listed, shown, authenticated anew, deleted, gone."""
    urn = await world.create(HMS)
    assert urn == f"urn:smn:region01:{world.project}:application:HMS:shop"
    again = await world.call("POST", "applications", HMS)
    assert (again.status, again.json["application_urn"]) == (200, urn)
    identifier = again.json["application_id"]
    other = await world.create(APNS)
    listed = (await world.call("GET", "applications")).json
    assert listed["application_count"] == 2
    assert [item["application_urn"] for item in listed["applications"]] == [urn, other]
    item = listed["applications"][0]
    assert item.pop("create_time")
    assert item == {
        "name": "shop",
        "platform": "HMS",
        "application_urn": urn,
        "application_id": identifier,
        "enabled": "true",
    }
    shown = (await world.call("GET", f"applications/{urn}")).json
    assert shown["attributes"] == {"enabled": "true"}
    assert shown["application_id"] == identifier
    secrets = {"platform_principal": "1", "platform_credential": "d" * 64}
    assert (await world.call("PUT", f"applications/{urn}", secrets)).status == 200
    assert (await world.call("POST", "applications", HMS | secrets)).status == 200
    assert (await world.call("DELETE", f"applications/{urn}")).status == 200
    await world.refuses("GET", f"applications/{urn}", None, 404, "SMN.0122")
    assert (await world.call("POST", "applications", HMS)).json["application_id"] != identifier


async def test_apples_certificate_shows_when_it_expires(world: World) -> None:
    """Of the one that the application is authenticated with now."""
    first, second = (
        push_certificate(dt.datetime(year, 10, 16, 7, 45, 16, tzinfo=dt.UTC))
        for year in (2027, 2028)
    )

    async def shown() -> list[str | None]:
        found = (await world.call("GET", f"applications/{urn}")).json["attributes"]
        (item,) = (await world.call("GET", "applications")).json["applications"]
        name = "apple_certificate_expiration_date"
        return [found.get(name), item.get(name)]

    names = ("platform_principal", "platform_credential")
    urn = await world.create(APNS | dict(zip(names, first, strict=True)))
    assert await shown() == ["2027-10-16T07:45:16Z"] * 2
    await world.call("PUT", f"applications/{urn}", dict(zip(names, second, strict=True)))
    assert await shown() == ["2028-10-16T07:45:16Z"] * 2


async def test_applications_are_listed_by_beginning_and_platform(world: World) -> None:
    """Both combine; pages count all that match."""
    for name in ("shop", "shop2", "other"):
        await world.create(HMS | {"name": name})
    await world.create(APNS)

    async def names(query: str) -> tuple[int, list[str]]:
        found = (await world.call("GET", f"applications?{query}")).json
        return found["application_count"], [item["name"] for item in found["applications"]]

    assert await names("name=shop") == (3, ["shop", "shop2", "shop"])
    assert await names("name=shop&platform=HMS&limit=1") == (2, ["shop"])
    assert await names("platform=APNS_SANDBOX") == (0, [])
    assert await names("offset=3") == (4, ["shop"])
    assert await names("offset=9") == (4, [])


async def test_a_marker_is_where_a_list_of_applications_goes_on(world: World) -> None:
    """Behind an application that is listed; behind any other text there is nothing."""
    urns = [await world.create(HMS | {"name": name}) for name in ("shop", "other", "shop2")]

    async def after(marker: str, more: str = "") -> list[str]:
        found = (await world.call("GET", f"applications?marker={marker}{more}")).json
        assert found["application_count"] == (2 if "name" in more else 3)
        return [item["application_urn"] for item in found["applications"]]

    assert await after(urns[0]) == urns[1:]
    assert await after(urns[0], "&limit=1&offset=1") == [urns[2]]
    assert await after(urns[0], "&name=shop") == [urns[2]]
    assert await after(urns[1], "&name=shop") == []
    assert await after("nonsense") == []


async def test_secrets_are_encrypted_and_never_shown(world: World) -> None:
    """Neither in the database nor in any answer."""
    urn = await world.create(HMS)
    found = repr(await snapshot(world.engine.store))
    shown = (await world.call("GET", "applications")).raw
    shown += (await world.call("GET", f"applications/{urn}")).raw
    for secret in (HMS["platform_principal"], HMS["platform_credential"]):
        assert secret not in found
        assert secret not in shown.decode()


async def test_bad_applications_change_nothing(world: World) -> None:
    """Each answers its code."""
    await world.create(HMS)
    for name in (None, 7, "", "a-b", "a b", "ä", "a" * 65):
        await world.refuses("POST", "applications", HMS | {"name": name}, 400, "SMN.0115")
    for platform in (None, 7, "", "FCM", "hms"):
        await world.refuses("POST", "applications", HMS | {"platform": platform}, 403, "SMN.0116")
    table: list[tuple[dict[str, Any], dict[str, Any], int, str]] = [
        (HMS, {"platform_principal": "a" * 21}, 400, "SMN.0124"),
        (HMS, {"platform_principal": ""}, 400, "SMN.0124"),
        (HMS, {"platform_principal": 7}, 400, "SMN.0124"),
        (HMS, {"platform_credential": None}, 400, "SMN.0124"),
        (HMS, {"platform_credential": "a" * 31}, 400, "SMN.0124"),
        (APNS, {"platform_principal": "no base64!"}, 400, "SMN.0118"),
        (APNS, {"platform_credential": ""}, 400, "SMN.0118"),
        (APNS, {"platform_principal": "a" * 8193}, 403, "SMN.0119"),
        (APNS, {"platform_credential": "a" * 8193}, 403, "SMN.0120"),
        (HMS, {"platform_credential": "e" * 32}, 400, "SMN.0121"),
    ]
    for good, change, status, code in table:
        await world.refuses("POST", "applications", good | change, status, code)
    await world.refuses("GET", "applications?platform=FCM", None, 403, "SMN.0116")
    await world.refuses("GET", f"applications?name={'a' * 65}", None, 400, "SMN.0115")
    await world.refuses("GET", "applications?limit=0", None, 400, "SMN.0015")


async def test_bad_names_of_applications_change_nothing(world: World) -> None:
    """Malformed, unknown and another project's, in each operation."""
    secrets = {"platform_principal": "1", "platform_credential": "d" * 64}
    base = "urn:smn:region01"
    gone = f"{base}:{world.project}:application:HMS:gone"
    foreign = f"{base}:{MISSING}:application:HMS:shop"
    for urn, status, code in (
        ("nonsense", 400, "SMN.0123"),
        (f"{base}:{world.project}:endpoint:HMS:shop", 400, "SMN.0123"),
        (gone, 404, "SMN.0122"),
        (gone.replace("region01", "elsewhere"), 404, "SMN.0122"),
        (foreign, 403, "SMN.0001"),
    ):
        await world.refuses("GET", f"applications/{urn}", None, status, code)
        await world.refuses("PUT", f"applications/{urn}", secrets, status, code)
        await world.refuses("DELETE", f"applications/{urn}", None, status, code)
        await world.refuses("GET", f"applications/{urn}/endpoints", None, status, code)
        body = {"token": "t", "user_data": ""}
        await world.refuses("POST", f"applications/{urn}/endpoints", body, status, code)
    urn = await world.create(HMS)
    bad = secrets | {"platform_credential": "short"}
    await world.refuses("PUT", f"applications/{urn}", bad, 400, "SMN.0124")
    await world.refuses("PUT", f"applications/{urn}", {}, 400, "SMN.0124")


async def test_an_endpoint_lives_as_documented(world: World) -> None:
    """Registered, found again, listed, shown, changed, deleted, gone."""
    application = await world.create(HMS)
    urn = await world.register(application, "token-1", "Ann")
    assert urn.startswith(f"urn:smn:region01:{world.project}:endpoint:HMS:shop:")
    target = f"applications/{application}/endpoints"
    again = await world.call("POST", target, {"token": "token-1", "user_data": "Ann"})
    assert (again.status, again.json["endpoint_urn"]) == (200, urn)
    shown = (await world.call("GET", f"endpoints/{urn}")).json
    assert shown["attributes"] == {"enabled": "true", "token": "token-1", "user_data": "Ann"}
    changed = await world.call("PUT", f"endpoints/{urn}", {"enabled": "false"})
    assert set(changed.json) == {"request_id"}
    await world.call("PUT", f"endpoints/{urn}", {"user_data": "Bob"})
    (item,) = (await world.call("GET", target)).json["endpoints"]
    assert item.pop("create_time")
    assert item == {
        "endpoint_urn": urn,
        "user_data": "Bob",
        "enabled": "false",
        "token": "token-1",
    }
    assert (await world.call("DELETE", f"endpoints/{urn}")).status == 200
    await world.refuses("GET", f"endpoints/{urn}", None, 404, "SMN.0125")
    assert await world.register(application, "token-1") != urn


async def test_endpoints_are_listed_with_filters(world: World) -> None:
    """A flag says whether there are more."""
    application = await world.create(HMS)
    urns = [
        await world.register(application, f"t{n}", "even" if n % 2 == 0 else "") for n in range(5)
    ]
    await world.call("PUT", f"endpoints/{urns[0]}", {"enabled": "false"})

    async def listed(query: str) -> tuple[bool, list[int]]:
        found = (await world.call("GET", f"applications/{application}/endpoints?{query}")).json
        items = [urns.index(item["endpoint_urn"]) for item in found["endpoints"]]
        return found["next_page_flag"], items

    assert await listed("limit=2") == (True, [0, 1])
    assert await listed(f"limit=2&marker={urns[1]}") == (True, [2, 3])
    assert await listed(f"limit=2&marker={urns[2]}") == (False, [3, 4])
    assert await listed(f"limit=2&marker={urns[3]}") == (False, [4])
    assert await listed("limit=2&offset=3") == (False, [3, 4])
    assert await listed("offset=9") == (False, [])
    assert await listed("token=t3") == (False, [3])
    assert await listed("user_data=even&enabled=true") == (False, [2, 4])
    assert await listed("enabled=false") == (False, [0])


async def test_endpoints_are_in_the_lists_of_what_they_are(world: World) -> None:
    """Any window of any list, with any marker; whoever changes moves, whoever goes leaves none."""
    application = await world.create(HMS)
    data = ["a", "b", "c", "ab", "x-1"]
    known = [
        [await world.register(application, f"t{n}", data[n % 5]), data[n % 5], "true"]
        for n in range(20)
    ]
    for n in (0, 1, 7, 12):
        known[n][1:] = ["b", "false"]
        body = {"user_data": "b", "enabled": "false"}
        assert (await world.call("PUT", f"endpoints/{known[n][0]}", body)).status == 200
    assert (await world.call("DELETE", f"endpoints/{known.pop(3)[0]}")).status == 200

    async def listed(query: str) -> list[str]:
        target = f"applications/{application}/endpoints?{query}"
        return [one["endpoint_urn"] for one in (await world.call("GET", target)).json["endpoints"]]

    for flag in (None, "true", "false"):
        for text in (None, *data):
            only = [one[0] for one in known if flag in {None, one[2]} and text in {None, one[1]}]
            query = "" if flag is None else f"&enabled={flag}"
            query += "" if text is None else f"&user_data={text}"
            assert await listed(query) == only
            assert await listed(f"{query}&offset=1&limit=2") == only[1:3]
            for urn, *_ in known[::5]:
                after = only[only.index(urn) + 1 :] if urn in only else []
                assert await listed(f"{query}&marker={urn}") == after
                assert await listed(f"{query}&marker={urn}&offset=1&limit=1") == after[1:2]
    assert await listed("marker=nonsense") == []
    assert await listed("token=t5&user_data=a") == [known[4][0]]
    assert await listed("token=t5&enabled=false") == []
    assert await listed(f"token=t5&marker={known[4][0]}") == []
    for urn, *_ in known:
        await world.call("DELETE", f"endpoints/{urn}")
    assert await listed("") == []
    assert [name for name in await names_of_keys(world.engine.store) if ":device" in name] == []


async def test_two_changes_of_an_endpoint_at_once_are_both_kept(world: World) -> None:
    """Whoever is second sees what the first has written."""
    application = await world.create(HMS)
    urn = await world.register(application, "t", "a")
    target = f"applications/{application}/endpoints?enabled=false&user_data=b"
    for _ in range(20):
        await asyncio.gather(
            world.call("PUT", f"endpoints/{urn}", {"enabled": "false"}),
            world.call("PUT", f"endpoints/{urn}", {"user_data": "b"}),
        )
        assert len((await world.call("GET", target)).json["endpoints"]) == 1
        await world.call("PUT", f"endpoints/{urn}", {"enabled": "true", "user_data": "a"})
        assert (await world.call("GET", target)).json["endpoints"] == []


async def test_bad_endpoints_change_nothing(world: World) -> None:
    """Each answers its code."""
    application = await world.create(HMS)
    urn = await world.register(application, "taken", "x")
    target = f"applications/{application}/endpoints"
    for token in (None, 7, "", "a" * 513, "a\nb"):
        await world.refuses("POST", target, {"token": token, "user_data": ""}, 403, "SMN.0131")
    for user_data in (None, 7, "a" * 2049):
        body = {"token": "t", "user_data": user_data}
        await world.refuses("POST", target, body, 400, "SMN.0132")
    await world.refuses("POST", target, {"token": "taken", "user_data": "y"}, 400, "SMN.0133")
    await world.refuses("GET", f"{target}?enabled=yes", None, 400, "SMN.0136")
    await world.refuses("GET", f"{target}?limit=101", None, 400, "SMN.0015")
    await world.refuses("PUT", f"endpoints/{urn}", {"enabled": "yes"}, 400, "SMN.0136")
    await world.refuses("PUT", f"endpoints/{urn}", {"enabled": True}, 400, "SMN.0136")
    await world.refuses("PUT", f"endpoints/{urn}", {"user_data": "a" * 2049}, 400, "SMN.0132")
    gone = urn.rpartition(":")[0] + f":{MISSING}"
    for bad, status, code in (
        ("nonsense", 400, "SMN.0134"),
        (application, 400, "SMN.0134"),
        (gone, 404, "SMN.0125"),
        (gone.replace(":shop:", ":gone:"), 404, "SMN.0125"),
        (gone.replace(world.project, MISSING), 403, "SMN.0001"),
    ):
        await world.refuses("GET", f"endpoints/{bad}", None, status, code)
        await world.refuses("PUT", f"endpoints/{bad}", {"enabled": "true"}, status, code)
        await world.refuses("DELETE", f"endpoints/{bad}", None, status, code)
        await world.refuses("POST", f"endpoints/{bad}/publish", {"message": "m"}, status, code)


async def test_a_device_is_found_as_it_is(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own changes at once, its application's within seconds; what is gone is not found."""
    monkeypatch.setattr("engine.store.device_finder._KEPT_MS", 200)
    application = await world.create(HMS)
    urn = await world.register(application, "t")
    found = await world.devices.find(urn)
    assert found is not None
    await world.call("PUT", f"endpoints/{urn}", {"enabled": "false"})
    assert await world.devices.find(urn) == replace(found, enabled=False)
    secrets = {"platform_principal": "1", "platform_credential": "d" * 64}
    await world.call("PUT", f"applications/{application}", secrets)

    async def renewed() -> bool:
        found = await world.devices.find(urn)
        return found is not None and (found.principal, found.credential) == ("1", "d" * 64)

    await eventually(renewed, "the new credentials are found")
    for gone in (
        "nonsense",
        application,
        urn.replace("region01", "elsewhere"),
        urn.replace(":shop:", ":gone:"),
        urn.rpartition(":")[0] + f":{MISSING}",
    ):
        assert await world.devices.find(gone) is None
    await world.call("DELETE", f"applications/{application}")
    assert await world.devices.find(urn) is None


async def test_without_push_applications_are_not_supported(world: World) -> None:
    """Every operation says so."""
    application = await world.create(HMS)
    urn = await world.register(application, "t")
    del world.engine.adapters["application"]
    for method, tail, body in (
        ("POST", "applications", HMS),
        ("GET", "applications", None),
        ("GET", f"applications/{application}", None),
        ("PUT", f"applications/{application}", HMS),
        ("DELETE", f"applications/{application}", None),
        ("POST", f"applications/{application}/endpoints", {"token": "t", "user_data": ""}),
        ("GET", f"applications/{application}/endpoints", None),
        ("GET", f"endpoints/{urn}", None),
        ("PUT", f"endpoints/{urn}", {"enabled": "true"}),
        ("DELETE", f"endpoints/{urn}", None),
        ("POST", f"endpoints/{urn}/publish", {"message": "m"}),
    ):
        await world.refuses(method, tail, body, 403, "SMN.0116")


async def test_scripts_run_twice(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client whose reply was lost sends them again: the second run changes nothing more."""
    store = world.engine.store
    run = store.run

    async def twice(*call: Any, **how: Any) -> Any:
        first = await run(*call, **how)
        before = await snapshot(store)
        second = await run(*call, **how)
        assert await snapshot(store) == before
        assert second in [first, 0]
        return first

    monkeypatch.setattr(store, "run", twice)
    application = await world.create(HMS)
    urn = await world.register(application, "t")
    assert (await world.call("PUT", f"endpoints/{urn}", {"enabled": "false"})).status == 200
    assert (await world.call("DELETE", f"endpoints/{urn}")).status == 200
    await world.register(application, "t")
    secrets = {"platform_principal": "1", "platform_credential": "d" * 64}
    assert (await world.call("PUT", f"applications/{application}", secrets)).status == 200
    assert (await world.call("DELETE", f"applications/{application}")).status == 200


# Tags


async def tagged(world: World, method: str, tail: str, body: Any = None, **headers: str) -> Answer:
    """A call on tags of applications."""
    target = f"/v2/{world.project}/smn_application/{tail}"
    return await world.client.call(method, target, body, headers=headers)


async def ids(world: World) -> dict[str, str]:
    """The applications' ids by platform."""
    listed = (await world.call("GET", "applications")).json["applications"]
    return {one["platform"]: one["application_id"] for one in listed}


async def test_applications_have_tags(world: World) -> None:
    """By id, and by a name that no other platform's application has; they are found by them."""
    await world.create(HMS)
    await world.create(APNS)
    await world.create(HMS | {"name": "alone"})
    known = (await world.call("GET", "applications?name=alone")).json["applications"]
    alone, shop = known[0]["application_id"], (await ids(world))["APNS"]
    by_name = {"X-SMN-RESOURCEID-TYPE": "name"}
    body = {"tag": {"key": "env", "value": "prod"}}
    assert (await tagged(world, "POST", f"{shop}/tags", body)).status == 204
    assert (await tagged(world, "POST", "alone/tags", body, **by_name)).status == 204
    assert (await tagged(world, "POST", "shop/tags", body, **by_name)).status == 404
    change = {"action": "create", "tags": [{"key": "team", "value": "blue"}]}
    assert (await tagged(world, "POST", f"{alone}/tags/action", change)).status == 204
    listed = (await tagged(world, "GET", "tags")).json["tags"]
    assert listed == [
        {"key": "env", "values": ["prod"]},
        {"key": "team", "values": ["blue"]},
    ]
    query = {"action": "filter", "tags": [{"key": "team", "values": []}]}
    found = (await tagged(world, "POST", "resource_instances/action", query)).json
    assert found == {
        "resources": [
            {
                "resource_id": alone,
                "resource_name": "alone",
                "resource_detail": None,
                "tags": [{"key": "env", "value": "prod"}, {"key": "team", "value": "blue"}],
            }
        ],
        "total_count": 1,
    }
    without = {"action": "count", "without_any_tag": True}
    answer = await tagged(world, "POST", "resource_instances/action", without)
    assert answer.json == {"total_count": 1}
    assert (await tagged(world, "DELETE", f"{alone}/tags/team")).status == 204
    left = (await tagged(world, "GET", "alone/tags", **by_name)).json["tags"]
    assert left == [{"key": "env", "value": "prod"}]


async def test_an_applications_tags_go_with_it(world: World) -> None:
    """Also from the project's list, and the next application of the name has none."""
    urn = await world.create(HMS)
    body = {"tag": {"key": "env", "value": "prod"}}
    old = (await ids(world))["HMS"]
    assert (await tagged(world, "POST", f"{old}/tags", body)).status == 204
    assert (await world.call("DELETE", f"applications/{urn}")).status == 200
    assert (await tagged(world, "GET", "tags")).json == {"tags": []}
    assert (await tagged(world, "GET", f"{old}/tags")).status == 404
    await world.create(HMS)
    assert (await tagged(world, "GET", f"{(await ids(world))['HMS']}/tags")).json == {"tags": []}


async def test_an_application_is_no_topic(world: World) -> None:
    """Its id finds none, neither in lists nor among resources with tags."""
    await world.create(HMS)
    home = (await ids(world))["HMS"]
    assert (await world.call("GET", f"topics?topic_id={home}")).json["topic_count"] == 0
    path = f"/v2/{world.project}/smn_topic/{home}/tags"
    assert (await world.client.call("GET", path)).status == 404


async def test_two_changes_of_one_endpoint_both_stay(world: World) -> None:
    """Whoever switches it off does not take back what somebody else has just written."""
    urn = await world.register(await world.create(HMS), 'to"ken/ü', "old")
    for number in range(20):
        data = f'data "{number}" /\\ ü'
        switch = "false" if number % 2 else "true"
        await asyncio.gather(
            world.call("PUT", f"endpoints/{urn}", {"enabled": switch}),
            world.call("PUT", f"endpoints/{urn}", {"user_data": data}),
        )
        shown = (await world.call("GET", f"endpoints/{urn}")).json["attributes"]
        assert shown == {"enabled": switch, "token": 'to"ken/ü', "user_data": data}


async def test_devices_of_other_projects_are_not_subscribed(redis_url: str, tmp_path: Path) -> None:
    """They are refused alike whether or not there are such."""
    async with open_engine(redis_url, tmp_path, tables={"push": {"enabled": True}}) as engine:
        topic = await engine.create_topic("news")
        secrets = HMS["platform_principal"], HMS["platform_credential"]
        made = []
        for project_id in (topic.project_id, "f" * 32):
            urn, _, _ = await engine.applications.create(project_id, "HMS", "shop", secrets)
            made.append((await engine.devices.register(project_id, urn, "token", ""))[0].urn)
        own, foreign = made
        await engine.subscribe(topic.urn, "application", own)
        said = set()
        for urn in (foreign, f"{foreign[:-32]}{MISSING}"):
            with pytest.raises(Refused, match=r"SMN\.0012") as refused:
                await engine.subscribe(topic.urn, "application", urn)
            said.add(str(refused.value))
            with pytest.raises(Refused, match=r"SMN\.0012"):
                await engine.subscribe_many(topic.urn, "application", [urn])
        assert len(said) == 1
