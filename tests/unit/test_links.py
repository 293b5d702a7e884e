"""Links: what they look like, and that nobody but the server can make one."""

from urllib.parse import parse_qs, urlsplit

import pytest

from engine.errors import Refused
from engine.links import CONFIRM_MS, ConfirmToken, LinkMaker
from engine.models import Status, Subscription
from engine.vault import Vault

NOW = 1_700_000_000_000
TOPIC_URN = "urn:smn:region01:762bdb3251034f268af0e395c53ea09b:orders"
SUBSCRIPTION = Subscription(
    id="b" * 32,
    topic_id="a" * 32,
    topic_urn=TOPIC_URN,
    protocol="http",
    endpoint="http://example.com",
    status=Status.UNCONFIRMED,
    page=0,
    seat=0,
)


@pytest.fixture
def links() -> LinkMaker:
    """A link maker with a key of zeros."""
    return LinkMaker(Vault(bytes(32)), "https://smn.example.com/", "region01")


def query(link: str) -> dict[str, str]:
    """The parameters of a link."""
    return {name: values[0] for name, values in parse_qs(urlsplit(link).query).items()}


def test_confirm_link_has_the_contracts_form(links: LinkMaker) -> None:
    """Path and parameters are those that receivers of SMN know."""
    link = links.confirm(SUBSCRIPTION, NOW + CONFIRM_MS, TOPIC_URN)
    assert link.startswith("https://smn.example.com/smn/subscription/confirm?token=")
    given = query(link)
    assert set(given) == {"token", "topic_urn", "region", "region_id"}
    assert given["topic_urn"] == TOPIC_URN
    assert given["region"] == given["region_id"] == "region01"


def test_unsubscribe_link_has_the_contracts_form(links: LinkMaker) -> None:
    """Path and parameters are SMN's, and a signature that SMN's lack."""
    link = links.unsubscribe(SUBSCRIPTION)
    assert link.startswith("https://smn.example.com/smn/subscription/unsubscribe?")
    given = query(link)
    assert set(given) == {"region", "region_id", "subscription_urn", "sig"}
    assert given["subscription_urn"] == SUBSCRIPTION.urn
    assert links.check_sig(SUBSCRIPTION.urn, given["sig"])


def test_token_is_128_hex_digits(links: LinkMaker) -> None:
    """Tokens look like SMN's own."""
    token = query(links.confirm(SUBSCRIPTION, NOW, TOPIC_URN))["token"]
    assert len(token) == 128
    assert set(token) <= set("0123456789abcdef")


def test_token_tells_whom_it_confirms(links: LinkMaker) -> None:
    """Nothing is stored for a token: it says all that confirming needs."""
    token = links.token("a" * 32, "b" * 32, NOW + CONFIRM_MS)
    assert links.read_token(token) == ConfirmToken("a" * 32, "b" * 32, NOW + CONFIRM_MS)


def test_token_is_valid_for_48_hours(links: LinkMaker) -> None:
    """It works up to its last millisecond and not after."""
    token = links.token("a" * 32, "b" * 32, NOW + CONFIRM_MS)
    links.read_token(token).check(NOW + 48 * 3600 * 1000)
    with pytest.raises(Refused, match="expired") as refused:
        links.read_token(token).check(NOW + 48 * 3600 * 1000 + 1)
    assert (refused.value.code, refused.value.status) == ("SMN.0022", 403)


@pytest.mark.parametrize("place", range(0, 128, 7))
def test_token_changed_anywhere_is_refused(links: LinkMaker, place: int) -> None:
    """Neither ids, expiry nor MAC can be changed."""
    token = links.token("a" * 32, "b" * 32, NOW + CONFIRM_MS)
    digit = "0" if token[place] != "0" else "1"
    with pytest.raises(Refused, match=r"SMN\.0022"):
        links.read_token(token[:place] + digit + token[place + 1 :])


@pytest.mark.parametrize(
    "damage",
    [
        lambda token: "",
        lambda token: "zz",
        lambda token: token[:-2],
        lambda token: token + "00",
        lambda token: token.upper(),
        lambda token: token[:2] + " " + token[2:],
        lambda token: "é" * 128,
        lambda token: "0" * 128,
        lambda token: "0" * 1_000_000,
    ],
)
def test_malformed_token_is_refused(links: LinkMaker, damage) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Whatever stands in the query, the answer is the contract's code."""
    with pytest.raises(Refused, match=r"SMN\.0022"):
        links.read_token(damage(links.token("a" * 32, "b" * 32, NOW)))


def test_token_of_another_installation_is_refused(links: LinkMaker) -> None:
    """Tokens are made with the master key."""
    other = LinkMaker(Vault(b"x" * 32), "https://smn.example.com", "region01")
    with pytest.raises(Refused):
        links.read_token(other.token("a" * 32, "b" * 32, NOW))


@pytest.mark.parametrize("sig", ["", "0" * 32, "é" * 32, "\x00", "\ud800"])
def test_wrong_sig_is_refused(links: LinkMaker, sig: str) -> None:
    """Guessing does not cancel somebody's subscription, and odd text does no harm."""
    assert not links.check_sig(SUBSCRIPTION.urn, sig)


def test_sig_belongs_to_one_subscription(links: LinkMaker) -> None:
    """The signature of one's own link does not cancel another's subscription."""
    assert not links.check_sig(SUBSCRIPTION.urn[:-1] + "0", links.sig(SUBSCRIPTION.urn))
