"""Commands that run the server and look after it: serve, worker, migrate, settings, version."""

import asyncio
from typing import Annotated, Any

import typer
from rich.console import Console

from cavendish import __version__
from cavendish.cli.accounts import DEFAULT_CREATES_PER_MINUTE, DEFAULT_IN_FLIGHT
from cavendish.cli.common import COMMAND_ACCOUNT, configured, language, out, say
from cavendish.domain.limits import KeyLimits
from cavendish.settings import SETTINGS

FIRST_ACCOUNT = "default"
FIRST_CREDITS = 1_000

app = typer.Typer()


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on. / 监听地址。")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="Port; 0 picks a free one. / 端口；0 表示自动选择。", min=0, max=65535)
    ] = 8787,
    worker: Annotated[
        bool,
        typer.Option(
            "--worker/--no-worker", help="Also work on tasks, or serve the API only. / 同时处理任务，或仅提供 API。"
        ),
    ] = True,
) -> None:
    """Run the API, and a worker in the same process. / 运行 API，并在同一进程中处理任务。"""
    from cavendish import serving
    from cavendish.wiring import Parts

    settings = configured()

    async def announce(parts: Parts, url: str) -> None:
        # Only where nobody else administers the database: a key that appears in a team's log would be a leak.
        if settings.database_url is None and not await parts.accounts.any_key(besides=COMMAND_ACCOUNT):
            key = await _first_key(parts.accounts)
            out(_welcome(url, key))

    serving.run(serving.serve(settings, host, port, with_worker=worker, announce=announce))


@app.command()
def worker() -> None:
    """Work on tasks, without the API. / 只处理任务，不提供 API。"""
    from cavendish import serving

    serving.run(serving.work(configured()))


@app.command()
def migrate() -> None:
    """Bring the database to this version's schema. / 将数据库升级到当前版本的结构。"""
    from cavendish.store.migrate import migrate as apply
    from cavendish.wiring import open_database

    async def run() -> list[str]:
        async with open_database(configured(), migrated=False) as database:
            return await apply(database)

    applied = asyncio.run(run())
    if applied:
        say(f"applied: {', '.join(applied)}", f"已应用：{'、'.join(applied)}")
    else:
        say("nothing to do: the schema is up to date", "无需操作：结构已是最新")


@app.command()
def settings() -> None:
    """Show every setting: variable, bounds, default, help. / 列出全部设置。"""
    console = Console()
    for setting in SETTINGS:
        default = setting.default or ("not set" if language() == "en" else "不设置")
        word = "default" if language() == "en" else "默认"
        console.print(f"[bold]{setting.variable}[/bold]", highlight=False)
        console.print(f"    {setting.bounds.say(language())}; {word}: {default}", highlight=False, markup=False)
        console.print(f"    {setting.help.say(language())}", highlight=False, markup=False)


@app.command()
def version() -> None:
    """Show the version. / 显示版本。"""
    out(__version__)


async def _first_key(accounts: Any) -> str:
    account_id = await accounts.ensure(FIRST_ACCOUNT)
    await accounts.grant(FIRST_ACCOUNT, FIRST_CREDITS, "first start")
    key: str = await accounts.create_key(account_id, KeyLimits(DEFAULT_CREATES_PER_MINUTE, DEFAULT_IN_FLIGHT))
    return key


def _welcome(url: str, key: str) -> str:
    head = (
        f"Your first key, with {FIRST_CREDITS} credits. It is shown this once:"
        if language() == "en"
        else f"你的第一个密钥，含 {FIRST_CREDITS} 积分，仅显示这一次："
    )
    prompt = "an orange cat on a windowsill, watching the rain" if language() == "en" else "一只橘猫坐在窗台上看雨"
    return f"""
{head}

  {key}

curl --request POST --url {url}/api/v1/tasks/create \\
  --header 'Authorization: Bearer {key}' \\
  --header 'Content-Type: application/json' \\
  --data '{{"model": "google/nano-banana", "input": {{"prompt": "{prompt}"}}}}'
"""
