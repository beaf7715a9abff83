"""Plates to PNG: resvg rasterises each at the pixels it needs, Pillow lays them over each other and finishes."""

import io
from pathlib import Path

import pylopdf_fonts_zh_cn as fonts
import resvg_py
from PIL import Image, ImageChops, ImageFilter, ImageOps

from cavendish.engines.illustrator.picture import Picture, Plate
from cavendish.engines.illustrator.treatments import styled


def render(picture: Picture, pixels: tuple[int, int]) -> bytes:
    """`picture` as an RGB PNG of exactly `pixels` (width, height)."""
    return encode(styled(finish(flatten(picture, pixels), picture), picture.style))


def encode(image: Image.Image) -> bytes:
    """PNG bytes; large pictures are packed faster at the cost of some size."""
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=6 if image.width * image.height < 3_000_000 else 3)
    return out.getvalue()


def flatten(picture: Picture, pixels: tuple[int, int]) -> Image.Image:
    """The plates over each other, at `pixels`."""
    canvas: Image.Image | None = None
    for plate in picture.plates:
        layer = _plate(plate, picture, pixels)
        if canvas is None:
            canvas = layer.convert("RGB")
        else:
            canvas.paste(layer, (0, 0), layer)
    return canvas or Image.new("RGB", pixels)


def _plate(plate: Plate, picture: Picture, pixels: tuple[int, int]) -> Image.Image:
    # What will be blurred by many pixels needs few: about three of them to the blur's radius.
    share = min(plate.share, 3 / (plate.blur * min(pixels))) if plate.blur else plate.share
    width, height = (max(1, round(side * share)) for side in pixels)
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
        f'<g transform="scale({width / picture.width:.6f} {height / picture.height:.6f})">{plate.svg}</g></svg>'
    )
    data = resvg_py.svg_to_bytes(
        svg_string=svg, skip_system_fonts=True, font_files=font_files() if "<text" in plate.svg else None
    )
    layer: Image.Image = Image.open(io.BytesIO(data))
    radius = plate.blur * min(width, height)
    if radius > 0.4:
        soft = ImageFilter.BoxBlur(radius * 0.6)
        # Premultiplied: else what is transparent would bleed in as black.
        layer = layer.convert("RGBa").filter(soft).filter(soft).convert("RGBA")
    return layer if layer.size == pixels else layer.resize(pixels, Image.Resampling.BICUBIC)


def font_files() -> list[str]:
    """The two fonts that every picture is set in, wherever it is drawn."""
    paths: tuple[Path, ...] = (fonts.sans_path(), fonts.serif_path())
    return [str(path) for path in paths]


def finish(image: Image.Image, picture: Picture) -> Image.Image:
    """Light from the upper left and a slightly darker edge, by one multiplication with a small map."""
    if not picture.vignette:
        return image
    fall = ImageOps.invert(Image.radial_gradient("L")).point(
        lambda level: 255 - int(max(0, 150 - level) / 150 * 120 * picture.vignette)
    )
    edge = fall.resize(image.size, Image.Resampling.BILINEAR)
    return ImageChops.multiply(image, Image.merge("RGB", (edge, edge, edge)))
