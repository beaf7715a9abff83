"""Files: an image that a caller sends becomes one that its tasks may use, for a while."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import msgspec
import structlog

from cavendish.domain.errors import BadImage, BlobsUnavailable, InvalidRequest, Problem, StoreUnavailable
from cavendish.domain.files import (
    FILES_PATH,
    MAX_IMAGE_BYTES,
    NewFile,
    file_blob,
    new_file_name,
    no_such_file,
    too_many_uploads,
)
from cavendish.domain.orders import Caller
from cavendish.domain.tasks import AccountId
from cavendish.domain.text import Text
from cavendish.ports import Blobs, Files, Images

UPLOADS_AT_ONCE = 16
"""Of one account, in one process: what bounds the disk that unfinished uploads take."""

log = structlog.get_logger("cavendish.files")


class Uploaded(msgspec.Struct, frozen=True):
    """A file as its owner is told of it: `data` of the upload's answer."""

    url: str
    bytes: int
    width: int
    height: int
    format: str
    expiresTime: int  # noqa: N815 - the wire's name


class Uploads:
    """Takes images in, and finds them again for their account.

    Args:
        public_url: the prefix of their URLs; None: what the upload was sent to.
    """

    def __init__(self, *, files: Files, blobs: Blobs, images: Images, public_url: str | None) -> None:
        self._files = files
        self._blobs = blobs
        self._images = images
        self._public_url = public_url.rstrip("/") if public_url else None
        self._under_way: Counter[AccountId] = Counter()

    async def __call__(self, caller: Caller, parts: AsyncIterator[bytes], origin: str) -> Uploaded:
        """Store the image whose bytes come in `parts`; nothing of it stays when it is refused or breaks off.

        Args:
            origin: scheme and host that the upload was sent to.

        Raises:
            InvalidRequest: it is no image that we take; what is left of `parts` is not read.
            RateLimited: the account has no room, or too many uploads under way.
            StoreUnavailable, BlobsUnavailable
        """
        with self._counted(caller.account_id):
            await self._files.check_room(caller.account_id)  # before a byte is read: a flood costs no bandwidth
            async with self._blobs.incoming() as incoming:
                size = 0
                async for part in parts:
                    size += len(part)
                    if size > MAX_IMAGE_BYTES:
                        raise image_too_large()
                    await incoming.write(part)
                await incoming.flush()
                try:
                    info = await self._images.probe_file(incoming.path)
                except BadImage as error:
                    raise InvalidRequest([Problem("file", error.text)]) from None
                name = new_file_name(info.format)
                # The row first: a crash in between leaves a row that expires, not an image that nothing knows of.
                # Nobody can use it meanwhile, since nobody was told its name.
                expires_ms = await self._files.keep(
                    NewFile(name, caller.account_id, size, info.format, info.width, info.height)
                )
                try:
                    await incoming.keep(file_blob(name))
                except BlobsUnavailable:
                    await self._forget(name)
                    raise
        url = f"{self._public_url or origin}{FILES_PATH}{name}"
        return Uploaded(url, size, info.width, info.height, info.format, expires_ms)

    async def blob_of(self, caller: Caller, name: str) -> str:
        """Where the caller's file lies in blob storage.

        Raises:
            NotFound: unknown, expired, or another account's: they cannot be told apart.
            StoreUnavailable
        """
        if name not in await self._files.living(caller.account_id, [name]):
            raise no_such_file(name)
        return file_blob(name)

    @contextmanager
    def _counted(self, account_id: AccountId) -> Iterator[None]:
        if self._under_way[account_id] >= UPLOADS_AT_ONCE:
            raise too_many_uploads(UPLOADS_AT_ONCE)
        self._under_way[account_id] += 1
        try:
            yield
        finally:
            self._under_way[account_id] -= 1
            if not self._under_way[account_id]:
                del self._under_way[account_id]

    async def _forget(self, name: str) -> None:
        try:
            await self._files.remove([name])
        except StoreUnavailable as error:
            log.warning("a file that could not be stored takes room until it expires", file=name, error=str(error))


def image_too_large() -> InvalidRequest:
    """The error for an upload whose image is longer than we take."""
    most = MAX_IMAGE_BYTES // (1024 * 1024)
    text = Text(
        en=f"The image has more than {most} MB; at most {most} MB are taken. Send a smaller or more compressed one",
        zh=f"图片超过 {most} MB，最大允许 {most} MB。请缩小或压缩后重新发送",
    )
    return InvalidRequest([Problem("file", text)])
