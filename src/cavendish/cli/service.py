"""The server that `generate` and `fetch` talk to: the one that is configured, or one of their own for the call."""

import os
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cavendish.cli.common import COMMAND_ACCOUNT, language
from cavendish.cli.servers import FIRST_CREDITS
from cavendish.client import AsyncClient, Image, Task
from cavendish.client.config import API_KEY_VARIABLE, BASE_URL_VARIABLE
from cavendish.domain.errors import Misconfigured, NotFound
from cavendish.domain.limits import KeyLimits
from cavendish.domain.text import Text

if TYPE_CHECKING:  # the server is imported only where one is started
    from cavendish.settings import Settings
    from cavendish.wiring import Parts

KEY_FILE = "command-line.key"
LIMITS = KeyLimits(creates_per_minute=1_000_000, in_flight=1_000_000)


@dataclass(frozen=True)
class Service:
    """A client, and what is behind it.

    Attributes:
        url: of the server.
        data_dir: of the server that was started for this call; None: it is another's.
    """

    client: AsyncClient
    url: str
    data_dir: Path | None

    @property
    def place(self) -> str:
        """What stays the same from call to call: the server's URL, or the data folder."""
        return self.url if self.data_dir is None else str(self.data_dir.resolve())

    async def download(self, task: Task) -> Image:
        """The picture of a task that has ended.

        A server of our own has another port each time, so its results are looked for at the present one.
        """
        if self.data_dir is not None:
            urls = tuple(self.url + urlsplit(url).path for url in task.result_urls)
            task = replace(task, result_urls=urls)
        return await self.client.download(task)


@asynccontextmanager
async def open_service(base_url: str | None, api_key: str | None) -> AsyncIterator[Service]:
    """A client for the server of the options or the environment; without one, for a server on the data folder.

    Raises:
        Misconfigured: half of address and key is missing, or the data folder cannot be used.
    """
    url = base_url or os.environ.get(BASE_URL_VARIABLE)
    key = api_key or os.environ.get(API_KEY_VARIABLE)
    if url and not key:
        raise Misconfigured(
            Text(
                en=f"no API key for {url}: set {API_KEY_VARIABLE}, or pass --api-key",
                zh=f"缺少 {url} 的 API 密钥：请设置 {API_KEY_VARIABLE}，或使用 --api-key",
            )
        )
    if key and not url:
        raise Misconfigured(
            Text(
                en=f"an API key, but no server that it is for: set {BASE_URL_VARIABLE}, or pass --base-url; "
                f"without either, {API_KEY_VARIABLE} must not be set",
                zh=f"有 API 密钥但没有服务器：请设置 {BASE_URL_VARIABLE}，或使用 --base-url；"
                f"若两者都不用，请不要设置 {API_KEY_VARIABLE}",
            )
        )
    if url and key:
        async with AsyncClient(url, key, language=language()) as client:
            yield Service(client, url, None)
        return
    async with _own_server() as service:
        yield service


@asynccontextmanager
async def _own_server() -> AsyncIterator[Service]:
    from cavendish.logs import configure_logs
    from cavendish.serving import serving_locally
    from cavendish.settings import read_settings

    settings = read_settings()
    # The server's lines would run through those of the command.
    configure_logs(settings.log_format, settings.log_level if _asked_for_logs(os.environ) else "error")
    async with serving_locally(settings) as (parts, url):
        key = await own_key(parts, settings)
        async with AsyncClient(url, key, language=language(), repeats_creates=True) as client:
            yield Service(client, url, settings.data_dir)


def _asked_for_logs(environment: Mapping[str, str]) -> bool:
    return bool(environment.get("CAVENDISH_LOG_LEVEL"))


async def own_key(parts: "Parts", settings: "Settings") -> str:
    """A key of the account `command-line`, kept in the data folder, readable by its owner only.

    On the embedded database, where whoever can run this is the operator, the account begins with some credits.
    """
    from cavendish.store.accounts import key_digest

    path = settings.data_dir / KEY_FILE
    try:
        kept = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        kept = ""
    found = await parts.accounts.find_key(key_digest(kept)) if kept else None
    if found is not None and found[0].account == COMMAND_ACCOUNT:
        return kept
    try:
        await parts.accounts.audit(COMMAND_ACCOUNT)
    except NotFound:
        await parts.accounts.ensure(COMMAND_ACCOUNT)
        if settings.database_url is None:
            await parts.accounts.grant(COMMAND_ACCOUNT, FIRST_CREDITS, "first cavendish generate")
    key = await parts.accounts.create_key(await parts.accounts.ensure(COMMAND_ACCOUNT), LIMITS)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    fresh = settings.data_dir / f".{KEY_FILE}.{secrets.token_hex(4)}"
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(key + "\n")
    fresh.replace(path)
    return key
