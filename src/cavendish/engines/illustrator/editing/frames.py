"""What goes around and onto a finished picture: frames, a caption, and several pictures laid into one."""

import itertools
import math
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
import pylopdf_fonts_zh_cn as fonts
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from cavendish.engines.illustrator.editing.canvas import covering
from cavendish.engines.illustrator.editing.pixels import Pixels, blurred


class Cell(msgspec.Struct, frozen=True):
    """A place in a collage, in pixels."""

    left: int
    top: int
    width: int
    height: int


def cells(ratios: Sequence[float], width: int, height: int) -> list[Cell]:
    """Rows of pictures with equal gutters, cut so that as little as possible of each has to be cropped.

    `ratios` are width / height of the pictures, in order; all ways to break them into rows are tried.
    """
    gutter = max(2, round(min(width, height) * 0.014))
    best: tuple[float, list[list[float]]] = (math.inf, [list(ratios)])
    for rows in _broken(list(ratios)):
        free = sum((width - gutter * (len(row) + 1)) / sum(row) for row in rows)
        crop = abs(math.log((height - gutter * (len(rows) + 1)) / free))
        uneven = max(sum(row) for row in rows) / min(sum(row) for row in rows)
        best = min(best, (crop + 0.12 * math.log(uneven), rows), key=lambda one: one[0])
    rows = best[1]
    tall = [(width - gutter * (len(row) + 1)) / sum(row) for row in rows]
    stretch = (height - gutter * (len(rows) + 1)) / sum(tall)
    found: list[Cell] = []
    top = float(gutter)
    for number, row in enumerate(rows):
        bottom = height - gutter if number == len(rows) - 1 else top + tall[number] * stretch
        left = float(gutter)
        for place, ratio in enumerate(row):
            right = width - gutter if place == len(row) - 1 else left + ratio * tall[number]
            found.append(Cell(round(left), round(top), round(right) - round(left), round(bottom) - round(top)))
            left = right + gutter
        top = bottom + gutter
    return found


def _broken(items: list[float]) -> Iterator[list[list[float]]]:
    for cuts in itertools.product((False, True), repeat=len(items) - 1):
        rows = [[items[0]]]
        for item, cut in zip(items[1:], cuts, strict=True):
            if cut:
                rows.append([item])
            else:
                rows[-1].append(item)
        yield rows


def collage(pictures: Sequence[Pixels], places: Sequence[Cell], width: int, height: int, paper: str) -> Pixels:
    """The pictures in their cells; each fills its cell, cropped where it must be, never stretched."""
    sheet = np.full((height, width, 3), [int(paper[i : i + 2], 16) for i in (1, 3, 5)], np.uint8)
    for picture, cell in zip(pictures, places, strict=True):
        part = covering(picture, cell.width, cell.height)
        sheet[cell.top : cell.top + cell.height, cell.left : cell.left + cell.width] = part
    return sheet


def inside(kind: str, width: int, height: int) -> Cell:
    """Where the picture itself is in a frame of this kind."""
    least = min(width, height)
    if kind == "polaroid":
        card = round(least * 0.86), round(height * 0.88 if height < width else min(height * 0.88, least * 1.1))
        edge = round(least * 0.05)
        return Cell(0, 0, card[0] - 2 * edge, card[1] - edge - round(least * 0.17))
    edge = round(least * (0.05 if kind == "border" else 0.105))
    return Cell(edge, edge, width - 2 * edge, height - 2 * edge)


def framed(picture: Pixels, kind: str, color: str | None, caption: str | None, width: int, height: int) -> Pixels:
    """`picture`, which has the size of `inside`, in its frame; a polaroid carries the caption on its card."""
    cell = inside(kind, width, height)
    if kind == "polaroid":
        return _polaroid(picture, cell, caption, width, height)
    if kind == "border":
        sheet = Image.new("RGB", (width, height), color or "#ffffff")
    else:
        sheet = Image.new("RGB", (width, height), "#f7f3ea")
        wood = max(3, round(min(width, height) * 0.036))
        _wooden(sheet, color or "#5a3d28", wood)
        line = ImageDraw.Draw(sheet)
        thin = max(1, round(min(width, height) * 0.003))
        line.rectangle((cell.left - thin, cell.top - thin, cell.left + cell.width + thin - 1,
                        cell.top + cell.height + thin - 1), outline="#cfc8ba", width=thin)  # fmt: skip
    sheet.paste(Image.fromarray(picture), (cell.left, cell.top))
    return np.asarray(sheet)


def _wooden(sheet: Image.Image, color: str, wide: int) -> None:
    """Four mitred bars, lit from the upper left, with a shadow on the mat."""
    width, height = sheet.size
    shade = Image.new("L", (max(8, width // 4), max(8, height // 4)), 0)
    inner = (wide // 4, wide // 4, (width - wide) // 4, (height - wide) // 4)
    ImageDraw.Draw(shade).rectangle(inner, outline=150, width=max(1, wide // 10))
    sheet.paste("#6b6254", (0, 0), shade.filter(ImageFilter.GaussianBlur(max(1, wide / 9))).resize(sheet.size))
    draw = ImageDraw.Draw(sheet)
    base = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)], np.float32)
    corners = (0, 0), (width, 0), (width, height), (0, height)
    within = (wide, wide), (width - wide, wide), (width - wide, height - wide), (wide, height - wide)
    for side, light in enumerate((1.22, 0.86, 0.7, 1.06)):
        after = (side + 1) % 4
        tone = tuple(int(v) for v in np.clip(base * light, 0, 255))
        draw.polygon((corners[side], corners[after], within[after], within[side]), fill=tone)
    bright = tuple(int(v) for v in np.clip(base * 1.5 + 20, 0, 255))
    draw.rectangle((wide - 1, wide - 1, width - wide, height - wide), outline=bright, width=max(1, wide // 12))


def _polaroid(picture: Pixels, cell: Cell, caption: str | None, width: int, height: int) -> Pixels:
    least = min(width, height)
    edge, foot = round(least * 0.05), round(least * 0.17)
    card = Image.new("RGB", (cell.width + 2 * edge, cell.height + edge + foot), "#fbfaf6")
    card.paste(Image.fromarray(picture), (edge, edge))
    if caption:
        _written(
            card, caption, (edge, edge + cell.height, card.width - edge, card.height), "#3a3a44", 0.4, shaded=False
        )
    turned = card.convert("RGBA").rotate(-2.5, Image.Resampling.BICUBIC, expand=True)
    under = blurred(covering(picture, width, height), max(width, height) / 36)
    table = Image.blend(Image.fromarray(under), Image.new("RGB", (width, height), "#efe9df"), 0.45)
    at = (width - turned.width) // 2, (height - turned.height) // 2
    shadow = Image.new("L", (width, height), 0)
    shadow.paste(turned.getchannel("A").point(lambda alpha: alpha * 110 // 255), (at[0], at[1] + least // 60))
    table.paste("#14121c", (0, 0), shadow.filter(ImageFilter.GaussianBlur(least / 60)))
    table.paste(turned, at, turned)
    return np.asarray(table)


def captioned(picture: Pixels, words: str) -> Pixels:
    """`picture` with `words` set in white on its lower edge, over a darkening that makes them readable."""
    sheet = Image.fromarray(picture)
    width, height = sheet.size
    band = round(height * 0.3)
    fall = Image.linear_gradient("L").point(lambda level: int((level / 255) ** 1.4 * 165)).resize((width, band))
    sheet.paste("#0b0a12", (0, height - band), fall)
    edge = round(width * 0.06)
    _written(sheet, words, (edge, height - round(height * 0.22), width - edge, height - round(height * 0.04)),
             "#ffffff", 0.62, shaded=True)  # fmt: skip
    return np.asarray(sheet)


def _written(
    sheet: Image.Image, words: str, box: tuple[int, int, int, int], color: str, share: float, *, shaded: bool
) -> None:
    """`words` in the middle of `box`, as large as fits in up to three lines."""
    draw = ImageDraw.Draw(sheet)
    width, height = box[2] - box[0], box[3] - box[1]
    size = max(10, round(height * share))
    while True:
        font = _font(size)
        lines = _lines(words, font, width)
        if size <= 10 or (len(lines) <= 3 and len(lines) * size * 1.25 <= height):
            break
        size = max(10, round(size * 0.9))
    top = box[1] + (height - len(lines) * size * 1.25) / 2
    for number, line in enumerate(lines):
        at = ((box[0] + box[2]) / 2, top + (number + 0.5) * size * 1.25)
        if shaded:
            draw.text((at[0], at[1] + size * 0.05), line, "#0b0a12", font, "mm")
        draw.text(at, line, color, font, "mm")


def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(fonts.sans_path()), size)


def _lines(words: str, font: ImageFont.FreeTypeFont, width: float) -> list[str]:
    """Broken at spaces, or between any two characters of Chinese."""
    lines = [""]
    for piece in _pieces(words):
        if lines[-1] and font.getlength((lines[-1] + piece).rstrip()) > width:
            lines.append("")
        lines[-1] += piece.lstrip() if not lines[-1] else piece
    return [line.strip() for line in lines if line.strip()] or [""]


def _pieces(words: str) -> Iterator[str]:
    piece = ""
    for character in " ".join(words.split()):
        if character == " " or ord(character) > 0x2E80:
            if character == " ":
                yield piece + " "
            else:
                if piece:
                    yield piece
                yield character
            piece = ""
        else:
            piece += character
    if piece:
        yield piece
