import asyncio
import warnings
import zlib
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from typing import Literal

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from cavendish.domain.errors import BadImage
from cavendish.images.limits import MAX_BYTES, MAX_PIXELS, check_bytes
from cavendish.images.probe import probe
from cavendish.images.service import PillowImages
from cavendish.ports import ImageInfo
from tests.imagery import (
    SRGB_PROFILE,
    animation,
    decoded,
    encoded,
    exif_orientation,
    hollow_png,
    jpeg,
    picture,
    png,
    png_chunk,
    webp,
)

SAMPLES = (
    png(),
    png(mode="RGBA"),
    jpeg(),
    jpeg(progressive=True, exif=exif_orientation(6)),
    webp(),
    webp(mode="RGBA", lossless=True),
)


@pytest.fixture
def images() -> Iterator[PillowImages]:
    service = PillowImages(threads=1)
    yield service
    service.close()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (png(64, 48), ImageInfo("png", 64, 48)),
        (png(7, 5, "RGBA"), ImageInfo("png", 7, 5)),
        (png(64, 48, "I;16"), ImageInfo("png", 64, 48)),
        (jpeg(64, 48), ImageInfo("jpeg", 64, 48)),
        (jpeg(64, 48, "L"), ImageInfo("jpeg", 64, 48)),
        (jpeg(64, 48, "CMYK"), ImageInfo("jpeg", 64, 48)),
        (jpeg(64, 48, progressive=True), ImageInfo("jpeg", 64, 48)),
        (webp(64, 48), ImageInfo("webp", 64, 48)),
        (webp(64, 48, lossless=True), ImageInfo("webp", 64, 48)),
        (webp(64, 48, "RGBA", exif=exif_orientation(1)), ImageInfo("webp", 64, 48)),
        (webp(1, 1), ImageInfo("webp", 1, 1)),
    ],
)
async def test_the_bytes_themselves_say_what_an_image_is(
    images: PillowImages, data: bytes, expected: ImageInfo
) -> None:
    assert await images.probe(data) == expected


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("turned", range(1, 9))
def test_a_lying_picture_is_measured_as_it_is_shown(kind: str, turned: int) -> None:
    data = encoded(picture(64, 48), kind, exif=exif_orientation(turned))
    info = probe(data)

    assert (info.width, info.height) == ((48, 64) if turned >= 5 else (64, 48))


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x12\x01" * 99]
)
async def test_unreadable_exif_is_as_good_as_none(images: PillowImages, exif: bytes) -> None:
    assert await images.probe(jpeg(64, 48, exif=exif)) == ImageInfo("jpeg", 64, 48)


@pytest.mark.parametrize(
    "data",
    [b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"<html>", b"\x89PNG", b"RIFF\0\0\0\0WAVE"]
    + [encoded(picture(), kind) for kind in ("gif", "bmp", "tiff", "avif")],
)
async def test_other_formats_are_refused_with_the_ones_that_are_taken(images: PillowImages, data: bytes) -> None:
    with pytest.raises(BadImage) as caught:
        await images.probe(data)

    assert "not a PNG, JPEG or WebP image" in caught.value.text.en
    assert "不是 PNG、JPEG 或 WebP 图片" in caught.value.text.zh


async def test_an_empty_file_is_refused(images: PillowImages) -> None:
    with pytest.raises(BadImage, match="empty"):
        await images.probe(b"")


async def test_a_file_of_more_than_30_mb_is_refused_with_its_size(images: PillowImages) -> None:
    data = png() + bytes(MAX_BYTES)

    with pytest.raises(BadImage, match=r"30\.1 MB; at most 30 MB") as caught:
        await images.probe(data)
    assert "最大允许 30 MB" in caught.value.text.zh


def test_a_file_of_exactly_the_longest_length_is_taken() -> None:
    check_bytes(bytes(10), max_bytes=10)
    with pytest.raises(BadImage):
        check_bytes(bytes(11), max_bytes=10)


def test_a_picture_of_the_most_pixels_is_taken() -> None:
    assert probe(hollow_png(10_000, MAX_PIXELS // 10_000)) == ImageInfo("png", 10_000, MAX_PIXELS // 10_000)


@pytest.mark.parametrize(
    "data",
    [
        hollow_png(10_000, MAX_PIXELS // 10_000 + 1),
        hollow_png(65_535, 65_535),
        hollow_png(0xFFFFFFFF, 0xFFFFFFFF),
        jpeg().replace(b"\x00\x30\x00\x40", b"\xff\xff\xff\xff", 1),
        b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff" * 6,
        b"RIFF\x16\0\0\0WEBPVP8L\x0a\0\0\0\x2f" + b"\xff" * 9,
    ],
)
async def test_a_picture_that_claims_too_many_pixels_is_refused_before_it_is_decoded(
    images: PillowImages, data: bytes
) -> None:
    for ask in (images.probe(data), images.deliverable(data, "png")):
        with pytest.raises(BadImage, match="at most 50 megapixels"):
            await ask


@pytest.mark.parametrize("kind", ["webp", "png"])
async def test_an_animation_is_refused_with_advice(images: PillowImages, kind: str) -> None:
    with pytest.raises(BadImage, match="animated"):
        await images.probe(animation(kind))


async def test_a_jpeg_with_a_second_picture_behind_it_is_a_still_image(images: PillowImages) -> None:
    data = encoded(picture(), "mpo", save_all=True, append_images=[picture()])

    assert await images.probe(data) == ImageInfo("jpeg", 64, 48)
    assert await images.deliverable(data, "jpeg") == (data, ImageInfo("jpeg", 64, 48))


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
async def test_a_truncated_image_is_found(images: PillowImages, sample: bytes, part: float) -> None:
    data = sample[: int(len(sample) * part)]

    for ask in (images.probe(data), images.deliverable(data, "png"), images.deliverable(data, "jpeg")):
        with pytest.raises(BadImage):
            await ask


async def test_pixels_that_end_too_early_are_found_before_delivery(images: PillowImages) -> None:
    data = hollow_png(1000, 1000)

    with pytest.raises(BadImage, match="damaged or incomplete"):
        await images.deliverable(data, "png")


async def test_a_flipped_bit_in_a_png_is_found_by_its_checksum(images: PillowImages) -> None:
    data = bytearray(png())
    data[len(data) // 2] ^= 1

    with pytest.raises(BadImage, match="damaged"):
        await images.probe(bytes(data))


@pytest.mark.parametrize(
    "data",
    [
        hollow_png(8, 8, *[png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(900_000)))] * 100),
        hollow_png(8, 8, *[png_chunk(b"tESt", b"")] * 60_000),
        b"\xff\xd8" + b"\xff\x00" * 100_000,
        b"\xff\xd8\xff\xe0\x00\x02" + b"\x00" * 100_000,
        b"\xff\xd8" + b"\xff" * 100_000,
    ],
    ids=["text that inflates", "countless chunks", "escaped bytes", "junk", "fill bytes"],
)
async def test_a_file_made_to_keep_a_reader_busy_is_refused(images: PillowImages, data: bytes) -> None:
    with pytest.raises(BadImage, match="damaged"):
        await images.probe(data)


@pytest.mark.parametrize(("data", "kind"), [(png(mode="RGBA"), "png"), (png(mode="I;16"), "png"), (jpeg(), "jpeg")])
async def test_bytes_of_the_asked_format_are_untouched(
    images: PillowImages, data: bytes, kind: Literal["png", "jpeg"]
) -> None:
    same, info = await images.deliverable(data, kind)

    assert same is data
    assert info == ImageInfo(kind, 64, 48)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "I;16"])
async def test_a_png_of_any_mode_becomes_a_jpeg_that_looks_the_same(images: PillowImages, mode: str) -> None:
    source = png(mode=mode)

    data, info = await images.deliverable(source, "jpeg")

    assert info == ImageInfo("jpeg", 64, 48) == probe(data)
    original, result = decoded(source), decoded(data)
    if mode == "I;16":
        original = picture(mode="L")
    seen = Image.new("RGBA", original.size, "white")
    seen.alpha_composite(original.convert("RGBA"))
    far = 90 if mode in {"1", "P"} else 12  # dithering does not survive JPEG pixel by pixel
    for at in ((2, 2), (60, 2), (32, 24), (2, 45), (60, 45)):
        assert _distance(seen.convert("RGB"), result.convert("RGB"), at) <= far


async def test_a_sixteen_bit_png_is_scaled_not_clipped(images: PillowImages) -> None:
    grey = Image.new("I;16", (8, 8), 0x8080)

    data, _ = await images.deliverable(encoded(grey, "png"), "jpeg")

    assert decoded(data).getpixel((4, 4)) == 128


async def test_transparent_pixels_become_white_in_a_jpeg(images: PillowImages) -> None:
    data, _ = await images.deliverable(encoded(Image.new("RGBA", (16, 16), (255, 0, 0, 0)), "png"), "jpeg")

    assert decoded(data).getpixel((8, 8)) == (255, 255, 255)


async def test_one_colour_marked_transparent_becomes_white_in_a_jpeg(images: PillowImages) -> None:
    source = encoded(Image.new("RGB", (16, 16), (255, 0, 0)), "png", transparency=(255, 0, 0))

    data, _ = await images.deliverable(source, "jpeg")

    assert decoded(data).getpixel((8, 8)) == (255, 255, 255)


async def test_a_jpeg_keeps_colour_at_full_resolution(images: PillowImages) -> None:
    data, _ = await images.deliverable(png(), "jpeg")

    image = Image.open(BytesIO(data))
    assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3  # type: ignore[attr-defined]  # JpegImageFile has it


@pytest.mark.parametrize(("source", "kind"), [(webp(mode="RGBA"), "RGBA"), (jpeg(mode="L"), "L"), (jpeg(), "RGB")])
async def test_other_formats_become_a_png_of_the_same_pixels(images: PillowImages, source: bytes, kind: str) -> None:
    data, info = await images.deliverable(source, "png")

    assert info == ImageInfo("png", 64, 48)
    assert decoded(data).mode == kind
    assert decoded(data).tobytes() == decoded(source).tobytes()


@pytest.mark.parametrize(
    ("source", "to"),
    [
        (png(icc_profile=SRGB_PROFILE), "jpeg"),
        (jpeg(icc_profile=SRGB_PROFILE), "png"),
        (webp(icc_profile=SRGB_PROFILE), "png"),
    ],
)
async def test_the_colour_profile_survives_a_change_of_format(
    images: PillowImages, source: bytes, to: Literal["png", "jpeg"]
) -> None:
    data, _ = await images.deliverable(source, to)

    assert decoded(data).info["icc_profile"] == SRGB_PROFILE


async def test_a_profile_for_ink_is_not_put_on_pixels_of_light(images: PillowImages) -> None:
    data, _ = await images.deliverable(jpeg(mode="CMYK", icc_profile=SRGB_PROFILE), "png")

    assert decoded(data).mode == "RGB"
    assert "icc_profile" not in decoded(data).info


@pytest.mark.parametrize("turned", range(1, 9))
async def test_a_picture_that_is_written_anew_stands_upright(images: PillowImages, turned: int) -> None:
    source = encoded(picture(), "webp", lossless=True, exif=exif_orientation(turned))

    data, info = await images.deliverable(source, "png")

    upright = ImageOps.exif_transpose(decoded(source))
    result = decoded(data)
    assert (info.width, info.height) == result.size == upright.size
    assert result.tobytes() == upright.tobytes()
    assert not result.getexif()


async def test_the_event_loop_goes_on_while_pixels_are_worked_on(images: PillowImages) -> None:
    data = png(1500, 1500)
    turns = 0
    work = asyncio.create_task(images.deliverable(data, "jpeg"))
    while not work.done():
        turns += 1
        await asyncio.sleep(0)

    assert (await work)[1] == ImageInfo("jpeg", 1500, 1500)
    assert turns > 3


FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _answers_or_refuses(data: bytes) -> None:
    """Only BadImage, or an answer: with warnings as they are in production, which no reader may see."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        images = PillowImages(threads=1)

        async def ask() -> None:
            for question in (images.probe(data), images.deliverable(data, "png"), images.deliverable(data, "jpeg")):
                with suppress(BadImage):
                    assert await question

        asyncio.run(ask())
        images.close()
    assert not seen


@FUZZ
@given(
    st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\x20\0\0\0WEBPVP8 "]), st.binary(max_size=400)
)
@example(b"\xff\xd8\xff", b"\xe1\x00\x10Exif\0\0MM\0*\0\0\0\x08\xff\xff")
def test_no_bytes_break_the_reader(start: bytes, rest: bytes) -> None:
    _answers_or_refuses(start + rest)


@FUZZ
@given(st.sampled_from(SAMPLES), st.floats(0, 1), st.binary(max_size=8))
def test_no_cut_breaks_the_reader(sample: bytes, part: float, tail: bytes) -> None:
    _answers_or_refuses(sample[: int(len(sample) * part)] + tail)


@FUZZ
@given(st.sampled_from(SAMPLES), st.lists(st.tuples(st.floats(0, 0.999), st.integers(1, 255)), min_size=1, max_size=6))
def test_no_flipped_bits_break_the_reader(sample: bytes, flips: list[tuple[float, int]]) -> None:
    data = bytearray(sample)
    for place, mask in flips:
        data[int(place * len(data))] ^= mask
    _answers_or_refuses(bytes(data))


@FUZZ
@given(st.sampled_from(["png", "jpeg", "webp"]), st.binary(max_size=200))
def test_no_exif_breaks_the_reader(kind: str, exif: bytes) -> None:
    _answers_or_refuses(encoded(picture(8, 8), kind, exif=b"Exif\0\0" + exif))


def _distance(one: Image.Image, other: Image.Image, at: tuple[int, int]) -> int:
    first, second = one.getpixel(at), other.getpixel(at)
    assert isinstance(first, tuple)
    assert isinstance(second, tuple)
    return max(abs(int(a) - int(b)) for a, b in zip(first, second, strict=True))
