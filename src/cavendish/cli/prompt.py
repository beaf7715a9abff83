"""`cavendish prompt`: prompt help at the terminal, without a server or a database."""

import sys
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cavendish.cli.common import language, out, say
from cavendish.domain.errors import InvalidRequest, Problem
from cavendish.domain.inputs import check_prompt
from cavendish.domain.prompts import Advice, advise

app = typer.Typer()


@app.command()
def prompt(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="PROMPT", help="The prompt; - reads standard input. / 提示词；- 表示从标准输入读取。"),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="The API's answer, for scripts. / 输出与 API 相同的 JSON。")
    ] = False,
    edit: Annotated[
        bool, typer.Option("--edit", help="It is for a model that edits pictures. / 用于图像编辑模型。")
    ] = False,
) -> None:
    """Show what a prompt has and lacks, and a better one. / 分析提示词的各个部分、缺少什么，并给出改进版。"""
    from cavendish.prompt_rules import prompt_rules

    text = " ".join(words or [])
    if text in ("", "-"):
        if sys.stdin.isatty():
            say("Type the prompt, then end it with Ctrl-D:", "请输入提示词，以 Ctrl-D 结束：")
        text = sys.stdin.read()
    problems: list[Problem] = []
    text = check_prompt("PROMPT", text, problems)
    if problems:
        raise InvalidRequest(problems)
    advice = advise(prompt_rules(), text, edits_only=edit)
    if as_json:
        from cavendish.web.prompts import shown

        out(msgspec.json.encode(shown(advice, language())).decode())
    else:
        _print(advice)


def _print(advice: Advice) -> None:
    console = Console(highlight=False, soft_wrap=False)
    missing = {part.name for part in advice.missing}
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    separator = " · "
    for found in advice.parts:
        title = found.part.title.say(language())
        if found.words:
            table.add_row(Text("✓", "green"), title, Text(separator.join(found.words)))
        elif found.part.name in missing:
            table.add_row(Text("+", "yellow"), title, Text(found.part.advice.say(language()), "dim"))
        else:
            nothing = "not needed here" if language() == "en" else "此处不需要"
            table.add_row(Text("–", "dim"), title, Text(nothing, "dim"))
    console.print(table)
    console.print()
    console.print(_improved(advice), soft_wrap=True)


def _improved(advice: Advice) -> Text:
    """The improved prompt with what is new in it set off; or why there is nothing new."""
    english = language() == "en"
    if advice.added:
        text = Text(advice.improved)
        for phrase in advice.added:
            at = advice.improved.lower().rfind(phrase.lower())
            text.stylize("bold green", at, at + len(phrase))
        return text
    if advice.language == "other":
        return Text(
            "Only English and Chinese prompts are improved; the advice above holds for any language."
            if english
            else "仅支持改进中文和英文提示词；以上建议对任何语言都适用。",
            "dim",
        )
    if advice.missing:
        return Text(
            "Nothing was added: a quotation is not closed, or the prompt is as long as it may be."
            if english
            else "未添加内容：引号没有闭合，或提示词已达长度上限。",
            "dim",
        )
    return Text("Nothing is missing: send it as it is." if english else "各部分齐全，直接使用即可。", "green")
