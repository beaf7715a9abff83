"""The page at /docs: whole, in both languages, and asking no other host for anything."""

import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import pytest

from cavendish.web.openapi import openapi
from cavendish.web.openapi_routes import ROUTES
from cavendish.web.reference_page import render
from cavendish.wiring import load_catalog
from tests.harness import Running, running, settings_for

CATALOG = load_catalog(None)
PAGES = {"en": render(openapi(CATALOG, "en"), "en"), "zh": render(openapi(CATALOG, "zh"), "zh")}
VOID = frozenset({"meta", "link", "img", "input", "br"})


class Reader(HTMLParser):
    """Collects what a page links to, its ids and scripts, and checks that its tags are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.inline: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.links += [value for name in ("src", "href", "action", "poster") if (value := given.get(name)) is not None]
        self.ids += [value for value in [given.get("id")] if value]
        self.inline += [name for name in given if name.startswith("on") or name == "style"]
        self.inline += [tag] if tag == "style" or (tag == "script" and "src" not in given) else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_asks_no_other_host_for_anything(language: str) -> None:
    reader = read(PAGES[language])

    assert reader.links
    assert [link for link in reader.links if re.match(r"(\w+:)?//|\w+:", link)] == []
    for name in ("style.css", "script.js", "icon.svg"):
        text = files("cavendish.web").joinpath("reference", name).read_text(encoding="utf-8")
        assert re.findall(r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)", text) == []


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_has_nothing_inline_that_its_policy_would_block(language: str) -> None:
    assert read(PAGES[language]).inline == []


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_operation_has_a_place_that_the_menu_leads_to(language: str) -> None:
    reader = read(PAGES[language])

    assert len(reader.ids) == len(set(reader.ids))
    assert {route.id for route in ROUTES} <= set(reader.ids)
    assert {link[1:] for link in reader.links if link.startswith("#")} <= set(reader.ids)


def test_the_page_speaks_both_languages() -> None:
    assert "Create a task" in PAGES["en"]
    assert "创建任务" in PAGES["zh"]
    assert "Create a task" not in PAGES["zh"]


@pytest.fixture
async def server(dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(settings_for(dsn, tmp_path), with_worker=False) as opened:
        yield opened


async def test_the_page_is_served_without_a_key_under_a_strict_policy(server: Running) -> None:
    for path in ("/docs", "/docs/style.css", "/docs/script.js", "/docs/icon.svg"):
        async with server.client.get(server.url + path) as answer:
            assert answer.status == 200
            assert await answer.read()
            policy = answer.headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'; style-src 'self'; script-src 'self'; ")
            assert "unsafe" not in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_the_page_follows_the_readers_language_unless_told_otherwise(server: Running) -> None:
    chinese = {"Accept-Language": "zh-CN"}
    for query, headers, language in (("", {}, "en"), ("", chinese, "zh-CN"), ("?lang=en", chinese, "en")):
        async with server.client.get(server.url + "/docs" + query, headers=headers) as answer:
            assert f'<html lang="{language}">' in await answer.text()


@pytest.mark.parametrize("name", ["words.toml", "..%2Fapp.py", "nothing", "style.css%00"])
async def test_no_other_file_is_served(server: Running, name: str) -> None:
    async with server.client.get(f"{server.url}/docs/{name}") as answer:
        assert answer.status == 404
