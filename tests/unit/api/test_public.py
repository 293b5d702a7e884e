"""What needs no login: links in messages, their pages, certificates."""

from __future__ import annotations

import re

import pytest

from engine.models import Status, SubscriptionUser
from tests.api_client import TOPIC, Client, FakeEngine

CONFIRM = [
    "/v2/notifications/subscriptions/subscribe",
    "/rest/v2/notifications/subscription/confirm",
]
UNSUBSCRIBE = [
    "/v2/notifications/subscriptions/unsubscribe",
    "/rest/v2/notifications/subscription/unsubscribe",
]
ID = "0" * 32
URN = f"{TOPIC}:{ID}"
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.fixture(autouse=True)
async def _subscription(engine: FakeEngine) -> None:
    await engine.subscriptions.add(TOPIC, "http", "http://a")


@pytest.mark.parametrize("path", CONFIRM)
async def test_a_link_confirms(client: Client, path: str) -> None:
    """Without login, in any order of parameters, as often as one likes."""
    for _ in range(2):
        answer = await client.call(
            "GET", f"{path}?endpoint=http://a&token={ID}&topic_urn={TOPIC}", sign=False
        )
        assert (answer.status, answer.json["subscription_urn"]) == (200, URN)
        assert answer.json["request_id"] == answer.headers["X-Request-Id"]


@pytest.mark.parametrize("path", [*CONFIRM, "/smn/subscription/confirm"])
async def test_a_link_confirms_the_endpoint_that_it_names(
    client: Client, engine: FakeEngine, path: str
) -> None:
    """Another than the subscription's is refused; the plus of a number need not be escaped."""
    target = f"{path}?token={ID}&endpoint="
    assert (await client.call("GET", f"{target}http://other", sign=False)).status == 403
    assert engine.subscriptions.known[URN].status is Status.UNCONFIRMED
    engine.subscriptions.known[URN] = engine.subscriptions.known[URN]._replace(endpoint="+49123")
    for endpoint in ("+49123", "%2B49123"):
        assert (await client.call("GET", f"{target}{endpoint}", sign=False)).status == 200


@pytest.mark.parametrize("path", CONFIRM)
@pytest.mark.parametrize(("query", "status"), [("?token=bad", 403), ("", 400), ("?token=", 400)])
async def test_a_bad_link_answers_a_message_only(
    client: Client, path: str, query: str, status: int
) -> None:
    """The public endpoints' errors have one member."""
    answer = await client.call("GET", f"{path}{query}", sign=False)
    assert answer.status == status
    assert list(answer.json) == ["message"]
    assert "X-Request-Id" in answer.headers


@pytest.mark.parametrize("path", UNSUBSCRIBE)
async def test_a_link_cancels(client: Client, path: str) -> None:
    """The answer tells how to subscribe again; a second time there is nothing to cancel."""
    answer = await client.call("GET", f"{path}?subscription_urn={URN}", sign=False)
    assert answer.status == 200
    assert "https://smn.example/smn/subscription/confirm?" in answer.json["message"]
    assert (await client.call("GET", f"{path}?subscription_urn={URN}", sign=False)).status == 404


@pytest.mark.parametrize("path", UNSUBSCRIBE)
@pytest.mark.parametrize(
    ("query", "status"),
    [("", 400), ("?subscription_urn=x", 400), (f"?subscription_urn={URN}&sig=bad", 403)],
)
async def test_a_bad_cancellation_changes_nothing(
    client: Client, engine: FakeEngine, path: str, query: str, status: int
) -> None:
    """A wrong signature is a 403 even where none is needed."""
    assert (await client.call("GET", f"{path}{query}", sign=False)).status == status
    assert URN in engine.subscriptions.known


LOOKED_AT = [
    *(f"{path}?token={ID}" for path in (*CONFIRM, "/smn/subscription/confirm")),
    *(f"{path}?subscription_urn={URN}" for path in (*UNSUBSCRIBE, "/smn/subscription/unsubscribe")),
]
"""Links to confirm and to unsubscribe with."""


@pytest.mark.parametrize("target", LOOKED_AT)
@pytest.mark.parametrize("bad", ["", "0"])
async def test_looking_at_a_link_does_not_follow_it(
    client: Client, engine: FakeEngine, target: str, bad: str
) -> None:
    """Mail scanners send HEAD: it has the headers of a GET, no body, and changes nothing."""
    before = engine.subscriptions.known.copy()
    looked = await client.call("HEAD", target + bad, sign=False)
    assert engine.subscriptions.known == before
    answer = await client.call("GET", target + bad, sign=False)
    assert (looked.status, looked.raw) == (answer.status, b"")
    for name in answer.headers.keys() - {"Date", "X-Request-Id", "X-Request-ID"}:
        assert looked.headers[name] == answer.headers[name]


async def test_looking_at_a_persons_link_shows_the_question(
    client: Client, engine: FakeEngine
) -> None:
    """As a browser would see it, and a program too, whose GET confirms."""
    subscription, _ = await engine.subscriptions.add(TOPIC, "email", "somebody")
    target = f"/smn/subscription/confirm?token={subscription.id}"
    for headers in (BROWSER, {}):
        answer = await client.call("HEAD", target, headers=headers, sign=False)
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert engine.subscriptions.known[subscription.urn].status is Status.UNCONFIRMED


@pytest.mark.parametrize(
    ("query", "accept", "language"),
    [
        ("", "", "en"),
        ("", "de-DE,de;q=0.9", "en"),
        ("", "de;q=0.9,zh-CN;q=0.8,en;q=0.7", "zh"),
        ("", "en-GB,zh", "en"),
        ("", "zh;q=0,en;q=x", "en"),
        ("&locale=zh-cn", "en", "zh"),
        ("&locale=en-us", "zh", "en"),
    ],
)
async def test_pages_speak_english_or_chinese(
    client: Client, query: str, accept: str, language: str
) -> None:
    """The locale parameter decides, else the browser's preference."""
    answer = await client.call(
        "GET",
        f"/smn/subscription/confirm?token={ID}{query}",
        headers={"Accept-Language": accept},
        sign=False,
    )
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert f'<html lang="{language}">' in answer.raw.decode()
    assert TOPIC in answer.raw.decode()


async def test_a_page_cancels_and_offers_the_way_back(client: Client) -> None:
    """The link to subscribe again is escaped like everything else."""
    target = f"/smn/subscription/unsubscribe?subscription_urn={URN}&sig=good"
    answer = await client.call("GET", target, sign=False)
    page = answer.raw.decode()
    assert (
        'href="https://smn.example/smn/subscription/confirm?token=t&amp;topic_urn=&lt;b&gt;"'
        in page
    )
    assert "<script" not in page
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("protocol", ["email", "sms", "callnotify"])
async def test_a_person_is_asked_before_a_link_cancels(
    client: Client, engine: FakeEngine, protocol: str
) -> None:
    """Scanners of mail follow links; the one button of the page posts to the same address."""
    subscription, _ = await engine.subscriptions.add(TOPIC, protocol, "somebody")
    target = f"/smn/subscription/unsubscribe?subscription_urn={subscription.urn}&sig=good"
    page = (await client.call("GET", target, sign=False)).raw.decode()
    assert subscription.urn in engine.subscriptions.known
    assert page.count("<button>") == 1
    assert '<form method="post">' in page
    answer = await client.call("POST", target, sign=False)
    assert answer.status == 200
    assert "form-action 'self'" in answer.headers["Content-Security-Policy"]
    assert subscription.urn not in engine.subscriptions.known
    assert "smn/subscription/confirm" in answer.raw.decode()


@pytest.mark.parametrize("protocol", ["email", "sms", "callnotify"])
@pytest.mark.parametrize(
    ("locale", "button"), [("en-us", "Confirm subscription"), ("zh-cn", "确认订阅")]
)
async def test_a_person_is_asked_before_a_link_confirms(
    client: Client, engine: FakeEngine, protocol: str, locale: str, button: str
) -> None:
    """Scanners of mail come by as browsers; the one button posts to the same address."""
    subscription, _ = await engine.subscriptions.add(TOPIC, protocol, "somebody")
    target = f"/smn/subscription/confirm?token={subscription.id}&locale={locale}"
    page = (await client.call("GET", target, headers=BROWSER, sign=False)).raw.decode()
    assert engine.subscriptions.known[subscription.urn].status is Status.UNCONFIRMED
    assert f'<form method="post"><button>{button}</button></form>' in page
    assert page.count("<button>") == 1
    assert TOPIC in page
    answer = await client.call("POST", target, headers=BROWSER, sign=False)
    assert answer.status == 200
    assert engine.subscriptions.known[subscription.urn].status is Status.CONFIRMED
    assert "<button>" not in answer.raw.decode()


async def test_who_has_confirmed_is_not_asked_again(client: Client, engine: FakeEngine) -> None:
    """The link shows that all is well."""
    subscription, _ = await engine.subscriptions.add(TOPIC, "email", "somebody")
    target = f"/smn/subscription/confirm?token={subscription.id}"
    await client.call("POST", target, sign=False)
    page = (await client.call("GET", target, headers=BROWSER, sign=False)).raw.decode()
    assert "Subscription confirmed" in page
    assert "<button>" not in page


@pytest.mark.parametrize("protocol", ["email", "sms", "callnotify"])
async def test_an_expired_link_shows_who_has_confirmed_how_to_leave(
    client: Client, engine: FakeEngine, protocol: str
) -> None:
    """Short messages have no other; whoever has not confirmed is refused as before."""
    subscription, _ = await engine.subscriptions.add(TOPIC, protocol, "somebody")
    target = f"/smn/subscription/confirm?token={subscription.id}"
    await client.call("POST", target, sign=False)
    engine.subscriptions.expired = True
    answer = await client.call("GET", target, headers=BROWSER, sign=False)
    assert answer.status == 200
    assert f"unsubscribe?subscription_urn={subscription.urn}&amp;sig=good" in answer.raw.decode()
    assert (await client.call("POST", target, sign=False)).status == 403
    for path in CONFIRM:
        assert (await client.call("GET", f"{path}?token={ID}", sign=False)).status == 403
    other, _ = await engine.subscriptions.add(TOPIC, protocol, "somebody else")
    target = f"/smn/subscription/confirm?token={other.id}"
    answer = await client.call("GET", target, headers=BROWSER, sign=False)
    assert answer.status == 403
    assert engine.subscriptions.known[other.urn].status is Status.UNCONFIRMED


@pytest.mark.parametrize(("protocol", "headers"), [("http", BROWSER), ("email", {})])
async def test_a_program_confirms_by_get(
    client: Client, engine: FakeEngine, protocol: str, headers: dict[str, str]
) -> None:
    """The contract's way: whoever opens the link of an HTTP endpoint, or wants no page."""
    subscription, _ = await engine.subscriptions.add(TOPIC, protocol, "somebody")
    target = f"/smn/subscription/confirm?token={subscription.id}"
    answer = await client.call("GET", target, headers=headers, sign=False)
    assert answer.status == 200
    assert engine.subscriptions.known[subscription.urn].status is Status.CONFIRMED


@pytest.mark.parametrize("path", CONFIRM)
async def test_the_rest_paths_ask_nobody(client: Client, engine: FakeEngine, path: str) -> None:
    """They answer JSON whatever Accept says."""
    subscription, _ = await engine.subscriptions.add(TOPIC, "email", "somebody")
    answer = await client.call(
        "GET", f"{path}?token={subscription.id}", headers=BROWSER, sign=False
    )
    assert answer.json["subscription_urn"] == subscription.urn
    assert engine.subscriptions.known[subscription.urn].status is Status.CONFIRMED


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_forged_token_neither_asks_nor_confirms(
    client: Client, engine: FakeEngine, method: str
) -> None:
    """The token is looked at first."""
    subscription, _ = await engine.subscriptions.add(TOPIC, "email", "somebody")
    answer = await client.call(
        method, "/smn/subscription/confirm?token=bad", headers=BROWSER, sign=False
    )
    assert answer.status == 403
    assert "<button>" not in answer.raw.decode()
    assert engine.subscriptions.known[subscription.urn].status is Status.UNCONFIRMED


async def pages(client: Client, engine: FakeEngine, locale: str) -> list[str]:
    """What one person sees: whether to confirm, confirmed, whether to cancel, cancelled."""
    subscription, _ = await engine.subscriptions.add(TOPIC, "email", "somebody")
    confirm = f"/smn/subscription/confirm?token={subscription.id}&locale={locale}"
    cancel = (
        "/smn/subscription/unsubscribe"
        f"?subscription_urn={subscription.urn}&sig=good&locale={locale}"
    )
    answers = [
        await client.call(method, target, headers=BROWSER, sign=False)
        for target in (confirm, cancel)
        for method in ("GET", "POST")
    ]
    assert [one.status for one in answers] == [200] * 4
    return [one.raw.decode() for one in answers]


async def test_pages_show_a_topic_as_mails_do(client: Client, engine: FakeEngine) -> None:
    """By its display name, with the URN below."""
    engine.subscriptions.display_name = "Orders <new>"
    for page in await pages(client, engine, "en"):
        assert f"<strong>Orders &lt;new&gt;</strong><small>{TOPIC}</small>" in page


@pytest.mark.parametrize(
    ("locale", "said"),
    [("en", "as the subscription user Ann &amp; Bob"), ("zh", "作为订阅用户 Ann &amp; Bob ")],
)
async def test_pages_name_a_subscription_user_as_mails_do(
    client: Client, engine: FakeEngine, locale: str, said: str
) -> None:
    """Nobody knows the topic behind it."""
    engine.subscriptions.user = SubscriptionUser("Ann & Bob", (), ("email",))
    for page in await pages(client, engine, locale):
        assert page.count(said) == 1
        assert TOPIC not in page.replace(f"subscription_urn={TOPIC}", "")


async def test_a_mail_program_cancels_with_one_click(client: Client, engine: FakeEngine) -> None:
    """As RFC 8058 has it: a form, no cookie, no question."""
    subscription, _ = await engine.subscriptions.add(TOPIC, "email", "somebody")
    answer = await client.call(
        "POST",
        f"/smn/subscription/unsubscribe?subscription_urn={subscription.urn}&sig=good",
        b"List-Unsubscribe=One-Click",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        sign=False,
    )
    assert answer.status == 200
    assert subscription.urn not in engine.subscriptions.known


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_forged_link_neither_asks_nor_cancels(
    client: Client, engine: FakeEngine, method: str
) -> None:
    """The signature is looked at first."""
    subscription, _ = await engine.subscriptions.add(TOPIC, "email", "somebody")
    target = f"/smn/subscription/unsubscribe?subscription_urn={subscription.urn}&sig=bad"
    answer = await client.call(method, target, sign=False)
    assert answer.status == 403
    assert "<button>" not in answer.raw.decode()
    assert subscription.urn in engine.subscriptions.known


@pytest.mark.parametrize(("protocol", "shown"), [("sms", True), ("email", True), ("http", False)])
async def test_whoever_confirms_is_shown_how_to_leave(
    client: Client, engine: FakeEngine, protocol: str, shown: bool
) -> None:
    """Short messages have no link of their own; a link that cancels at once is not shown."""
    subscription, _ = await engine.subscriptions.add(TOPIC, protocol, "somebody")
    target = f"/smn/subscription/confirm?token={subscription.id}"
    page = (await client.call("GET", target, sign=False)).raw.decode()
    assert (f"unsubscribe?subscription_urn={subscription.urn}&amp;sig=good" in page) == shown


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("confirm?token=%3Cscript%3E", 403),
        ("confirm", 400),
        (f"unsubscribe?subscription_urn={TOPIC}:{'f' * 32}", 404),
        ("unsubscribe?subscription_urn=%3Cscript%3E", 400),
    ],
)
async def test_a_failed_page_is_readable(client: Client, target: str, status: int) -> None:
    """A person sees a page, with the request id and nothing of what was sent."""
    answer = await client.call("GET", f"/smn/subscription/{target}", sign=False)
    page = answer.raw.decode()
    assert answer.status == status
    assert answer.headers["X-Request-Id"] in page
    assert not re.search("<script|SMN\\.", page)


@pytest.mark.parametrize("name", [f"SMN_region01_{'c' * 32}.pem", f"SMN-region01-{'c' * 32}.pem"])
@pytest.mark.parametrize("path", ["/smn", "/v2/notifications/certifications/download"])
async def test_the_certificate_is_served(client: Client, path: str, name: str) -> None:
    """Under both paths and both spellings of its name."""
    answer = await client.call("GET", f"{path}/{name}", sign=False)
    assert (answer.status, answer.raw) == (200, b"-----BEGIN")
    assert answer.headers["Content-Type"] == "application/x-pem-file"


async def test_an_unknown_certificate_is_a_404(client: Client) -> None:
    """There is one certificate."""
    assert (await client.call("GET", "/smn/SMN_region01_x.pem", sign=False)).status == 404
