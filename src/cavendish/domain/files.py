"""Uploaded images: their names and URLs, how large they may be, and what an account may hold of them."""

import re
import secrets
from typing import Literal

import msgspec

from cavendish.domain.errors import LimitPolicy, NotFound, Problem, RateLimited
from cavendish.domain.tasks import AccountId
from cavendish.domain.text import Text, shortened

FILES_PATH = "/files/"
MAX_IMAGE_BYTES = 30 * 1024 * 1024
"""The longest encoded input image, in bytes: 30 MB, read generously."""
MAX_URL_CHARS = 2048
LEAST_COUNTED_BYTES = 64 * 1024
"""What a smaller file counts as: rows and directory entries are not free either."""

# The word in front tells our files from those of other hosts that name theirs by a hash. So a file is known by its name
# whatever host name its sender reached us by; and only its account can use it.
_NAME = re.compile(r"cavendish-[0-9a-f]{32}\.(png|jpeg|webp)")


class NewFile(msgspec.Struct, frozen=True):
    """A checked upload, ready to be written down. `bytes`: of the encoded image; pixels as seen upright."""

    name: str
    account_id: AccountId
    bytes: int
    format: Literal["png", "jpeg", "webp"]
    width: int
    height: int

    @property
    def counted_bytes(self) -> int:
        """What it takes of the account's room."""
        return max(self.bytes, LEAST_COUNTED_BYTES)


class FileUse(msgspec.Struct, frozen=True):
    """A create's reference to an uploaded file: the field's path (`input.image_input[0]`) and the file's name."""

    path: str
    name: str


def new_file_name(image_format: Literal["png", "jpeg", "webp"]) -> str:
    """A fresh name of 128 random bits, such as `cavendish-9f…c2.png`."""
    return f"cavendish-{secrets.token_hex(16)}.{image_format}"


def is_file_name(name: str) -> bool:
    """Whether `name` could be one of ours; nothing else ever reaches database or storage."""
    return _NAME.fullmatch(name) is not None


def referred_file(reference: str) -> str | None:
    """The name of the uploaded file that a URL refers to, or None when it is any other URL."""
    before, slash, name = reference[: MAX_URL_CHARS + 1].rpartition(FILES_PATH)
    if not slash or not is_file_name(name) or not before[:8].lower().startswith(("http://", "https://")):
        return None
    return name


def file_blob(name: str) -> str:
    """Where a file of that name lies in blob storage (256 folders, so that none grows too large)."""
    at = len("cavendish-")
    return f"files/{name[at : at + 2]}/{name}"


def no_such_file(name: str) -> NotFound:
    """The error for a file that is unknown, expired or another account's: the three cannot be told apart."""
    return NotFound(Text(en=f"There is no file {shortened(name)}", zh=f"没有文件 {shortened(name)}"))


def unusable_file(use: FileUse) -> Problem:
    """A reference to a file that is unknown, expired or another account's: the three cannot be told apart."""
    return Problem(
        use.path,
        Text(
            en=f"there is no file {shortened(use.name)}: it is unknown here or has expired; upload the image again",
            zh=f"没有文件 {shortened(use.name)}：该文件不存在或已过期，请重新上传图片",
        ),
    )


def no_room(held_bytes: int, most_bytes: int, wait_seconds: int) -> RateLimited:
    """The refusal of an upload that the account has no room for."""
    held, most = held_bytes / 1e6, most_bytes / 1e6
    return RateLimited(
        Text(
            en=f"This account holds {held:.1f} MB of uploaded files; with this one it would be more than {most:g} MB. "
            f"The oldest of them will have gone in {wait_seconds} s",
            zh=f"此账户已保存 {held:.1f} MB 的上传文件；加上此文件将超过 {most:g} MB。"
            f"最早的文件将在 {wait_seconds} 秒后清除",
        ),
        wait_seconds,
        LimitPolicy("upload-bytes", most_bytes),
    )


def too_many_uploads(most: int) -> RateLimited:
    """The refusal of an upload while as many as allowed are under way."""
    return RateLimited(
        Text(
            en=f"This account may have {most} uploads under way at once on this server; try again when one is done",
            zh=f"此账户在本服务器上最多同时进行 {most} 个上传；请在其中一个完成后重试",
        ),
        1,
        LimitPolicy("uploads", most),
    )
