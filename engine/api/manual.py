"""The OpenAPI document as one page to read: static, small, for a phone too.

It needs no script and nothing from elsewhere; everything from the document is escaped.
"""

from __future__ import annotations

import re
from html import escape
from string import Template
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_DEPTH: Final = 4
"""Levels of nested objects that are unfolded."""
_CODE: Final = re.compile(r"`([^`]+)`")

_PAGE: Final = Template(
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title API reference</title>
<style>
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --mark: #0a6; }
* { box-sizing: border-box; }
body { font: 1rem/1.5 system-ui, sans-serif; margin: 0; }
main, header { max-width: 56rem; margin: 0 auto; padding: 0 1rem; }
main { padding-bottom: 4rem; }
h1 { font-size: 1.75rem; margin: 2rem 0 .5rem; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .25rem; }
h2::first-letter { text-transform: uppercase; }
h3 { font-size: .875rem; margin: 1.25rem 0 .25rem; opacity: .75; }
p { margin: .25rem 0 .75rem; }
code { font: .875em ui-monospace, monospace; overflow-wrap: anywhere; }
nav ul { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .25rem .75rem; }
nav a { display: inline-block; padding: .25rem 0; }
nav a::first-letter { text-transform: uppercase; }
details { border-top: 1px solid var(--line); }
details:last-of-type { border-bottom: 1px solid var(--line); }
summary { cursor: pointer; padding: .625rem 0; display: grid; gap: 0 .75rem;
  grid-template-columns: 4.25rem 1fr; align-items: baseline; }
summary b { font: 600 .8125rem ui-monospace, monospace; color: var(--mark); }
summary small { grid-column: 2; opacity: .75; font-size: .9375rem; }
details > div { padding: 0 0 1rem; }
dl { margin: 0; }
dl > div { padding: .375rem 0; border-top: 1px solid var(--soft); display: grid;
  gap: 0 1rem; grid-template-columns: minmax(10rem, 2fr) 3fr; }
dt i { font-style: normal; opacity: .65; font-size: .875em; }
dd { margin: 0; overflow-wrap: anywhere; }
dd ul { margin: 0; padding-left: 1.1rem; }
@media (max-width: 40rem) { dl > div { grid-template-columns: 1fr; } }
</style>
</head>
<body>
<header>
<h1>$title API reference</h1>
<p>$about</p>
<p>The same for programs: <a href="/openapi.json">OpenAPI 3.1</a>.</p>
<nav aria-label="Groups"><ul>$contents</ul></nav>
</header>
<main>
$groups
</main>
</body>
</html>
"""
)


def page(document: Mapping[str, Any]) -> str:
    """The HTML of an OpenAPI document as `engine.api.openapi` makes it."""
    info = document["info"]
    groups = document["tags"]
    return _PAGE.substitute(
        title=escape(info["title"]),
        about=_prose(info["description"]),
        contents="".join(
            f'<li><a href="#{_anchor(group["name"])}">{escape(group["name"])}</a></li>'
            for group in groups
        ),
        groups="\n".join(_group(document, group) for group in groups),
    )


def _anchor(name: str) -> str:
    return escape(name.replace(" ", "-"))


def _prose(text: str) -> str:
    """Escaped text; what stands in backticks is code."""
    return _CODE.sub(r"<code>\1</code>", escape(text))


def _group(document: Mapping[str, Any], group: Mapping[str, str]) -> str:
    operations = "\n".join(
        _operation(document, method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if operation["tags"] == [group["name"]]
    )
    name, about = group["name"], group["description"]
    said = "" if about.rstrip(".").lower() == name else f"<p>{_prose(about)}</p>\n"
    return f'<section><h2 id="{_anchor(name)}">{escape(name)}</h2>{said}{operations}</section>'


def _operation(
    document: Mapping[str, Any], method: str, path: str, operation: Mapping[str, Any]
) -> str:
    name = operation["operationId"]
    shown = escape(path).replace("/", "/<wbr>")
    parts = [
        f'<details id="{escape(name)}"><summary><b>{method.upper()}</b><code>{shown}</code>',
        f"<small>{escape(name)}: {_prose(operation['summary'])}</small></summary><div>",
    ]
    if "description" in operation:
        parts.append(f"<p>{_prose(operation['description'])}</p>")
    parts.append(f"<p>{_access(operation)}</p>")
    for place, title in (("path", "Path"), ("query", "Query"), ("header", "Headers")):
        rows = [
            _row(
                one["name"],
                one["schema"],
                f"{one.get('description', '')} {_code(one['schema'])}",
                required=one.get("required", False),
            )
            for one in operation.get("parameters", ())
            if one["in"] == place
        ]
        parts.append(_list(title, rows))
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        parts.append(_list("Body", list(_fields(document, schema))))
    for status, response in operation["responses"].items():
        parts.append(_response(document, status, response))
    return "".join(parts) + "</div></details>"


def _access(operation: Mapping[str, Any]) -> str:
    if not operation["security"]:
        return "No authentication."
    text = "Token or signature."
    if "x-action" in operation:
        text += f" Needs <code>{escape(operation['x-action'])}</code>"
        if "x-topic-action" in operation:
            text += (
                f", or <code>{escape(operation['x-topic-action'])}</code> "
                "by the topic&#8217;s access policy"
            )
        text += "."
    return text


def _response(document: Mapping[str, Any], status: str, response: Mapping[str, Any]) -> str:
    if "$ref" in response:
        found = _resolve(document, response["$ref"])
        codes = [line.removeprefix("- ") for line in found["description"].splitlines()]
        items = "".join(f"<li>{_prose(line)}</li>" for line in codes)
        return f"<dl><div><dt>{status}</dt><dd><ul>{items}</ul></dd></div></dl>"
    about = _prose(response["description"].partition("\n\n")[0])
    content = response.get("content", {})
    media = next(iter(content), "no body")
    rows = list(_fields(document, content.get("application/json", {}).get("schema", {})))
    shown = "" if media == "application/json" else f" <code>{escape(media)}</code>"
    return f"<h3>{status}</h3><p>{about}{shown}</p>" + _list("", rows)


def _list(title: str, rows: list[str]) -> str:
    if not rows:
        return ""
    return (f"<h3>{title}</h3>" if title else "") + f"<dl>{''.join(rows)}</dl>"


def _row(name: str, schema: Mapping[str, Any], about: str, *, required: bool) -> str:
    must = "" if required else ", optional"
    return (
        f"<div><dt><code>{escape(name)}</code> <i>{escape(_kind(schema))}{must}</i></dt>"
        f"<dd>{_prose(' '.join((about + _bounds(schema)).split()))}</dd></div>"
    )


def _fields(
    document: Mapping[str, Any], schema: Mapping[str, Any], prefix: str = "", depth: int = 0
) -> Iterator[str]:
    """A row for each property, those of nested objects after their own object."""
    found, suffix = _object(document, schema)
    if depth == _DEPTH or found is None:
        return
    required = found.get("required", ())
    for name, one in found["properties"].items():
        full = f"{prefix}{suffix}{name}"
        about = f"{one.get('description', '')} {_code(one)}"
        yield _row(full, one, about, required=name in required)
        yield from _fields(document, one, f"{full}.", depth + 1)


def _object(
    document: Mapping[str, Any], schema: Mapping[str, Any]
) -> tuple[Mapping[str, Any] | None, str]:
    """The object schema behind a reference, an option or a list of such."""
    if "$ref" in schema:
        return _object(document, _resolve(document, schema["$ref"]))
    for option in schema.get("anyOf", ()):
        found, suffix = _object(document, option)
        if found is not None:
            return found, suffix
    if schema.get("type") == "array":
        return _object(document, schema.get("items", {}))
    return (schema, "") if "properties" in schema else (None, "")


def _resolve(document: Mapping[str, Any], reference: str) -> Mapping[str, Any]:
    found: Any = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    resolved: Mapping[str, Any] = found
    return resolved


def _kind(schema: Mapping[str, Any]) -> str:
    """What a value is, in one or two words."""
    if "anyOf" in schema:
        kinds = dict.fromkeys(_kind(option) for option in schema["anyOf"])
        return " or ".join(kind for kind in kinds if kind != "null")
    if "enum" in schema:
        return "one of " + ", ".join(str(value) for value in schema["enum"])
    if "$ref" in schema:
        return "object"
    kind = str(schema.get("type", "anything"))
    if kind == "array":
        inner = _kind(schema.get("items", {}))
        return "list" if inner == "anything" else f"list of {inner}"
    return kind


def _bounds(schema: Mapping[str, Any]) -> str:
    texts = []
    if schema.get("default") not in (None, ""):
        texts.append(f" Default `{schema['default']}`.")
    if "minimum" in schema or "maximum" in schema:
        low, high = schema.get("minimum", ""), schema.get("maximum", "")
        texts.append(f" `{low}` to `{high}`.")
    if "maxLength" in schema:
        texts.append(f" At most {schema['maxLength']} characters.")
    if "pattern" in schema:
        texts.append(f" Pattern `{schema['pattern']}`.")
    return "".join(texts)


def _code(schema: Mapping[str, Any]) -> str:
    code = schema.get("x-error-code", "")
    return f"Else `{code}`." if code else ""
