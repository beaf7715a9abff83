"""Draw the gallery: every prompt of gallery.toml into one contact sheet and its pages in the docs.

    python scripts/gallery.py [--full DIRECTORY]

`--full` keeps every picture at its full size as well, for looking at.
"""

import argparse
import io
import tomllib
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from cavendish.engines.illustrator.draw import draw
from cavendish.engines.illustrator.render import FONT_FILES
from cavendish.ports import EngineImage, ImageRequest
from cavendish.wiring import load_catalog

ROOT = Path(__file__).resolve().parent.parent
SHEET = ROOT / "docs" / "images" / "gallery.webp"
COLUMNS, CELL, LINE = 6, 330, 46
PAGES = {
    "gallery.md": (
        "# Gallery",
        (
            "Sixty prompts as the illustrator draws them, not chosen among several: every style and ratio, both\n"
            "languages, the founding guide's two examples first. `make gallery` draws this page anew."
        ),
        "What each picture was asked for, line by line from the upper left:",
        ("prompt", "ratio"),
    ),
    "gallery.zh-CN.md": (
        "# 画廊",
        (
            "六十条提示词，插画引擎各画一次，没有挑选：涵盖所有风格、所有比例和两种语言，最前面是接口指南里的两个例子。\n"
            "`make gallery` 会重新绘制本页。"
        ),
        "每幅图对应的提示词，从左上角起逐行排列：",
        ("提示词", "比例"),
    ),
}


def picture(row: tuple[str, str]) -> bytes:
    """One prompt as the standard model would deliver it."""
    prompt, ratio = row
    width, height = load_catalog(None).find("google/nano-banana").size("1k", ratio)
    made = draw(ImageRequest(
        task_id="gallery", model="google/nano-banana", upstream_models=(), prompt=prompt, aspect_ratio=ratio,
        resolution="1k", width=width, height=height, output_format="png",
    ))  # fmt: skip
    assert isinstance(made, EngineImage)
    return made.data


def contact_sheet(pictures: list[bytes], rows: list[tuple[str, str]]) -> Image.Image:
    """All pictures in a grid, each whole, with the beginning of its prompt below."""
    lines = -(-len(pictures) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * CELL, lines * (CELL + LINE)), "#f6f3ec")
    pen, font = ImageDraw.Draw(sheet), ImageFont.truetype(FONT_FILES[0], 15)
    for number, (data, (prompt, _)) in enumerate(zip(pictures, rows, strict=True)):
        left, top = number % COLUMNS * CELL, number // COLUMNS * (CELL + LINE)
        image = Image.open(io.BytesIO(data)).convert("RGB")
        image.thumbnail((CELL - 16, CELL - 16), Image.Resampling.LANCZOS)
        sheet.paste(image, (left + (CELL - image.width) // 2, top + (CELL - image.height) // 2))
        text = prompt
        while pen.textlength(text, font) > CELL - 24:
            text = text.removesuffix("…")[:-1] + "…"
        pen.text((left + CELL / 2, top + CELL + 4), text, "#3a3630", font, anchor="ma")
    return sheet


def main() -> None:
    """Draw everything and write the sheet and both pages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--full", type=Path, help="also keep every picture at full size here")
    full: Path | None = parser.parse_args().full
    rows = [tuple(row) for row in tomllib.loads((ROOT / "scripts" / "gallery.toml").read_text("utf-8"))["pictures"]]
    with ProcessPoolExecutor(2) as pool:
        pictures = list(pool.map(picture, rows))
    if full:
        full.mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(pictures, 1):
            (full / f"{number:02}.png").write_bytes(data)
    contact_sheet(pictures, rows).save(SHEET, "WEBP", quality=64, method=6)
    for name, (title, text, before, head) in PAGES.items():
        table = "\n".join(f"| {number} | {prompt} | {ratio} |" for number, (prompt, ratio) in enumerate(rows, 1))
        page = f"{title}\n\n{text}\n\n![{title[2:]}](images/gallery.webp)\n\n{before}\n\n"
        page += f"| | {head[0]} | {head[1]} |\n|---|---|---|\n{table}\n"
        (ROOT / "docs" / name).write_text(page, "utf-8")


if __name__ == "__main__":
    main()
