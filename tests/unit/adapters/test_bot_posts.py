"""What a bot shows of each kind of message."""

import pytest

from adapters._bot_fitting import plain_bytes
from adapters._bot_posts import compose
from engine.models import Kind
from tests.platforms.sending import message


def test_a_text_has_its_subject_above_it() -> None:
    """Which is its title, too, where there has to be one."""
    post = compose(message(subject="alarm"), "feishu")
    assert (post.headed, post.title, post.markdown) == ("alarm\ndisk full", "alarm", False)


@pytest.mark.parametrize(
    ("rich", "given", "title"),
    [
        ({"title": "own"}, {"subject": "subject", "display_name": "Orders"}, "own"),
        ({}, {"subject": "subject", "display_name": "Orders"}, "subject"),
        ({}, {"display_name": "Orders"}, "Orders"),
        ({}, {}, "orders"),
    ],
)
def test_markdown_always_has_a_title(
    rich: dict[str, str], given: dict[str, str], title: str
) -> None:
    """Its own, the subject, the topic's display name, the topic's name."""
    post = compose(message(rich={"msgType": "markdown"} | rich, **given), "feishu")
    assert post.title == title


def test_a_title_is_not_longer_than_a_subject_may_be() -> None:
    """The object form has no bound of its own."""
    post = compose(message(rich={"msgType": "markdown", "title": "标" * 1000}), "feishu")
    assert plain_bytes(post.title) <= 512
    assert post.title.endswith("…")


@pytest.mark.parametrize(
    "kind",
    [Kind.CONFIRMATION, Kind.CANCELLATION, Kind.USER_CONFIRMATION, Kind.USER_CANCELLATION],
)
def test_invitations_hold_the_link_in_the_messages_language(kind: Kind) -> None:
    """Whoever is asked can answer."""
    for locale, word in (("en-us", "ou"), ("zh-cn", "您" if "user" not in kind else "订阅")):
        post = compose(message(kind=kind, link="https://x/confirm", locale=locale), "feishu")
        assert "https://x/confirm" in post.text
        assert "orders" in post.text
        assert word in post.text or "subscription" in post.text
