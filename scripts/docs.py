"""Builds the documentation site: English in site/, Chinese in site/zh/, from the Markdown that is in docs/.

The pages are written for the repository: `api.md` and `api.zh-CN.md` side by side, each with a link to the other. Here
they are laid out as two sites of the same shape, with a switch between the languages instead of that link, and built in
strict mode: a link that leads nowhere ends the build.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
STAGE = ROOT / "build" / "docs"
SITE = ROOT / "site"

PAGES = (
    "index",
    "quick-start",
    "guide",
    "api",
    "callbacks",
    "client",
    "command-line",
    "settings",
    "operating",
    "illustrator",
    "architecture",
)
"""In the order of the menu. Other pages in docs/ come after them, so that none is forgotten."""

NAMES = {"en": "Cavendish", "zh": "Cavendish"}
SAID = {
    "en": "An image-generation API that you run yourself.",
    "zh": "由你自己部署的图像生成 API。",
}
DECISIONS = {"en": "Decisions", "zh": "设计决策（英文）"}

_SWITCH = re.compile(r"^\[(?:中文[^\]]*|English[^\]]*)\]\([\w.-]+\.md\)(?:（[^）]*）)?\n+", re.MULTILINE)
_HEADING = re.compile(r"^# (.+)$", re.MULTILINE)


def main() -> int:
    """Build both; the exit code of the first build that failed."""
    shutil.rmtree(STAGE, ignore_errors=True)
    shutil.rmtree(SITE, ignore_errors=True)
    for language in ("en", "zh"):
        stage(language)
    for language in ("en", "zh"):
        folder = STAGE / language
        zensical = [
            sys.executable,
            "-m",
            "zensical",
            "build",
            "--strict",
            "--clean",
            "-f",
            str(folder / "zensical.toml"),
        ]
        outcome = subprocess.run(zensical, cwd=folder, check=False)
        if outcome.returncode:
            return outcome.returncode
    shutil.copytree(STAGE / "en" / "site", SITE)
    shutil.copytree(STAGE / "zh" / "site", SITE / "zh")
    print(f"The site is in {SITE.relative_to(ROOT)}/: open {SITE.relative_to(ROOT)}/index.html")
    return 0


def stage(language: str) -> None:
    """Lay out one language's pages and its configuration."""
    pages = STAGE / language / "docs"
    pages.mkdir(parents=True)
    shutil.copytree(DOCS / "images", pages / "images")
    names = [*PAGES, *sorted({path.name.split(".")[0] for path in DOCS.glob("*.md")} - set(PAGES))]
    shown = [name for name in names if source_of(name, language) is not None]
    for name in shown:
        source = source_of(name, language)
        assert source is not None
        (pages / f"{name}.md").write_text(translated(source.read_text(encoding="utf-8")), encoding="utf-8")
    (pages / "decisions").mkdir()
    decisions = sorted((DOCS / "decisions").glob("*.md"))
    for path in decisions:
        (pages / "decisions" / path.name).write_text(translated(path.read_text(encoding="utf-8")), encoding="utf-8")
    menu = [(title_of(pages / f"{name}.md"), f"{name}.md") for name in shown]
    whys = [(title_of(path), f"decisions/{path.name}") for path in decisions]
    (STAGE / language / "zensical.toml").write_text(configuration(language, menu, whys), encoding="utf-8")


def source_of(name: str, language: str) -> Path | None:
    """The file that holds a page in a language; the English one where there is no other."""
    candidates = [DOCS / f"{name}.zh-CN.md", DOCS / f"{name}.md"] if language == "zh" else [DOCS / f"{name}.md"]
    return next((path for path in candidates if path.exists()), None)


def translated(text: str) -> str:
    """A page as the site has it: no link to its twin, and links within one language."""
    return _SWITCH.sub("", text, count=1).replace(".zh-CN.md", ".md")


def title_of(path: Path) -> str:
    """A page's first heading."""
    match = _HEADING.search(path.read_text(encoding="utf-8"))
    assert match is not None, f"{path} has no heading"
    return match[1].replace("`", "")


def configuration(language: str, menu: list[tuple[str, str]], decisions: list[tuple[str, str]]) -> str:
    """zensical.toml of one language. No fonts or scripts of other hosts; pages that can be read from the disk."""
    entries = "\n".join(f"  {{ {quoted(title)} = {quoted(path)} }}," for title, path in menu)
    whys = "\n".join(f"    {{ {quoted(title)} = {quoted(path)} }}," for title, path in decisions)
    other = "zh" if language == "en" else "en"
    to = {language: "./index.html", other: "./zh/index.html" if other == "zh" else "../index.html"}
    return f"""[project]
site_name = {quoted(NAMES[language])}
site_description = {quoted(SAID[language])}
docs_dir = "docs"
site_dir = "site"
use_directory_urls = false
nav = [
{entries}
  {{ {quoted(DECISIONS[language])} = [
{whys}
  ] }},
]

[project.theme]
language = "{language}"
font = false
features = ["navigation.top", "navigation.tracking", "content.code.copy", "toc.follow", "search.highlight"]

[[project.theme.palette]]
media = "(prefers-color-scheme: light)"
scheme = "default"
primary = "deep-orange"
accent = "orange"
toggle.icon = "lucide/sun"
toggle.name = {quoted("Dark" if language == "en" else "深色")}

[[project.theme.palette]]
media = "(prefers-color-scheme: dark)"
scheme = "slate"
primary = "amber"
accent = "orange"
toggle.icon = "lucide/moon"
toggle.name = {quoted("Light" if language == "en" else "浅色")}

[project.extra]
generator = false

[[project.extra.alternate]]
name = "English"
link = "{to["en"]}"
lang = "en"

[[project.extra.alternate]]
name = "中文"
link = "{to["zh"]}"
lang = "zh"

[project.markdown_extensions.tables]
[project.markdown_extensions.attr_list]
[project.markdown_extensions.toc]
permalink = true
slugify.object = "pymdownx.slugs.slugify"
slugify.kwds.case = "lower"
[project.markdown_extensions.pymdownx.highlight]
[project.markdown_extensions.pymdownx.superfences]

[project.validation]
invalid_links = true
invalid_link_anchors = true
"""


def quoted(text: str) -> str:
    """A TOML string, or key."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


if __name__ == "__main__":
    sys.exit(main())
