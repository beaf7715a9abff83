"""Names and URLs of uploaded files, and the field of a form in whatever pieces it arrives."""

from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cavendish.domain.errors import InvalidRequest
from cavendish.domain.files import LEAST_COUNTED_BYTES, NewFile, file_blob, new_file_name, referred_file
from cavendish.domain.tasks import AccountId
from cavendish.web.multipart import field_pieces, media_type

NAME = "cavendish-0123456789abcdef0123456789abcdef.png"


@pytest.mark.parametrize(
    "url",
    [
        f"http://127.0.0.1:8787/files/{NAME}",
        f"https://example.com/behind/a/prefix/files/{NAME}",
        f"HTTPS://EXAMPLE.COM/files/{NAME}",
    ],
)
def test_a_file_is_known_by_its_name_behind_any_host(url: str) -> None:
    assert referred_file(url) == NAME


@pytest.mark.parametrize(
    "url",
    [
        NAME,
        f"/files/{NAME}",
        f"ftp://example.com/files/{NAME}",
        f"http://example.com/pictures/{NAME}",
        f"http://example.com/files/{NAME}?x=1",
        f"http://example.com/files/{NAME}\n",
        "http://example.com/files/0123456789abcdef0123456789abcdef.png",
        f"http://example.com/files/{NAME.upper()}",
        f"http://example.com/files/../{NAME}",
        f"http://example.com/{'x' * 2048}/files/{NAME}",
    ],
)
def test_other_urls_are_no_files(url: str) -> None:
    assert referred_file(url) is None


def test_new_names_are_known_and_never_the_same() -> None:
    names = {new_file_name("webp") for _ in range(100)}

    assert len(names) == 100
    assert {referred_file(f"http://x/files/{name}") for name in names} == names
    assert file_blob(NAME) == f"files/01/{NAME}"


@pytest.mark.parametrize(("size", "counted"), [(1, LEAST_COUNTED_BYTES), (LEAST_COUNTED_BYTES + 1,) * 2])
def test_a_small_file_counts_as_more_than_it_has(size: int, counted: int) -> None:
    assert NewFile(NAME, AccountId(1), size, "png", 1, 1).counted_bytes == counted


async def pieces_of(body: bytes, cuts: Sequence[int], boundary: bytes = b"x-y") -> bytes:
    async def arriving() -> AsyncIterator[bytes]:
        at = 0
        for cut in [*sorted(min(cut, len(body)) for cut in cuts), len(body)]:
            if cut > at:
                yield body[at:cut]
            at = cut

    return b"".join([piece async for piece in field_pieces(arriving(), boundary, "file")])


def form(data: bytes) -> bytes:
    return (
        b'--x-y\r\nContent-Disposition: form-data; name="before"\r\n\r\nfile\r\n'
        b'--x-y\r\ncontent-type: image/png\r\ncontent-DISPOSITION: form-data; filename="a;b.png"; name="file"\r\n\r\n'
        + data
        + b'\r\n--x-y\r\nContent-Disposition: form-data; name="after"; filename="file"\r\n\r\n!\r\n--x-y--\r\n'
    )


@given(
    st.binary(max_size=300).map(lambda data: data.replace(b"\r\n--x-y", b"")) | st.just(b"\r\n--x-\r\n-\r\r\n--x"),
    st.lists(st.integers(0, 700), max_size=20),
)
async def test_the_field_is_the_same_however_the_body_is_cut(data: bytes, cuts: list[int]) -> None:
    assert await pieces_of(form(data), cuts) == data


@given(st.integers(0, 330))
async def test_a_form_that_is_cut_off_is_refused(length: int) -> None:
    whole = form(bytes(100))
    cut = whole[: min(length, len(whole) - 4)]  # the last line break may be missing, the last two hyphens may not

    with pytest.raises(InvalidRequest):
        await pieces_of(cut, [])


@pytest.mark.parametrize("boundary", [b"", b"z" * 300])
async def test_a_boundary_that_no_form_has_is_refused(boundary: bytes) -> None:
    with pytest.raises(InvalidRequest, match="boundary"):
        await pieces_of(form(b"!"), [], boundary)


@pytest.mark.parametrize(
    ("header", "kind", "boundary"),
    [
        (None, "", None),
        (b"Image/PNG", "image/png", None),
        (b'multipart/Form-Data; boundary="a b"; charset=x', "multipart/form-data", b"a b"),
        (b"\xff\xfe", "\xff\xfe", None),
    ],
)
def test_a_content_type_is_read(header: bytes | None, kind: str, boundary: bytes | None) -> None:
    assert media_type(header) == (kind, boundary)
