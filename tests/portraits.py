"""A portrait for tests, painted here: a face that the cascades find, hair, a neck, a body, and a room behind."""

from PIL import Image, ImageDraw, ImageFilter

SKIN, HAIR, COAT, WALL = "#dca680", "#3a2618", "#2f5fa8", "#9fb89a"


def portrait(width: int = 400, height: int = 480, at: float = 0.5) -> Image.Image:
    """Somebody from the waist up, the head in the middle of the picture's upper half; `at` shares of the width."""
    scale = 4
    unit = height * scale / 480
    image = Image.new("RGB", (width * scale, height * scale), WALL)
    draw = ImageDraw.Draw(image)
    x = width * scale * at

    def box(left: float, top: float, right: float, bottom: float) -> tuple[float, float, float, float]:
        return x + left * unit, top * unit, x + right * unit, bottom * unit

    for line in range(0, width * scale, 40 * scale):  # a panelled wall
        draw.line((line, 0, line, height * scale), "#8ea88a", 5 * scale)
    draw.ellipse(box(-150, 300, 150, 700), COAT)
    draw.polygon([(x - 34 * unit, 300 * unit), (x + 34 * unit, 300 * unit), (x, 372 * unit)], "#f4f1ea")
    draw.rectangle(box(-30, 240, 30, 312), "#c08c68")
    draw.ellipse(box(-86, 70, 86, 262), HAIR)
    draw.ellipse(box(-70, 96, 70, 282), SKIN)
    draw.ellipse(box(-84, 170, -62, 214), SKIN)
    draw.ellipse(box(62, 170, 84, 214), SKIN)
    draw.chord(box(-72, 84, 72, 176), 180, 360, HAIR)
    shade = Image.new("L", image.size, 0)
    under = ImageDraw.Draw(shade)
    for side in (-1, 1):
        a, b = sorted((side * 12, side * 52))
        under.ellipse(box(a, 148, b, 190), 120)
        a, b = sorted((side * 44, side * 72))
        under.ellipse(box(a, 150, b, 280), 70)
    under.polygon([(x - 4 * unit, 165 * unit), (x - 18 * unit, 216 * unit), (x + 18 * unit, 216 * unit)], 46)
    under.ellipse(box(-20, 208, 20, 222), 90)
    under.ellipse(box(-28, 252, 28, 266), 70)
    image.paste("#8a5438", (0, 0), shade.filter(ImageFilter.GaussianBlur(7 * unit)))
    draw = ImageDraw.Draw(image)
    for side in (-1, 1):
        a, b = sorted((side * 16, side * 50))
        draw.rounded_rectangle(box(a, 148, b, 156), 4 * unit, HAIR)
        draw.ellipse(box(a + 2, 164, b - 2, 182), "#f6efe8")
        draw.ellipse(box((a + b) / 2 - 8, 164, (a + b) / 2 + 8, 181), "#2b1c14")
        draw.line(box(a + 1, 166, b - 1, 166), "#4a2e20", round(3 * unit))
    draw.ellipse(box(-28, 228, 28, 252), "#a8453f")
    draw.line(box(-26, 239, 26, 239), "#5e2522", round(4 * unit))
    return image.resize((width, height), Image.Resampling.LANCZOS)
