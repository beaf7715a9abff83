"""Edited pictures, at small sizes: every operation does to the pixels what its name says."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from cavendish.domain.text import Text
from cavendish.engines.illustrator.draw import draw
from cavendish.engines.illustrator.editing.faces import faces
from cavendish.ports import EngineImage, ImageRequest, InputImage
from tests.imagery import exif_orientation
from tests.portraits import COAT, WALL, portrait

Array = NDArray[np.int32]


def sent(image: Image.Image, kind: str = "PNG", exif: bytes = b"") -> InputImage:
    out = io.BytesIO()
    image.save(out, kind, **({"exif": exif} if exif else {}))
    return InputImage(out.getvalue(), "jpeg" if kind == "JPEG" else "png", *image.size)


def edited(
    prompt: str, *images: InputImage, size: tuple[int, int] = (300, 360), jpeg: bool = False, seed: int = 1
) -> EngineImage:
    made = draw(
        ImageRequest(
            task_id="t", model="m", upstream_models=(), prompt=prompt, aspect_ratio="5:6", resolution="1k",
            width=size[0], height=size[1], output_format="jpeg" if jpeg else "png", images=images, seed=seed,
        )
    )  # fmt: skip
    assert isinstance(made, EngineImage)
    return made


def seen(made: EngineImage) -> Array:
    return np.asarray(Image.open(io.BytesIO(made.data)).convert("RGB"), np.int32)


def after(prompt: str, image: Image.Image, size: tuple[int, int] = (300, 360)) -> Array:
    return seen(edited(prompt, sent(image), size=size))


def away(one: Array, other: Array) -> float:
    return float(np.abs(one - other).mean())


PORTRAIT = portrait(300, 360)
PLAIN = np.asarray(PORTRAIT, np.int32)
FACE = (slice(100, 190), slice(115, 185))
CORNER = (slice(0, 50), slice(0, 60))


def rgb(color: str) -> Array:
    return np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)], np.int32)


@pytest.mark.parametrize("prompt", ["turn me into a bobblehead", "变成摇头娃娃"])
def test_a_bobblehead_has_a_larger_head_on_a_smaller_body(prompt: str) -> None:
    made = seen(edited(prompt, sent(portrait()), size=(400, 480)))
    before, now = faces(np.asarray(portrait())), faces(made.astype(np.uint8))
    assert len(now) == 1
    assert now[0].width > 1.25 * before[0].width

    def coat(picture: Array) -> int:
        return int((np.abs(picture - rgb(COAT)).sum(axis=-1) < 90).sum())

    assert coat(made) < 0.75 * coat(np.asarray(portrait(), np.int32))


def test_the_head_of_a_bobblehead_keeps_its_likeness_and_stays_sharp() -> None:
    source = portrait(600, 720)
    made = seen(edited("bobblehead", sent(source), size=(600, 720))).astype(np.uint8)
    before, now = faces(np.asarray(source))[0], faces(made)[0]

    def face_of(picture: Image.Image, x: float, y: float, side: float) -> Array:
        box = (round(x), round(y), round(x + side), round(y + side))
        return np.asarray(picture.crop(box).resize((48, 48), Image.Resampling.BOX), np.int32)

    old = face_of(source, before.x, before.y, before.width)
    new = face_of(Image.fromarray(made), now.x, now.y, now.width)
    assert away(old, new) < 26
    gray = made[round(now.y) : round(now.chin), round(now.x) : round(now.x + now.width)].mean(axis=-1)
    assert np.abs(np.diff(gray, axis=1)).max() > 60  # an edge as hard as before


def test_without_a_face_the_bobblehead_says_so() -> None:
    made = edited("bobblehead", sent(Image.linear_gradient("L").convert("RGB")))
    assert "no face was found" in (made.note or "")
    made = edited("摇头娃娃", sent(Image.linear_gradient("L").convert("RGB")))
    assert "没有找到人脸" in (made.note or "")


def test_no_face_is_found_where_there_is_none() -> None:
    noise = np.random.default_rng(1).integers(0, 255, (60, 80, 3), np.uint8)
    assert faces(np.asarray(Image.fromarray(noise).resize((320, 240)))) == []


def warmth(picture: Array) -> float:
    return float((picture[..., 0] - picture[..., 2]).mean())


STYLES: tuple[tuple[str, str, Callable[[Array], bool]], ...] = (
    ("cartoon", "卡通", lambda made: away(made, PLAIN) > 2),
    ("pixel art", "像素风", lambda made: len(np.unique(made.reshape(-1, 3), axis=0)) <= 28),
    ("pencil sketch", "素描", lambda made: float(np.ptp(made, axis=-1).mean()) < 14 and made.mean() > PLAIN.mean()),
    ("watercolour", "水彩", lambda made: away(made, PLAIN) > 5),
    ("oil painting", "油画", lambda made: away(made, PLAIN) > 4),
    ("ink wash", "水墨", lambda made: float(np.ptp(made, axis=-1).mean()) < 30),
    ("black and white", "黑白", lambda made: int(np.ptp(made, axis=-1).max()) == 0),
    ("sepia", "怀旧", lambda made: bool((np.diff(made, axis=-1) <= 1).all())),
    ("something lovely", "好看一点吧", lambda made: 1 < away(made, PLAIN) < 40),
)  # fmt: skip


@pytest.mark.parametrize("style", STYLES, ids=[style[0] for style in STYLES])
def test_each_style_is_seen_in_the_pixels_and_said_in_the_prompts_language(
    style: tuple[str, str, Callable[[Array], bool]],
) -> None:
    english, chinese, holds = style
    one, two = edited(english, sent(PORTRAIT)), edited(chinese, sent(PORTRAIT))
    assert holds(seen(one))
    assert one.data == two.data or english == "watercolour"
    assert (one.note or "").startswith("Edited by the illustrator: ")
    assert (two.note or "").startswith("由插画引擎编辑：")


@pytest.mark.parametrize("prompt", ["pixel art background", "背景变成像素风，人物不变"])
def test_a_style_for_the_background_leaves_the_face_as_it_was(prompt: str) -> None:
    made = after(prompt, PORTRAIT)
    assert away(made[FACE], PLAIN[FACE]) < 1
    whole = after("pixel art", PORTRAIT)
    assert away(whole[FACE], PLAIN[FACE]) > 5
    assert away(made[CORNER], whole[CORNER]) < 3


def test_a_removed_background_is_transparent_in_png_and_white_in_jpeg() -> None:
    clear = Image.open(io.BytesIO(edited("remove the background", sent(PORTRAIT)).data))
    assert clear.mode == "RGBA"
    alpha = np.asarray(clear.getchannel("A"))
    assert alpha[CORNER].max() < 10
    assert alpha[FACE].min() > 245
    white = edited("去掉背景", sent(PORTRAIT), jpeg=True)
    found = Image.open(io.BytesIO(white.data))
    assert found.format == "JPEG"
    assert np.asarray(found)[CORNER].min() > 245
    assert "JPEG" in (white.note or "")


@pytest.mark.parametrize("prompt", ["make the background red", "背景换成红色"])
def test_a_background_of_a_colour_has_that_colour_behind_the_same_face(prompt: str) -> None:
    made = after(prompt, PORTRAIT)
    corner = made[CORNER].reshape(-1, 3).mean(axis=0)
    assert corner[0] > corner[1] + 80
    assert away(made[FACE], PLAIN[FACE]) < 4


def test_a_gradient_runs_and_a_scene_is_drawn() -> None:
    run = after("背景换成从蓝色到粉色的渐变", PORTRAIT)
    assert np.abs(run[2, 2] - run[-2, -2]).sum() > 60
    made = edited("change the background to a beach", sent(PORTRAIT))
    assert "drawn scene" in (made.note or "")
    assert away(seen(made)[CORNER], PLAIN[CORNER]) > 20
    assert away(seen(made)[FACE], PLAIN[FACE]) < 4


def test_a_blurred_background_keeps_the_face_and_loses_its_lines() -> None:
    made = after("虚化背景", PORTRAIT)
    assert away(made[FACE], PLAIN[FACE]) < 2
    assert np.abs(np.diff(made[CORNER], axis=1)).max() < np.abs(np.diff(PLAIN[CORNER], axis=1)).max() / 2


def test_the_second_picture_can_become_the_background() -> None:
    behind = Image.new("RGB", (640, 480), "#d02030")
    made = seen(edited("use the second image as the background", sent(PORTRAIT), sent(behind)))
    assert np.abs(made[CORNER] - rgb("#d02030")).max() < 12
    assert away(made[FACE], PLAIN[FACE]) < 4


@pytest.mark.parametrize(
    ("english", "chinese", "holds"),
    [
        ("brighter", "提亮", lambda made: made.mean() > PLAIN.mean() + 8),
        ("darker", "调暗", lambda made: made.mean() < PLAIN.mean() - 8),
        ("warmer", "暖一点", lambda made: warmth(made) > warmth(PLAIN) + 8),
        ("cooler", "冷色调", lambda made: warmth(made) < warmth(PLAIN) - 8),
        ("more contrast", "提高对比度", lambda made: made.std() > PLAIN.std() + 2),
        ("more saturation", "更鲜艳", lambda made: np.ptp(made, axis=-1).mean() > np.ptp(PLAIN, axis=-1).mean() + 5),
        ("add snow", "下雪", lambda made: (made.min(axis=-1) > 238).mean() > (PLAIN.min(axis=-1) > 238).mean() + 0.003),
        ("add rain", "下雨", lambda made: made.mean() < PLAIN.mean()),
        ("add fog", "加雾", lambda made: made.std() < PLAIN.std() - 8),
        ("sunset light", "夕阳", lambda made: warmth(made) > warmth(PLAIN) + 15),
        ("at night", "变成夜晚", lambda made: made.mean() < PLAIN.mean() - 40),
    ],
)  # fmt: skip
def test_light_and_weather_change_the_pixels_as_they_are_called(
    english: str, chinese: str, holds: Callable[[Array], bool]
) -> None:
    assert holds(after(english, PORTRAIT))
    assert holds(after(chinese, PORTRAIT))


def test_edits_combine() -> None:
    made = edited("black and white, add snow", sent(PORTRAIT))
    assert int(np.ptp(seen(made), axis=-1).max()) == 0
    assert away(seen(made), after("black and white", PORTRAIT)) > 2
    assert "snow added; black and white" in (made.note or "")


def test_a_caption_is_set_at_the_lower_edge_and_nowhere_else() -> None:
    made = after("写上「生日快乐」", PORTRAIT)
    assert (made[-80:].min(axis=-1) > 240).sum() > 150
    assert away(made[:200], PLAIN[:200]) == 0


@pytest.mark.parametrize(
    ("prompt", "color"),
    [("add a white border", "#f4f1ea"), ("加黑色边框", "#33313a"), ("gold frame", "#d9a62e"), ("拍立得", None)],
)
def test_a_frame_goes_around_the_whole_picture(prompt: str, color: str | None) -> None:
    made = after(prompt, PORTRAIT)
    assert made.shape == PLAIN.shape
    assert away(made, PLAIN) > 3
    if color:
        edge = made[:, 2].mean(axis=0)
        assert np.abs(edge / max(1, edge.max()) - rgb(color) / rgb(color).max()).max() < 0.12


@pytest.mark.parametrize("count", range(2, 9))
def test_a_collage_shows_every_picture_and_distorts_none(count: int) -> None:
    colors = ("#d02020", "#20b040", "#2040d0", "#d0c020", "#9020b0", "#20b0b0", "#b06020", "#404040")[:count]
    images = []
    for number, color in enumerate(colors):
        image = Image.new("RGB", (240, 160) if number % 2 else (160, 200), color)
        ImageDraw.Draw(image).ellipse(
            (image.width / 2 - 30, image.height / 2 - 30, image.width / 2 + 30, image.height / 2 + 30), fill="#ffffff"
        )
        images.append(sent(image))
    made = seen(edited("拼图", *images, size=(400, 400)))
    for color in colors:
        there = np.abs(made - rgb(color)).sum(axis=-1) < 40
        assert there.mean() > 0.015
        rows, columns = np.flatnonzero(there.any(axis=1)), np.flatnonzero(there.any(axis=0))
        part = made[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].min(axis=-1) > 240
        part = part[4:-4, 4:-4]
        tall, wide = np.ptp(np.flatnonzero(part.any(axis=1))), np.ptp(np.flatnonzero(part.any(axis=0)))
        assert 0.85 < wide / tall < 1.18


@pytest.mark.parametrize("size", [(600, 260), (240, 480), (360, 300)])
def test_another_ratio_keeps_a_circle_a_circle_and_the_picture_whole(size: tuple[int, int]) -> None:
    image = Image.new("RGB", (300, 300), "#406080")
    ImageDraw.Draw(image).ellipse((50, 50, 250, 250), fill="#ff2020")
    made = edited("extend the canvas", sent(image), size=size)
    there = (seen(made)[..., 0] > 200) & (seen(made)[..., 1] < 90)
    middle = there[:, size[0] // 2 - 3 : size[0] // 2 + 3].mean(axis=1)
    row = there[size[1] // 2 - 3 : size[1] // 2 + 3].mean(axis=0)
    tall, wide = int((middle > 0.5).sum()), int((row > 0.5).sum())
    assert abs(tall - wide) <= 4
    assert tall >= 0.6 * min(size)
    assert "without distortion" in (made.note or "")


@pytest.mark.parametrize(("prompt", "word"), [("add a cat", "cat"), ("加一只猫", "猫")])
def test_a_drawn_subject_stands_in_the_lower_part_beside_the_face(prompt: str, word: str) -> None:
    made = edited(prompt, sent(PORTRAIT))
    difference = np.abs(seen(made) - PLAIN).sum(axis=-1) > 60
    assert difference[180:].mean() > 0.05
    assert not difference[FACE].any()
    assert word in (made.note or "")


def test_what_cannot_be_drawn_or_removed_is_said() -> None:
    assert "not among the subjects" in (edited("add a quxbaz", sent(PORTRAIT)).note or "")
    assert "not supported" in (edited("remove the left hand", sent(PORTRAIT)).note or "")


def test_a_photograph_that_lies_on_its_side_is_set_upright() -> None:
    lying = PORTRAIT.transpose(Image.Transpose.ROTATE_90)
    made = seen(edited("brighter", sent(lying, "JPEG", exif_orientation(6))))
    assert away(made, after("brighter", PORTRAIT)) < 6


def test_the_same_request_gives_the_same_bytes_and_another_seed_others() -> None:
    prompt = "bobblehead, add snow, 背景换成森林"
    one, two = edited(prompt, sent(PORTRAIT)), edited(prompt, sent(PORTRAIT))
    assert one.data == two.data
    assert edited(prompt, sent(PORTRAIT), seed=2).data != one.data


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (700, 2), (17, 13)])
@pytest.mark.parametrize(
    "prompt", ["bobblehead", "blur the background", "watercolour", "pixel art", "add a cat, snow", "extend"]
)
def test_odd_pictures_are_edited_too(prompt: str, size: tuple[int, int]) -> None:
    assert seen(edited(prompt, sent(Image.new("RGB", size, WALL)), size=(96, 64))).shape == (64, 96, 3)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_pictures_of_every_mode_are_edited(mode: str) -> None:
    image = (
        PORTRAIT.convert("L").convert("I").point(lambda v: v * 257).convert("I;16")
        if mode == "I;16"
        else PORTRAIT.convert(mode)
    )
    kind = "JPEG" if mode == "CMYK" else "PNG"
    assert seen(edited("warmer", sent(image, kind), size=(96, 64))).std() > 10


def test_bytes_that_are_no_picture_are_named_by_their_number() -> None:
    broken = InputImage(sent(PORTRAIT, "JPEG").data[:300], "jpeg", 300, 360)
    answer = draw(
        ImageRequest(
            task_id="t", model="m", upstream_models=(), prompt="collage", aspect_ratio="1:1", resolution="1k",
            width=64, height=64, output_format="png", images=(sent(PORTRAIT), broken),
        )
    )  # fmt: skip
    assert isinstance(answer, Text)
    assert "2" in answer.en
    assert "2" in answer.zh
