"""Input images made fit: turned, converted, shrunk; and left alone, byte for byte, where nothing is to be done."""

import random

import pytest
from PIL import Image

from cavendish.domain.errors import BadImage, EngineError
from cavendish.engines.gemini.inputs import VERTEX_IMAGE_BYTES, InputLimits, fitted
from cavendish.engines.gemini.request import body_of, encoded_length
from cavendish.images import prepare
from cavendish.images.limits import MAX_BYTES
from cavendish.images.service import PillowImages
from cavendish.ports import ImageFormat, ImageRequest, InputImage
from tests.imagery import SRGB_PROFILE, decoded, encoded, exif_orientation, jpeg, picture, png, webp

ALL: frozenset[ImageFormat] = frozenset({"png", "jpeg", "webp"})


@pytest.mark.parametrize("data", [png(), jpeg(), webp(), jpeg(exif=exif_orientation(1)), png(mode="RGBA")])
def test_what_stands_upright_keeps_its_bytes(data: bytes) -> None:
    same, info = prepare.upright(data)

    assert same is data
    assert (info.width, info.height) == (64, 48)


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
@pytest.mark.parametrize("value", range(2, 9))
def test_a_picture_is_turned_as_its_exif_says_and_keeps_format_and_profile(kind: ImageFormat, value: int) -> None:
    data = encoded(picture(), kind, exif=exif_orientation(value), icc_profile=SRGB_PROFILE)
    turned, info = prepare.upright(data)
    image = decoded(turned)
    expected = (48, 64) if value >= 5 else (64, 48)

    assert (info.format, info.width, info.height) == (kind, *expected)
    assert image.format == kind.upper()
    assert image.size == expected
    assert image.getexif().get(0x0112) is None
    assert image.info["icc_profile"] == SRGB_PROFILE


def test_turning_goes_the_right_way() -> None:
    lying = picture()
    turned, _ = prepare.upright(encoded(lying, "png", exif=exif_orientation(6)))

    assert decoded(turned).getpixel((0, 0)) == lying.getpixel((0, 47)), (
        "6: the lower left corner belongs to the upper left"
    )


@pytest.mark.parametrize("data", [b"", b"nothing", png()[:100], jpeg()[:200]])
def test_what_is_no_whole_image_is_refused(data: bytes) -> None:
    with pytest.raises(BadImage):
        prepare.upright(data)


def test_what_turning_made_longer_than_a_caller_may_send_is_still_made_fit() -> None:
    noise = Image.frombytes("L", (5700, 5700), random.Random(1).randbytes(5700 * 5700))
    turned = encoded(noise, "png", compress_level=0)
    assert len(turned) > MAX_BYTES
    fit = prepare.fitted(InputImage(turned, "png", 5700, 5700), ALL, VERTEX_IMAGE_BYTES)

    assert len(fit.data) <= VERTEX_IMAGE_BYTES
    assert decoded(fit.data).size == (fit.width, fit.height)


def test_an_image_that_fits_is_the_same_object() -> None:
    image = InputImage(png(), "png", 64, 48)

    assert prepare.fitted(image, ALL, len(image.data)) is image


def test_an_image_of_another_type_is_converted_and_keeps_its_pixels() -> None:
    made = prepare.fitted(InputImage(webp(), "webp", 64, 48), frozenset({"png", "jpeg"}), 1_000_000)

    assert (made.format, made.width, made.height) == ("jpeg", 64, 48)
    assert decoded(made.data).size == (64, 48)


def test_an_image_that_is_too_long_is_compressed_before_it_loses_pixels() -> None:
    large = encoded(_noise("RGB"), "png")
    made = prepare.fitted(InputImage(large, "png", 600, 400), ALL, len(large) - 1)

    assert (made.format, made.width, made.height) == ("jpeg", 600, 400)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_an_image_that_is_far_too_long_is_scaled_and_keeps_its_ratio_and_transparency(mode: str) -> None:
    large = encoded(_noise(mode), "png")
    made = prepare.fitted(InputImage(large, "png", 600, 400), ALL, len(large) // 10)
    image = decoded(made.data)

    assert len(made.data) <= len(large) // 10
    assert image.size == (made.width, made.height)
    assert image.width / image.height == pytest.approx(1.5, abs=0.02)
    assert image.width > 100
    assert ("A" in image.mode) == (mode == "RGBA")


def test_what_cannot_be_made_small_enough_is_refused() -> None:
    with pytest.raises(BadImage):
        prepare.fitted(InputImage(png(600, 400), "png", 600, 400), ALL, 200)


def test_small_images_leave_their_room_to_large_ones() -> None:
    mb = 1_000_000
    limits = InputLimits(request_bytes=20 * mb)

    assert limits.allowed([mb, 2 * mb, 3 * mb]) == [mb, 2 * mb, 3 * mb]
    small, *large = limits.allowed([mb, 30 * mb, 30 * mb])
    assert small == mb
    assert all(6 * mb < size < 7 * mb for size in large)
    assert sum(map(encoded_length, (small, *large))) < 20 * mb
    assert InputLimits(100 * mb, vertex=True).allowed([30 * mb]) == [VERTEX_IMAGE_BYTES]


async def test_a_request_that_is_too_large_is_made_to_fit_and_a_bad_image_is_named() -> None:
    large = encoded(_noise("RGB"), "png")
    small = InputImage(png(), "png", 64, 48)
    request = ImageRequest("t", "m", ("gemini-3-pro-image",), "x" * 10_000, "1:1", "1k", 1, 1, "png")
    request = _with(request, small, InputImage(large, "png", 600, 400))
    limits = InputLimits(request_bytes=400_000)
    images = PillowImages()

    fitting = await fitted(request, limits, images)
    assert fitting.images[0] is small
    assert body_of(fitting, "gemini-3-pro-image").length <= 400_000 < len(large)
    pieces = [piece async for piece in body_of(fitting, "gemini-3-pro-image").pieces()]
    assert sum(map(len, pieces)) == body_of(fitting, "gemini-3-pro-image").length
    with pytest.raises(EngineError, match="Input image 2 cannot be used") as caught:
        await fitted(_with(request, small, InputImage(large[:-5000], "png", 600, 400)), limits, images)
    assert caught.value.code == "bad_input_image"
    images.close()


def _with(request: ImageRequest, *images: InputImage) -> ImageRequest:
    import msgspec

    return msgspec.structs.replace(request, images=images)


def _noise(mode: str) -> Image.Image:
    grain = Image.effect_noise((600, 400), 60)
    color = Image.merge("RGB", (grain, grain.rotate(180), grain.transpose(Image.Transpose.FLIP_LEFT_RIGHT)))
    if mode == "RGBA":
        color.putalpha(Image.linear_gradient("L").resize((600, 400)))
    return color
