"""The API reference as one page of HTML, made from the OpenAPI document. Readable without its script."""

import json
import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from cavendish.domain.text import Language, Text

Json = Mapping[str, Any]

MOST_ROWS_OPEN = 9
"""A longer table of an answer is shown folded."""

_CODE = re.compile(r"`([^`]+)`")


class Say:
    """The page's own few words."""

    reference = Text(en="API reference", zh="API 参考")
    other = Text(en="中文", zh="English")
    find = Text(en="Find", zh="查找")
    key = Text(en="API key", zh="API 密钥")
    key_hint = Text(en="Kept in this tab only, for the Send buttons.", zh="仅保存在当前标签页，供“发送”按钮使用。")
    parameters = Text(en="Parameters", zh="参数")
    body = Text(en="Body", zh="请求体")
    answers = Text(en="Answers", zh="响应")
    example = Text(en="Example", zh="示例")
    headers = Text(en="Headers", zh="响应头")
    required = Text(en="required", zh="必填")
    no_key = Text(en="no key", zh="无需密钥")
    copy = Text(en="Copy", zh="复制")
    send = Text(en="Send", zh="发送")
    sent_when = Text(en="sent to you", zh="发送给你")
    one_of = Text(en="One of", zh="以下之一")
    default = Text(en="default", zh="默认")
    file = Text(en="Binary", zh="二进制内容")


def render(document: Json, language: Language) -> str:
    """The whole page, with its sentences in `language`; `document` must be in the same."""
    return _Page(document, language).whole()


class _Page:
    def __init__(self, document: Json, language: Language) -> None:
        self._document = document
        self._language: Language = language

    def whole(self) -> str:
        """The page."""
        info = self._document["info"]
        title = f"{info['title']} · {self._say(Say.reference)}"
        other = "en" if self._language == "zh" else "zh"
        return f"""<!doctype html>
<html lang="{"zh-CN" if self._language == "zh" else "en"}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<link rel="icon" href="docs/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="docs/style.css">
<script src="docs/script.js" defer></script>
</head>
<body>
<header class="top">
<a class="brand" href="#top"><img src="docs/icon.svg" alt="" width="28" height="28"><span>{escape(info["title"])}</span>
<small>{escape(info["version"])}</small></a>
<nav><a href="openapi.json">openapi.json</a> <a href="?lang={other}" hreflang="{other}">{self._say(Say.other)}</a></nav>
</header>
<div class="columns">
<aside><input id="find" type="search" placeholder="{self._say(Say.find)}" aria-label="{self._say(Say.find)}" hidden>
{self._menu()}</aside>
<main id="top">
<h1>{self._say(Say.reference)}</h1>
<p class="lead">{_inline(info["description"])}</p>
<p class="key" hidden><label>{self._say(Say.key)} <input id="key" type="password" autocomplete="off"
placeholder="sk-…"></label> <small>{self._say(Say.key_hint)}</small></p>
{"".join(self._section(tag) for tag in self._document["tags"])}
</main>
</div>
</body>
</html>
"""

    def _say(self, text: Text) -> str:
        return escape(text.say(self._language))

    def _operations(self, tag: str) -> Iterator[tuple[str, str, Json]]:
        for path, methods in self._document["paths"].items():
            for method, operation in methods.items():
                if tag in operation["tags"]:
                    yield path, method, operation

    def _menu(self) -> str:
        groups = []
        for tag in self._document["tags"]:
            links = "".join(
                f'<li><a href="#{o["operationId"]}"><b class="{m}">{m.upper()}</b>{escape(o["summary"])}</a></li>'
                for _, m, o in self._operations(tag["name"])
            )
            groups.append(f"<h2>{escape(tag['summary'])}</h2><ul>{links}</ul>")
        return "<nav>" + "".join(groups) + "</nav>"

    def _section(self, tag: Json) -> str:
        inside = "".join(self._operation(*found) for found in self._operations(tag["name"]))
        return f"<section><h2>{escape(tag['summary'])}</h2><p>{_inline(tag['description'])}</p>{inside}</section>"

    def _operation(self, path: str, method: str, operation: Json) -> str:
        name = operation["operationId"]
        open_to_all = f"<em>{self._say(Say.no_key)}</em>" if operation.get("security") == [] else ""
        shown_path = re.sub(r"(\{[^}]+\})", r"<i>\1</i>", escape(path))
        return f"""<article id="{name}">
<h3><a href="#{name}">{escape(operation["summary"])}</a></h3>
<p class="line"><b class="{method}">{method.upper()}</b><code>{shown_path}</code>{open_to_all}</p>
<p>{_inline(operation["description"])}</p>
<div class="two"><div>
{self._parameters(operation)}{self._body(operation)}{self._callbacks(operation)}{self._answers(operation)}
</div><div class="side">{self._curl(path, method, operation)}{self._example_answer(operation)}</div></div>
</article>
"""

    def _parameters(self, operation: Json) -> str:
        rows = [
            self._row(p["name"], p["schema"], p["description"], needed=p.get("required", False), place=p["in"])
            for p in operation.get("parameters", ())
        ]
        return f"<h4>{self._say(Say.parameters)}</h4>{_table(rows)}" if rows else ""

    def _body(self, operation: Json) -> str:
        body = operation.get("requestBody")
        if body is None:
            return ""
        parts = [f"<h4>{self._say(Say.body)}</h4>"]
        for media, content in body["content"].items():
            schema = content["schema"]
            choices = [self._resolved(s) for s in schema.get("anyOf", ())]
            if choices:
                for at, choice in enumerate(choices):
                    parts.append(
                        f"<details{' open' if at == 0 else ''}><summary><code>{escape(choice['title'])}</code>"
                        f"</summary><p>{_inline(choice['description'])}</p>{self._fields(choice)}</details>"
                    )
            elif "properties" in schema:
                parts.append(f'<p class="media"><code>{escape(media)}</code></p>{self._fields(schema)}')
            else:
                parts.append(f'<p class="media"><code>{escape(media)}</code> {self._say(Say.file)}</p>')
        return "".join(parts)

    def _callbacks(self, operation: Json) -> str:
        shown = []
        for urls in operation.get("callbacks", {}).values():
            for url, methods in urls.items():
                for method, called in methods.items():
                    shown.append(
                        f"<details><summary>{escape(called['summary'])} <small>{self._say(Say.sent_when)}</small>"
                        f'</summary><p class="line"><b class="{method}">{method.upper()}</b>'
                        f"<code>{escape(url)}</code></p>"
                        f"<p>{_inline(called['description'])}</p>{self._parameters(called)}</details>"
                    )
        return "".join(shown)

    def _answers(self, operation: Json) -> str:
        shown = [f"<h4>{self._say(Say.answers)}</h4>"]
        for code, answer in operation["responses"].items():
            resolved = self._resolved(answer)
            inside = self._data_fields(resolved) + self._headers_of(resolved)
            head = f'<b class="code c{code[0]}">{code}</b> {_inline(resolved["description"])}'
            if not inside:
                shown.append(f'<p class="answer">{head}</p>')
            else:
                opened = " open" if code == "200" and inside.count("<tr>") <= MOST_ROWS_OPEN else ""
                shown.append(f"<details{opened}><summary>{head}</summary>{inside}</details>")
        return "".join(shown)

    def _data_fields(self, answer: Json) -> str:
        shown = []
        for media, content in answer.get("content", {}).items():
            schema = self._resolved(content["schema"])
            if media != "application/json":
                shown.append(f'<p class="media"><code>{escape(media)}</code></p>')
                continue
            data = schema.get("properties", {}).get("data", schema)
            for choice in data.get("anyOf", [data]):
                resolved = self._resolved(choice)
                if "properties" in resolved:
                    path = "<code>data</code>" if "data" in schema.get("properties", {}) else ""
                    shown.append(f'<p class="media">{path}</p>{self._fields(resolved, asked=False)}')
        return "".join(shown)

    def _headers_of(self, answer: Json) -> str:
        rows = []
        for name, header in answer.get("headers", {}).items():
            resolved = self._resolved(header)
            rows.append(self._row(name, resolved["schema"], resolved["description"], needed=False))
        return f'<p class="media">{self._say(Say.headers)}</p>{_table(rows)}' if rows else ""

    def _fields(self, schema: Json, *, asked: bool = True) -> str:
        return _table(self._field_rows(schema, "", asked=asked))

    def _field_rows(self, schema: Json, prefix: str, *, asked: bool) -> list[str]:
        """A row for each field and each inner one. `asked`: of a request, where it matters which are required."""
        rows = []
        for name, field in schema.get("properties", {}).items():
            needed = asked and name in schema.get("required", ())
            rows.append(self._row(prefix + name, field, field.get("description", ""), needed=needed))
            inner = self._resolved(field)
            if inner.get("type") == "array":
                inner, mark = self._resolved(inner["items"]), "[]."
            else:
                mark = "."
            rows += self._field_rows(inner, prefix + name + mark, asked=asked)
        return rows

    def _row(self, name: str, schema: Json, description: str, *, needed: bool, place: str = "") -> str:
        must = f"<em>{self._say(Say.required)}</em>" if needed else ""
        where = f" <small>{escape(place)}</small>" if place else ""
        return (
            f"<tr><th><code>{escape(name)}</code>{where}{must}</th>"
            f"<td><span class=type>{escape(self._kind(schema))}</span> {_inline(description)}"
            f"{self._limits(schema)}</td></tr>"
        )

    def _kind(self, schema: Json) -> str:
        schema = self._resolved(schema)
        if "anyOf" in schema:
            return " | ".join(dict.fromkeys(self._kind(choice) for choice in schema["anyOf"]))
        kind = schema.get("type") or ("string" if "enum" in schema or "const" in schema else "")
        if kind == "array":
            return f"{self._kind(schema['items'])}[]"
        if isinstance(kind, list):
            items = f"{self._kind(schema['items'])}[]" if "array" in kind else ""
            return " | ".join(items if k == "array" else k for k in kind)
        return str(kind)

    def _limits(self, schema: Json) -> str:
        schema = self._resolved(schema)
        shown = []
        if "const" in schema:
            shown.append(_value(schema["const"]))
        if "enum" in schema:
            listed = " ".join(_value(value) for value in schema["enum"] if value is not None)
            shown.append(f"{self._say(Say.one_of)} {listed}")
        for low, high, unit in (
            ("minimum", "maximum", ""),
            ("minItems", "maxItems", "×"),
            ("minLength", "maxLength", ""),
        ):
            if high in schema and schema[high] < 2**53:
                shown.append(f"{schema.get(low, 0)}–{schema[high]}{unit}")
        if schema.get("default") is not None:
            shown.append(f"{self._say(Say.default)} {_value(schema['default'])}")
        return f'<div class="limits">{" · ".join(shown)}</div>' if shown else ""

    def _curl(self, path: str, method: str, operation: Json) -> str:
        lines = [f"curl {'--request POST ' if method == 'post' else ''}--url '{{base}}{path}'"]
        if operation.get("security") != []:
            lines.append("--header 'Authorization: Bearer $KEY'".replace("'", '"'))
        example = None
        content = operation.get("requestBody", {}).get("content", {})
        if "multipart/form-data" in content:
            lines.append("--form 'file=@photo.jpg'")
        elif content:
            example = _first_example(content["application/json"])
            lines.append("--header 'Content-Type: application/json'")
            text = json.dumps(example, ensure_ascii=False, indent=2)
            lines.append("--data '" + text + "'")
        return self._listing(
            " \\\n  ".join(lines), "shell", send=method if "multipart/form-data" not in content else ""
        )

    def _example_answer(self, operation: Json) -> str:
        answer = operation["responses"]["200"].get("content", {}).get("application/json", {})
        example = _first_example(answer)
        return self._listing(json.dumps(example, ensure_ascii=False, indent=2), "json") if example is not None else ""

    def _listing(self, text: str, kind: str, send: str = "") -> str:
        sender = f'<button type="button" class="send" hidden>{self._say(Say.send)}</button>' if send else ""
        return (
            f'<figure class="{kind}"><figcaption>{kind} <span>{sender}'
            f'<button type="button" class="copy" hidden>{self._say(Say.copy)}</button></span></figcaption>'
            f"<pre><code>{escape(text, quote=False)}</code></pre></figure>"
        )

    def _resolved(self, schema: Json) -> Json:
        if "$ref" not in schema:
            return schema
        found: Any = self._document
        for step in schema["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        assert isinstance(found, Mapping)
        return found


def _first_example(content: Json) -> Any:
    if "example" in content:
        return content["example"]
    return next((example["value"] for example in content.get("examples", {}).values()), None)


def _value(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return f"<code>{escape(text) or '&quot;&quot;'}</code>"


def _table(rows: list[str]) -> str:
    return f"<table>{''.join(rows)}</table>" if rows else ""


def _inline(text: str) -> str:
    """A sentence with its `code` set as code."""
    return _CODE.sub(r"<code>\1</code>", escape(text))
