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
    from engine.api.call import Call

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
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
<title>$title</title>
<style>
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; margin: 0; padding: 2rem 1rem; }
main { max-width: 34rem; margin: 0 auto; }
h1 { font-size: 1.5rem; line-height: 1.25; }
code, small { overflow-wrap: anywhere; }
small { opacity: .7; }
a { display: inline-block; padding: .5rem 0; }
</style>
</head>
<body><main>
<h1>$title</h1>
$paragraphs
<p><small>$reference $request_id</small></p>
</main></body>
</html>
"""
)
_TEXTS: Final = {
    "en": {
        "confirmed": "Subscription confirmed",
        "confirmed_text": "You will receive the messages of this topic:",
        "cancelled": "Subscription cancelled",
        "cancelled_text": "You will receive no more messages of this topic:",
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
        "cancelled": "已取消订阅",
        "cancelled_text": "您将不再收到以下主题的消息：",  # noqa: RUF001 - Chinese punctuation
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


def confirmed(call: Call, subscription_urn: str) -> Reply:
    """The subscription is confirmed."""
    texts = _TEXTS[language(call)]
    return _page(call, "confirmed", [escape(texts["confirmed_text"]), _topic(subscription_urn)])


def cancelled(call: Call, subscription_urn: str, again: str) -> Reply:
    """The subscription is cancelled; ``again`` is the link that undoes it."""
    texts = _TEXTS[language(call)]
    link = f'<a href="{escape(again)}">{escape(texts["again"])}</a>'
    return _page(
        call,
        "cancelled",
        [
            escape(texts["cancelled_text"]),
            _topic(subscription_urn),
            f"{escape(texts['again_text'])}<br>{link}",
        ],
    )


def failed(call: Call, failure: Failure) -> Reply:
    """What to tell a person about a failure."""
    texts = _TEXTS[language(call)]
    name = failure.code if failure.code in texts else "other"
    if failure.status >= 500 or failure.status == 429:
        name = "trouble"
    return _page(call, "failed", [escape(texts[name])], failure.status, retry_header(failure))


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


def _topic(subscription_urn: str) -> str:
    return f"<code>{escape(subscription_urn.rpartition(':')[0])}</code>"


def _page(
    call: Call,
    title: str,
    paragraphs: list[str],
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> Reply:
    chosen = language(call)
    texts = _TEXTS[chosen]
    html = _PAGE.substitute(
        language=chosen,
        title=escape(texts[title]),
        paragraphs="\n".join(f"<p>{paragraph}</p>" for paragraph in paragraphs),
        reference=escape(texts["reference"]),
        request_id=call.request_id,
    )
    return Reply(html.encode(), status, "text/html; charset=utf-8", {**_HEADERS, **(headers or {})})
