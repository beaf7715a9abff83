"""The documents say what is: every setting, word, module, command and link."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
import typer

from cavendish.cli import app
from cavendish.client.config import API_KEY_VARIABLE, BASE_URL_VARIABLE
from cavendish.domain.errors import FailCode
from cavendish.domain.tasks import TaskState
from cavendish.setting import Setting
from cavendish.settings import SETTINGS

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "cavendish"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
MODULES = sorted(path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py"))

CLIENT_VARIABLES = frozenset({BASE_URL_VARIABLE, API_KEY_VARIABLE})
"""What callers set, explained in docs/client.md: no settings of the server."""

_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_COMMAND = re.compile(r"\b(?:make [a-z]+|cavendish [a-z]+(?: [a-z]+)?|pip install \S+)")


def text_of(name: str) -> str:
    """A document by its path from the root."""
    return (ROOT / name).read_text(encoding="utf-8")


def section_of(document: str, heading: str) -> str:
    """What stands under `## heading`; fails when there is no such heading, or more than one."""
    sections = re.split(r"^## ", text_of(document), flags=re.MULTILINE)
    found = [section for section in sections if section.startswith(f"{heading}\n")]
    assert len(found) == 1, f"{document} needs one heading `## {heading}`, and has {len(found)}"
    return found[0]


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_is_explained_in_english(setting: Setting) -> None:
    section = section_of("docs/settings.md", setting.variable)

    assert f"- Value: {setting.bounds.en}\n" in section
    assert f"- Default: {_shown(setting, 'not set')}\n" in section
    assert len(section) > len(setting.variable) + 120, "say also why one would change it"


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_is_explained_in_chinese(setting: Setting) -> None:
    section = section_of("docs/settings.zh-CN.md", setting.variable)

    assert f"- 取值：{setting.bounds.zh}\n" in section
    assert f"- 默认：{_shown(setting, '不设置')}\n" in section
    assert len(section) > len(setting.variable) + 60, "say also why one would change it"


def _shown(setting: Setting, absent: str) -> str:
    return f"`{setting.default}`" if setting.default else absent


@pytest.mark.parametrize("document", ["docs/settings.md", "docs/settings.zh-CN.md"])
def test_no_setting_is_explained_that_does_not_exist(document: str) -> None:
    headings = re.findall(r"^## (CAVENDISH_\w+)$", text_of(document), re.MULTILINE)

    assert headings == [setting.variable for setting in SETTINGS]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_setting_that_a_document_names_exists(document: Path) -> None:
    named = set(re.findall(r"\bCAVENDISH_[A-Z_]+\b", document.read_text(encoding="utf-8")))

    assert named <= {setting.variable for setting in SETTINGS} | CLIENT_VARIABLES


@pytest.mark.parametrize("document", ["docs/client.md", "docs/client.zh-CN.md", "docs/command-line.md"])
def test_every_variable_of_callers_is_explained_and_is_no_setting(document: str) -> None:
    assert {variable for variable in CLIENT_VARIABLES if f"`{variable}`" in text_of(document)} == CLIENT_VARIABLES
    assert CLIENT_VARIABLES.isdisjoint(setting.variable for setting in SETTINGS)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_relative_link_leads_to_a_file_and_a_heading(document: Path) -> None:
    broken = [link for link in links_of(document) if not _resolves(document, link)]

    assert broken == []


def links_of(document: Path) -> Iterator[str]:
    """Links to places in this repository; what stands in code is no link."""
    prose = _CODE.sub("", _FENCED.sub("", document.read_text(encoding="utf-8")))
    for match in _LINK.finditer(prose):
        if not re.match(r"[a-z]+:", match[1]):
            yield match[1]


def _resolves(document: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (document.parent / path).resolve() if path else document
    if not target.is_relative_to(ROOT) or not target.exists():
        return False
    return not anchor or anchor in {_anchor(heading) for heading in _headings(target)}


def _headings(document: Path) -> list[str]:
    return _HEADING.findall(_FENCED.sub("", document.read_text(encoding="utf-8")))


def _anchor(heading: str) -> str:
    """The anchor that GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_both_readmes_name_the_same_commands_and_addresses() -> None:
    english, chinese = text_of("README.md"), text_of("README.zh-CN.md")

    assert set(_COMMAND.findall(english)) == set(_COMMAND.findall(chinese))
    assert re.findall(r"--url \S+", english) == re.findall(r"--url \S+", chinese)
    assert {"make demo", "make test"} <= set(_COMMAND.findall(english))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_make_target_that_a_document_names_exists(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    code = "\n".join([*_CODE.findall(text), *_FENCED.findall(text)])
    targets = set(re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE))

    assert set(re.findall(r"\bmake ([a-z-]+)", code)) <= targets


@pytest.mark.parametrize("document", ["docs/operating.md", "docs/operating.zh-CN.md"])
def test_every_command_of_the_program_is_explained(document: str) -> None:
    text = text_of(document)

    assert [command for command in _commands() if f"cavendish {command}" not in text] == []


def _commands() -> Iterator[str]:
    root = typer.main.get_group(app)
    for name, command in root.commands.items():
        inner = getattr(command, "commands", None)
        yield from (f"{name} {sub}" for sub in inner) if inner else (name,)


@pytest.mark.parametrize("document", ["docs/api.md", "docs/api.zh-CN.md"])
def test_every_state_and_failure_word_is_explained(document: str) -> None:
    rows = set(re.findall(r"^\| `(\w+)` \|", text_of(document), re.MULTILINE))

    assert set(get_args(FailCode)) <= rows
    assert set(get_args(TaskState)) <= rows


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_has_its_four_parts_on_about_one_page(decision: Path) -> None:
    text = decision.read_text(encoding="utf-8")

    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences", "Alternatives"]
    assert text.startswith(f"# {decision.name[:4]} · ")
    assert len(text.splitlines()) <= 80


def test_decisions_are_numbered_without_a_gap() -> None:
    assert [int(path.name[:4]) for path in DECISIONS] == list(range(1, len(DECISIONS) + 1))


@pytest.mark.parametrize("module", MODULES)
def test_no_module_is_longer_than_four_hundred_lines(module: str) -> None:
    assert len((SOURCE / module).read_text(encoding="utf-8").splitlines()) <= 400


def test_the_architecture_names_exactly_the_modules_that_exist() -> None:
    block = next(b for b in _FENCED.findall(text_of("docs/architecture.md")) if "\ndomain/ " in b)
    named: list[str] = []
    room = ""
    for line in block.splitlines():
        if match := re.match(r"(\w+)/ ", line):
            room = f"{match[1]}/"
        elif match := re.match(r"(  )?(\w+\.py) +\S", line):
            named.append(f"{room if match[1] else ''}{match[2]}")
    own_rooms = ("engines/illustrator/", "engines/gemini/")
    there = [m for m in MODULES if not m.startswith(own_rooms) and not m.endswith(("__init__.py", "__main__.py"))]

    assert sorted(named) == there


def test_pictures_in_the_documents_are_small() -> None:
    pictures = list((ROOT / "docs" / "images").iterdir())

    assert pictures
    assert [p.name for p in pictures if p.stat().st_size > 400 * 1024] == []
