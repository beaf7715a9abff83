"""The site is laid out from the documents. Building it needs the tools of `make docs`; laying it out does not."""

import importlib.util
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_script", ROOT / "scripts" / "docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "STAGE", tmp_path)
    for language in ("en", "zh"):
        module.stage(language)
    return module


def menu_of(site: ModuleType, language: str) -> list[str]:
    config = tomllib.loads((site.STAGE / language / "zensical.toml").read_text(encoding="utf-8"))
    return list(paths_in(config["project"]["nav"]))


def paths_in(menu: list[dict[str, Any]]) -> Iterator[str]:
    for entry in menu:
        for target in entry.values():
            yield from [target] if isinstance(target, str) else paths_in(target)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_document_is_a_page_in_the_menu(site: ModuleType, language: str) -> None:
    written = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    expected = {re.sub(r"\.zh-CN\.md$", ".md", name) for name in written}

    menu = menu_of(site, language)
    assert sorted(menu) == sorted(expected)
    assert menu[:3] == ["index.md", "quick-start.md", "guide.md"]
    assert [name for name in menu if not (site.STAGE / language / "docs" / name).exists()] == []


@pytest.mark.parametrize("language", ["en", "zh"])
def test_links_stay_within_one_language(site: ModuleType, language: str) -> None:
    for page in (site.STAGE / language / "docs").rglob("*.md"):
        text = page.read_text(encoding="utf-8")
        assert ".zh-CN.md" not in text, page
        assert not re.search(r"^\[(中文|English)\b[^\]]*\]\(", text, re.MULTILINE), page


def test_chinese_pages_are_chinese_where_there_is_one(site: ModuleType) -> None:
    english = (site.STAGE / "en" / "docs" / "guide.md").read_text(encoding="utf-8")
    chinese = (site.STAGE / "zh" / "docs" / "guide.md").read_text(encoding="utf-8")

    assert english.startswith("# The guide\n")
    assert chinese.startswith("# 指南\n")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_site_loads_no_fonts_and_checks_its_links(site: ModuleType, language: str) -> None:
    project = tomllib.loads((site.STAGE / language / "zensical.toml").read_text(encoding="utf-8"))["project"]

    assert project["theme"]["font"] is False
    assert project["theme"]["language"] == language
    assert project["validation"] == {"invalid_links": True, "invalid_link_anchors": True}
