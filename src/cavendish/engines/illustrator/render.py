"""A composed picture to PNG: resvg rasterises each layer at the pixels it needs, the style paints, OpenCV packs."""

import functools
import io
from typing import Literal

import cv2
import msgspec
import numpy as np
import pylopdf_fonts_zh_cn as fonts
import resvg_py
from PIL import Image, ImageChops, ImageEnhance, ImageFilter, ImageOps

from cavendish.engines.illustrator.styles import Look, Pixels, looks, painted_over

FONT_FILES = (str(fonts.sans_path()), str(fonts.serif_path()))
"""The two fonts that every picture is set in, wherever it is drawn."""

_MOST_MEGAPIXELS = 1.7
"""How many pixels a style has to treat at most; brush and paper are soft, so the result is enlarged."""


class Layer(msgspec.Struct, frozen=True):
    """One layer as the inside of an SVG; rendered at `share` of the final pixels when it is soft enough."""

    kind: Literal["back", "middle", "subjects", "front", "over"]
    svg: str
    share: float = 1.0
    blur: float = 0.0
    """Softness as a share of the picture's shorter side."""


class Picture(msgspec.Struct, frozen=True):
    """Layers from back to front in units of `width` x `height`, of which the shorter is 1000."""

    layers: tuple[Layer, ...]
    width: float
    height: float
    style: str | None = None
    lively: float = 1.0
    """How strong colours are; 1 as drawn."""
    vignette: float = 0.35
    """How much darker the corners are, 0-1."""
    over: str = ""
    """What is laid over the picture when its style has been painted."""


def render(picture: Picture, pixels: tuple[int, int]) -> bytes:
    """`picture` as an RGB PNG of exactly `pixels` (width, height)."""
    cv2.setNumThreads(1)  # each drawing process has one core
    look = looks().get(picture.style or "")
    image = _finished(_flat(picture, pixels), picture) if look is None else _styled(picture, look, pixels)
    if picture.over:
        over = rasterised(Layer("over", picture.over), picture, pixels)
        image.paste(over, (0, 0), over)
    return encode(image)


def encode(image: Image.Image) -> bytes:
    """PNG bytes, packed quickly: half of the time of Pillow's own packing, at about the same size."""
    packing = (cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP)
    rows = np.frombuffer(image.tobytes("raw", "BGR"), np.uint8)  # one copy: a 4k picture has 50 MB
    return cv2.imencode(".png", rows.reshape(image.height, image.width, 3), packing)[1].tobytes()


def _styled(picture: Picture, look: Look, pixels: tuple[int, int]) -> Image.Image:
    """`picture` painted at as few pixels as its style bears, and enlarged: to squares, or softly."""
    cell = max(1, round(min(pixels) / look.cells)) if look.cells else 0
    if cell:
        small = (-(-pixels[0] // cell) * 3, -(-pixels[1] // cell) * 3)
        sharp = tuple(msgspec.structs.replace(layer, share=1.0) for layer in picture.layers)
        picture = msgspec.structs.replace(picture, layers=sharp)
    else:
        area = pixels[0] * pixels[1] / 1e6
        share = min(1.0, (min(_MOST_MEGAPIXELS, max(look.megapixels, area * 0.38)) / area) ** 0.5)
        small = (round(pixels[0] * share), round(pixels[1] * share))
    image = _finished(_flat(picture, small), msgspec.structs.replace(picture, vignette=0.0))
    mask = functools.partial(_mask, picture, small)
    done = Image.fromarray(painted_over(picture.style or "", np.asarray(image), mask))
    if cell:
        done = done.resize((done.width * cell, done.height * cell), Image.Resampling.NEAREST)
        return done.crop((0, 0, *pixels))
    return done if done.size == pixels else done.resize(pixels, Image.Resampling.BICUBIC)


def _flat(picture: Picture, pixels: tuple[int, int]) -> Image.Image:
    """The layers over each other at `pixels`; sharp ones that lie on each other are rasterised as one."""
    joined: list[Layer] = []
    for layer in picture.layers:
        if joined and _sharp(layer) and _sharp(joined[-1]):
            joined[-1] = msgspec.structs.replace(layer, svg=joined[-1].svg + layer.svg)
        elif layer.svg or not joined:
            joined.append(layer)
    canvas = rasterised(joined[0], picture, pixels).convert("RGB")
    for layer in joined[1:]:
        drawn = rasterised(layer, picture, pixels)
        canvas.paste(drawn, (0, 0), drawn)
    return canvas


def _sharp(layer: Layer) -> bool:
    return layer.share == 1.0 and not layer.blur


def _mask(picture: Picture, pixels: tuple[int, int]) -> Pixels:
    """Where the subjects are, 0-255; drawn at half of `pixels`."""
    subjects = "".join(layer.svg for layer in picture.layers if layer.kind == "subjects")
    return np.asarray(rasterised(Layer("subjects", subjects, 0.5), picture, pixels).getchannel("A"))


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
