"""The one field that we want of a multipart body, piece by piece as it arrives."""

from collections.abc import AsyncIterator

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from cavendish.domain.errors import InvalidRequest, Problem
from cavendish.domain.text import Text

OVERHEAD_BYTES = 64 * 1024
"""The most that everything beside the field may have: boundaries, headers, other fields."""


def media_type(content_type: bytes | None) -> tuple[str, bytes | None]:
    """The lower-case media type of a Content-Type, and the boundary if it has one."""
    kind, options = parse_options_header(content_type.decode("latin-1") if content_type is not None else None)
    return kind.decode("latin-1").strip(), options.get(b"boundary")


class _Field:
    """The parser's callbacks: gathers the pieces of the field `wanted`, and lets all others go."""

    def __init__(self, wanted: str) -> None:
        self.pieces: list[bytes] = []
        self.found = 0
        self.ended = False
        self._wanted = wanted.encode()
        self._name = b""
        self._value = b""
        self._inside = False

    def on_part_begin(self) -> None:
        self._inside = False

    def on_header_begin(self) -> None:
        self._name = self._value = b""

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            _, options = parse_options_header(self._value.decode("latin-1"))
            self._inside = options.get(b"name") == self._wanted

    def on_headers_finished(self) -> None:
        self.found += self._inside

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._inside and self.found == 1:
            self.pieces.append(data[start:end])

    def on_end(self) -> None:
        self.ended = True


async def field_pieces(parts: AsyncIterator[bytes], boundary: bytes | None, field: str) -> AsyncIterator[bytes]:
    """The bytes of the part named `field`, in pieces, each as soon as it is there.

    Args:
        parts: the body.
        boundary: of the body's Content-Type.

    Raises:
        InvalidRequest: not a multipart body, cut off, without the field, with several of them, or with too much else.
    """
    found = _Field(field)
    try:
        parser = MultipartParser(
            boundary or b"",
            {
                "on_part_begin": found.on_part_begin,
                "on_header_begin": found.on_header_begin,
                "on_header_field": found.on_header_field,
                "on_header_value": found.on_header_value,
                "on_header_end": found.on_header_end,
                "on_headers_finished": found.on_headers_finished,
                "on_part_data": found.on_part_data,
                "on_end": found.on_end,
            },
        )
        if not boundary:
            raise _broken()
        beside = 0
        async for part in parts:
            parser.write(part)
            beside += len(part)
            for piece in found.pieces:
                beside -= len(piece)
                yield piece
            found.pieces.clear()
            if found.found > 1:
                raise _problem(f"must be one part; got {found.found}", f"只能有一个；收到 {found.found} 个", field)
            if beside > OVERHEAD_BYTES:
                raise _problem(
                    f"The multipart body has more than {OVERHEAD_BYTES // 1024} KB beside the field `{field}`",
                    f"multipart 请求体中除字段 `{field}` 外的内容超过 {OVERHEAD_BYTES // 1024} KB",
                )
    except FormParserError:
        raise _broken() from None
    if not found.ended:
        raise _broken()
    if not found.found:
        raise _problem(
            "required: the image, as a part of this name in the multipart body",
            "必填：multipart 请求体中以此命名的图片部分",
            field,
        )


def _broken() -> InvalidRequest:
    return _problem(
        "The body is not a whole multipart/form-data body; let a library build it, with the boundary in Content-Type",
        "请求体不是完整的 multipart/form-data；请使用库来构造请求体以及带 boundary 的 Content-Type",
    )


def _problem(en: str, zh: str, field: str = "") -> InvalidRequest:
    return InvalidRequest([Problem(field, Text(en=en, zh=zh))])
