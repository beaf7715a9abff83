"""Layers to PNG: resvg rasterises each at the pixels it needs, Pillow lays them over each other and finishes."""

import io

import msgspec
import pylopdf_fonts_zh_cn as fonts
import resvg_py
from PIL import Image, ImageChops, ImageEnhance, ImageFilter, ImageOps

from cavendish.engines.illustrator.picture import Layer, Picture
from cavendish.engines.illustrator.styles import styled

FONT_FILES = (str(fonts.sans_path()), str(fonts.serif_path()))
"""The two fonts that every picture is set in, wherever it is drawn."""


def render(picture: Picture, pixels: tuple[int, int]) -> bytes:
    """`picture` as an RGB PNG of exactly `pixels` (width, height)."""
    return encode(styled(picture, pixels, flatten))


def encode(image: Image.Image) -> bytes:
    """PNG bytes, packed quickly at the cost of some size."""
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=2)
    return out.getvalue()


def flatten(picture: Picture, pixels: tuple[int, int]) -> tuple[Image.Image, Image.Image | None]:
    """The layers over each other at `pixels`, and the mask of the subjects where there are any."""
    canvas, mask = Image.new("RGB", pixels), None
    for number, layer in enumerate(_joined(picture.layers)):
        drawn = rasterised(layer, picture, pixels)
        if number == 0:
            canvas = drawn.convert("RGB")
        else:
            canvas.paste(drawn, (0, 0), drawn)
    subjects = next((layer for layer in picture.layers if layer.kind == "subjects" and layer.svg), None)
    if picture.style and subjects is not None:
        mask = rasterised(msgspec.structs.replace(subjects, share=0.5), picture, pixels).getchannel("A")
    return _finished(canvas, picture), mask


def _joined(layers: tuple[Layer, ...]) -> list[Layer]:
    """Sharp layers that lie on each other as one: every layer costs time for all of the picture's pixels."""
    found: list[Layer] = []
    for layer in layers:
        sharp = layer.share == 1.0 and not layer.blur
        if found and sharp and found[-1].share == 1.0 and not found[-1].blur:
            found[-1] = msgspec.structs.replace(found[-1], svg=found[-1].svg + layer.svg)
        elif layer.svg or not found:
            found.append(layer)
    return found


def rasterised(layer: Layer, picture: Picture, pixels: tuple[int, int]) -> Image.Image:
    """One layer at `pixels`, RGBA."""
    # What will be blurred by many pixels needs few: about three of them to the blur's radius.
    share = min(layer.share, 3 / (layer.blur * min(pixels))) if layer.blur else layer.share
    width, height = (max(1, round(side * share)) for side in pixels)
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
        f'<g transform="scale({width / picture.width:.6f} {height / picture.height:.6f})">{layer.svg}</g></svg>'
    )
    data = resvg_py.svg_to_bytes(
        svg_string=svg, skip_system_fonts=True, font_files=list(FONT_FILES) if "<text" in layer.svg else None
    )
    image: Image.Image = Image.open(io.BytesIO(data))
    radius = layer.blur * min(width, height)
    if radius > 0.4:
        soft = ImageFilter.BoxBlur(radius * 0.6)
        # Premultiplied: else what is transparent would bleed in as black.
        image = image.convert("RGBa").filter(soft).filter(soft).convert("RGBA")
    return image if image.size == pixels else image.resize(pixels, Image.Resampling.BICUBIC)


def _finished(image: Image.Image, picture: Picture) -> Image.Image:
    """Livelier or paler colours by the mood, and a slightly darker edge, by one multiplication with a small map."""
    if picture.lively != 1.0:
        image = ImageEnhance.Color(image).enhance(picture.lively)
    if not picture.vignette:
        return image
    fall = ImageOps.invert(Image.radial_gradient("L")).point(
        lambda level: 255 - int(max(0, 150 - level) / 150 * 120 * picture.vignette)
    )
    edge = fall.resize(image.size, Image.Resampling.BILINEAR)
    return ImageChops.multiply(image, Image.merge("RGB", (edge, edge, edge)))
