"""`cavendish generate` and `cavendish fetch`: pictures from the command line."""

import asyncio
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from cavendish.cli.common import HIDDEN_KEY
from cavendish.domain.errors import Misconfigured
from cavendish.domain.text import Text

app = typer.Typer()

MOST_STDIN_BYTES = 64_000_000

BaseUrl = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="The server; default: CAVENDISH_BASE_URL, else one of its own. / "
        "服务器；默认取 CAVENDISH_BASE_URL，否则自行启动。",
    ),
]
ApiKey = Annotated[
    str | None, typer.Option(metavar="KEY", help="Default: CAVENDISH_API_KEY. / 默认取 CAVENDISH_API_KEY。")
]
Output = Annotated[
    str | None,
    typer.Option(
        "-o",
        "--output",
        metavar="PATH",
        help="File, or folder (for --prompts always); - is standard output. / "
        "文件或文件夹（--prompts 时为文件夹）；- 为标准输出。",
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="One JSON object a picture, on standard output. / 每张图片输出一行 JSON。")
]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Say nothing but errors. / 只输出错误。")]
Show = Annotated[
    bool | None,
    typer.Option(
        "--show/--no-show",
        help="Show the picture in the terminal; default: where it can. / 在终端显示图片；默认在支持时显示。",
    ),
]
Timeout = Annotated[
    float, typer.Option(metavar="SECONDS", help="How long to wait for each task. / 每个任务最长等待秒数。", min=1)
]


@app.command()
def generate(
    prompt: Annotated[
        str | None,
        typer.Argument(help="What to draw; - reads it from standard input. / 提示词；- 表示从标准输入读取。"),
    ] = None,
    image: Annotated[
        list[str] | None,
        typer.Option(
            "-i", "--image", metavar="IMAGE", help="Input image: path or URL; repeatable. / 输入图片，可多次。"
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "-m",
            "--model",
            help="pro, edit, standard or an id; default: standard, edit with -i. / pro、edit、standard 或完整 id。",
        ),
    ] = None,
    ratio: Annotated[str | None, typer.Option(metavar="W:H", help="1:1, 16:9, …, auto. / 宽高比。")] = None,
    resolution: Annotated[
        str | None, typer.Option(metavar="1k|2k|4k", help="For pro: 1k, 2k, 4k. / 分辨率，用于 pro。")
    ] = None,
    output_format: Annotated[
        Literal["png", "jpeg", "jpg"] | None,
        typer.Option(
            "--format", help="png or jpeg; default: as -o is named, else png. / 默认按 -o 的扩展名，否则 png。"
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Another number, another variant. / 不同的数，不同的变体。")] = None,
    count: Annotated[
        int, typer.Option("-n", "--count", help="Variants of each prompt. / 每个提示词的图片数。", min=1, max=1000)
    ] = 1,
    output: Output = None,
    prompts: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="A batch: one prompt or JSON object a line; - is standard input. / "
            "批量：每行一个提示词或 JSON；- 为标准输入。",
        ),
    ] = None,
    parallel: Annotated[int, typer.Option(help="Tasks at once. / 同时进行的任务数。", min=1, max=256)] = 4,
    timeout: Timeout = 600.0,
    show: Show = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    base_url: BaseUrl = None,
    api_key: ApiKey = None,
) -> None:
    """Draw pictures. / 生成图片。

    Results, one file name a line, go to standard output, everything else to standard error. Exit code: 0 all there,
    1 an error, 2 wrong usage, 3 a picture failed, 4 a task goes on after the time-out, 130 Ctrl-C.
    """
    from cavendish.cli.generating import Options, generate_all
    from cavendish.cli.jobs import Job, copies, read_prompts

    target = _path(output)
    if (prompt is None) == (prompts is None):
        raise typer.BadParameter("give a prompt, or --prompts FILE / 请提供提示词，或 --prompts FILE")
    _check_output(target, output_format, count if prompts is None else 2, as_json=as_json)
    job = Job(
        prompt=_standard_input() if prompt == "-" else prompt or "",
        model=model,
        images=tuple(image or ()),
        ratio=ratio,
        resolution=resolution,
        format=output_format,
        seed=seed,
        out=target if prompts is None else None,
    )
    batch = None
    if prompts is None:
        jobs = copies(job, count, stable=False)
    else:
        batch = target or Path("pictures")
        read = read_prompts(_standard_input() if prompts == "-" else _text_of(prompts), job)
        jobs = [each for one in read for each in copies(one, count, stable=True)]
    options = Options(
        batch=batch,
        parallel=parallel,
        timeout_seconds=timeout,
        to_stdout=output == "-",
        show=show,
        as_json=as_json,
        quiet=quiet,
        base_url=base_url,
        api_key=api_key,
        command=_shown_command(sys.argv[1:]),
    )
    sys.exit(asyncio.run(generate_all(jobs, options)))


@app.command()
def fetch(
    tasks: Annotated[list[str], typer.Argument(metavar="TASK_ID...", help="Ids of tasks. / 任务 id。")],
    output: Output = None,
    timeout: Timeout = 600.0,
    show: Show = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    base_url: BaseUrl = None,
    api_key: ApiKey = None,
) -> None:
    """Wait for tasks that were created before, and save their pictures. / 等待已创建的任务并保存图片。

    Costs nothing. Output and exit codes are those of `generate`.
    """
    from cavendish.cli.generating import Options, fetch_all

    options = Options(
        batch=None,
        parallel=16,
        timeout_seconds=timeout,
        to_stdout=output == "-",
        show=show,
        as_json=as_json,
        quiet=quiet,
        base_url=base_url,
        api_key=api_key,
        command=_shown_command(sys.argv[1:]),
    )
    target = _path(output)
    _check_output(target, None, len(tasks), as_json=as_json)
    sys.exit(asyncio.run(fetch_all(tasks, target, options)))


def _path(output: str | None) -> Path | None:
    """The file or folder of `-o`. One that ends with a slash is a folder, which is made if it is not there."""
    if not output:
        return None
    path = Path(output)
    if output.endswith(("/", os.sep)):
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Misconfigured(
                Text(en=f"-o {output}: {error.strerror}", zh=f"-o {output}：{error.strerror}")
            ) from error
    return path


def _shown_command(arguments: Sequence[str]) -> str:
    """The command line as it may be shown: without its key."""
    shown = list(arguments)
    for at, argument in enumerate(shown):
        if argument.startswith("--api-key="):
            shown[at] = f"--api-key={HIDDEN_KEY}"
        elif at and shown[at - 1] == "--api-key":
            shown[at] = HIDDEN_KEY
    return shlex.join(["cavendish", *shown])


def _check_output(output: Path | None, output_format: str | None, count: int, *, as_json: bool) -> None:
    from cavendish.cli.files import format_of

    if output is None:
        return
    if str(output) == "-":
        if count > 1:
            raise typer.BadParameter("-o -: standard output takes one picture / 标准输出只能放一张图片")
        if as_json:
            raise typer.BadParameter(
                "-o -: standard output takes the picture or --json, not both / 标准输出不能同时放图片和 --json"
            )
        return
    named = format_of(output)
    asked = {"jpg": "jpeg"}.get(output_format or "", output_format)
    if named is not None and asked is not None and named != asked:
        raise typer.BadParameter(f"-o {output} and --format {output_format} contradict each other / 两者矛盾")


def _standard_input() -> str:
    if sys.stdin.isatty():
        sys.stderr.write("(Ctrl-D ends the input / 以 Ctrl-D 结束输入)\n")
    return _decoded(sys.stdin.buffer.read(MOST_STDIN_BYTES), "-")


def _text_of(path: str) -> str:
    try:
        return _decoded(Path(path).read_bytes(), path)
    except OSError as error:
        raise Misconfigured(
            Text(en=f"--prompts {path}: {error.strerror}", zh=f"--prompts {path}：{error.strerror}")
        ) from error


def _decoded(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Misconfigured(Text(en=f"{name}: is not UTF-8: {error}", zh=f"{name}：不是 UTF-8：{error}")) from error
