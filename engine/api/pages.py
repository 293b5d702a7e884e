"""The pages behind the links in messages: small, for a phone, in English or Chinese.

Everything that comes from outside is escaped; a policy forbids scripts and foreign content,
and no referrer leaves, since the address holds a token.
"""

from __future__ import annotations

from html import escape
from string import Template
from typing import TYPE_CHECKING, Final

from engine.api.answers import Failure, Reply, retry_header

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.api.call import Call
    from engine.models import Topic

_HEADERS: Final = {
    "Cache-Control": "no-store",
    # The one form is a page's own; scripts, pictures and foreign content have no business here.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}
_PAGE: Final = Template(
    """<!doctype html>
<html lang="$language">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>
:root { --paper: #f3f4f6; --card: #fff; --edge: #e2e5ea; --ink: #1c2128; --faint: #5d6470;
  --accent: #1f5fbf; --good: #1a7f4b; --bad: #b3362b; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #16181c; --card: #22252b; --edge: #383c44; --ink: #eceef1; --faint: #a3a9b3;
    --accent: #7eb0ff; --good: #58c48b; --bad: #f08a80; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; padding: 1.5rem 1rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "PingFang SC",
  "Microsoft YaHei", "Noto Sans CJK SC", sans-serif; display: flex; flex-direction: column; }
main { width: 100%; max-width: 30rem; margin: auto; padding: 1.75rem 1.5rem 1.25rem;
  background: var(--card); border: 1px solid var(--edge); border-radius: .75rem; }
h1 { margin: 0 0 1rem; font-size: 1.375rem; line-height: 1.3; }
h1::before { content: ""; display: block; width: 2.5rem; height: .25rem; margin-bottom: 1rem;
  border-radius: 1rem; background: var(--accent); }
.good h1::before { background: var(--good); }
.bad h1::before { background: var(--bad); }
p { margin: 0 0 1rem; }
.topic { padding: .75rem 1rem; border-radius: .5rem; background: var(--paper);
  overflow-wrap: anywhere; }
.topic small { display: block; color: var(--faint); font-size: .8125rem; line-height: 1.4; }
.note { color: var(--faint); font-size: .9375rem; }
a { color: var(--accent); }
button, .button { display: inline-block; width: 100%; padding: .75rem 1.25rem; border: 0;
  border-radius: .5rem; background: #1f5fbf; color: #fff; font: inherit; font-weight: 600;
  text-align: center; text-decoration: none; cursor: pointer; }
button:focus-visible, a:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
form { margin: 0 0 1rem; }
footer { padding-top: .75rem; border-top: 1px solid var(--edge); color: var(--faint);
  font-size: .75rem; overflow-wrap: anywhere; }
</style>
</head>
<body><main class="$tone">
<h1>$title</h1>
$content
<footer>$reference $request_id</footer>
</main></body>
</html>
"""
)
_TEXTS: Final = {
    "en": {
        "confirmed": "Subscription confirmed",
        "confirmed_text": "You will receive the messages of this topic:",
        "confirmed_user": "You receive messages as the subscription user {user}.",
        "cancelled": "Subscription cancelled",
        "cancelled_text": "You will receive no more messages of this topic:",
        "cancelled_user": "You will receive no more messages as the subscription user {user}.",
        "leave": "Cancel this subscription",
        "confirm": "Confirm your subscription",
        "confirm_text": "You are invited to receive the messages of this topic:",
        "confirm_user": "You are invited to receive messages as the subscription user {user}.",
        "confirm_yes": "Confirm subscription",
        "confirm_no": "If you did not expect this, close the page and you will get nothing more.",
        "cancel": "Cancel the subscription?",
        "cancel_text": "You would receive no more messages of this topic:",
        "cancel_user": "You would receive no more messages as the subscription user {user}.",
        "cancel_yes": "Unsubscribe",
        "again": "Subscribe again",
        "again_text": "This was a mistake? The link is valid for 48 hours.",
        "failed": "That did not work",
        "SMN.0022": "The link is invalid or has expired. Ask for a new one.",
        "SMN.0013": "This subscription does not exist any more.",
        "other": "The link cannot be used.",
        "trouble": "The service cannot answer right now. Please try again later.",
        "reference": "Request",
    },
    "zh": {
        "confirmed": "订阅成功",
        "confirmed_text": "您将收到以下主题的消息：",  # noqa: RUF001 - Chinese punctuation
        "confirmed_user": "您将作为订阅用户 {user} 接收消息。",
        "cancelled": "已取消订阅",
        "cancelled_text": "您将不再收到以下主题的消息：",  # noqa: RUF001 - Chinese punctuation
        "cancelled_user": "您将不再作为订阅用户 {user} 接收消息。",
        "leave": "取消此订阅",
        "confirm": "确认订阅",
        "confirm_text": "您被邀请接收以下主题的消息：",  # noqa: RUF001 - Chinese punctuation
        "confirm_user": "您被邀请作为订阅用户 {user} 接收消息。",
        "confirm_yes": "确认订阅",
        "confirm_no": "如果这不是您本人的操作，请关闭此页面，"  # noqa: RUF001 - Chinese punctuation
        "您将不会收到其他消息。",
        "cancel": "要取消订阅吗？",  # noqa: RUF001 - Chinese punctuation
        "cancel_text": "取消后，您将不再收到以下主题的消息：",  # noqa: RUF001 - Chinese punctuation
        "cancel_user": "取消后，您将不再作为订阅用户 {user} 接收消息。",  # noqa: RUF001 - Chinese
        "cancel_yes": "取消订阅",
        "again": "重新订阅",
        "again_text": "操作有误？此链接 48 小时内有效。",  # noqa: RUF001 - Chinese punctuation
        "failed": "操作未成功",
        "SMN.0022": "链接无效或已过期，请重新获取。",  # noqa: RUF001 - Chinese punctuation
        "SMN.0013": "该订阅已不存在。",
        "other": "该链接无法使用。",
        "trouble": "服务暂时不可用，请稍后再试。",  # noqa: RUF001 - Chinese punctuation
        "reference": "请求编号",
    },
}


def confirmed(call: Call, topic: Topic, leave: str) -> Reply:
    """The subscription is confirmed; ``leave``, if there is one, is the link that cancels it."""
    texts = _TEXTS[language(call)]
    content = [_about("confirmed", topic, texts)]
    if leave:
        link = f'<a href="{escape(leave)}">{escape(texts["leave"])}</a>'
        content.append(f'<p class="note">{link}</p>')
    return _page(call, "confirmed", content, tone="good")


def asking_to_confirm(call: Call, topic: Topic) -> Reply:
    """Whether a subscription shall be confirmed: one button, which posts to the same address."""
    note = escape(_TEXTS[language(call)]["confirm_no"])
    return _asking(call, "confirm", topic, f'<p class="note">{note}</p>')


def asking_to_cancel(call: Call, topic: Topic) -> Reply:
    """The same for cancelling it."""
    return _asking(call, "cancel", topic)


def cancelled(call: Call, topic: Topic, again: str) -> Reply:
    """The subscription is cancelled; ``again`` is the link that undoes it."""
    texts = _TEXTS[language(call)]
    content = [
        _about("cancelled", topic, texts),
        f'<p class="note">{escape(texts["again_text"])}</p>',
        f'<p><a class="button" href="{escape(again)}">{escape(texts["again"])}</a></p>',
    ]
    return _page(call, "cancelled", content, tone="good")


def failed(call: Call, failure: Failure) -> Reply:
    """What to tell a person about a failure."""
    texts = _TEXTS[language(call)]
    name = failure.code if failure.code in texts else "other"
    if failure.status >= 500 or failure.status == 429:
        name = "trouble"
    reply = _page(call, "failed", [f"<p>{escape(texts[name])}</p>"], tone="bad")
    return reply._replace(status=failure.status, headers={**reply.headers, **retry_header(failure)})


def language(call: Call) -> str:
    """``zh`` or ``en``: the ``locale`` parameter, else the first fit of Accept-Language."""
    locale = call.parameter("locale")
    if locale is not None:
        return "zh" if locale.lower().startswith("zh") else "en"
    for _, tag in sorted(_accepted(call.header("accept-language") or ""), reverse=True):
        if tag[:2] in _TEXTS:
            return tag[:2]
    return "en"


def _accepted(text: str) -> list[tuple[tuple[float, int], str]]:
    """Weight (earlier ones first among equals) and tag of each language."""
    found = []
    for place, part in enumerate(text.split(",")[:20]):
        tag, _, quality = part.strip().lower().partition(";q=")
        try:
            weight = float(quality) if quality else 1.0
        except ValueError:
            continue
        if weight > 0:
            found.append(((weight, -place), tag.strip()))
    return found


def _asking(call: Call, what: str, topic: Topic, *notes: str) -> Reply:
    texts = _TEXTS[language(call)]
    button = f'<form method="post"><button>{escape(texts[f"{what}_yes"])}</button></form>'
    return _page(call, what, [_about(what, topic, texts), button, *notes])


def _about(what: str, topic: Topic, texts: Mapping[str, str]) -> str:
    """What happens to the messages of the topic, or to those for its subscription user."""
    if topic.user is not None:
        # Nobody knows the topic behind it: mails do not name it either.
        return f"<p>{escape(texts[f'{what}_user'].format(user=topic.user.name))}</p>"
    return (
        f"<p>{escape(texts[f'{what}_text'])}</p>\n"
        f'<p class="topic"><strong>{escape(topic.display_name or topic.name)}</strong>'
        f"<small>{escape(topic.urn)}</small></p>"
    )


def _page(call: Call, title: str, content: list[str], tone: str = "") -> Reply:
    chosen = language(call)
    texts = _TEXTS[chosen]
    html = _PAGE.substitute(
        language=chosen,
        tone=tone,
        title=escape(texts[title]),
        content="\n".join(content),
        reference=escape(texts["reference"]),
        request_id=call.request_id,
    )
    return Reply(html.encode(), 200, "text/html; charset=utf-8", _HEADERS)
