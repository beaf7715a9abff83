"""Whole pictures, at small sizes: the same again, different when asked differently, and never broken."""

import io
import xml.etree.ElementTree as ET

import msgspec
import pytest
from PIL import Image, ImageChops, ImageStat

from cavendish.engines.illustrator.arrange import arrange
from cavendish.engines.illustrator.chance import Chance
from cavendish.engines.illustrator.draw import draw, picture_of
from cavendish.engines.illustrator.reader import read
from cavendish.engines.illustrator.render import render
from cavendish.engines.illustrator.scene import Scene
from cavendish.engines.illustrator.stage import stage_for
from cavendish.engines.illustrator.vocabulary import vocabulary
from cavendish.ports import EngineImage, ImageRequest

RATIOS = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")


def request(prompt: str, width: int = 160, height: int = 160, seed: int | None = None) -> ImageRequest:
    return ImageRequest(
        task_id="t", model="m", upstream_models=(), prompt=prompt, aspect_ratio="1:1", resolution="1k",
        width=width, height=height, output_format="png", seed=seed,
    )  # fmt: skip


def png(prompt: str, width: int = 160, height: int = 160, seed: int | None = None) -> bytes:
    made = draw(request(prompt, width, height, seed))
    assert isinstance(made, EngineImage)
    return made.data


def image(prompt: str, width: int = 160, height: int = 160) -> Image.Image:
    return Image.open(io.BytesIO(png(prompt, width, height))).convert("RGB")


def test_the_same_request_gives_the_same_bytes() -> None:
    assert png("三只猫在海滩上") == png("三只猫在海滩上")


def test_another_seed_gives_another_picture() -> None:
    assert png("a cat in a forest", seed=1) != png("a cat in a forest", seed=2)


@pytest.mark.parametrize("word", ["dog", "rabbit", "horse", "robot"])
def test_one_other_word_gives_another_picture(word: str) -> None:
    assert png("a cat in a meadow") != png(f"a {word} in a meadow")


def test_the_4k_picture_is_the_1k_picture_with_more_pixels() -> None:
    small, large = image("a boat on the sea at dusk", 128, 128), image("a boat on the sea at dusk", 512, 512)
    difference = ImageStat.Stat(ImageChops.difference(small, large.resize(small.size, Image.Resampling.BOX)))
    assert max(difference.mean) < 8


@pytest.mark.parametrize(
    ("prompt", "size"),
    [("a cat", (1248, 832)), ("橘猫坐在窗台上看雨", (768, 1376)), ("a tweet", (1584, 672)), ("longing", (848, 1264))],
)
def test_pictures_have_exactly_the_asked_pixels(prompt: str, size: tuple[int, int]) -> None:
    small = (size[0] // 8, size[1] // 8)
    assert image(prompt, *small).size == small


@pytest.mark.parametrize("ratio", RATIOS)
def test_every_ratio_is_filled_to_its_corners(ratio: str) -> None:
    wide, tall = (int(part) for part in ratio.split(":"))
    width, height = round(160 * (wide / tall) ** 0.5), round(160 * (tall / wide) ** 0.5)
    found = image("a house on a hill", width, height)
    assert found.size == (width, height)
    corners = [found.getpixel((x, y)) for x in (0, width - 1) for y in (0, height - 1)]
    assert (0, 0, 0) not in corners


def share_of(found: Image.Image, strongest: int) -> float:
    """The share of pixels that are clearly of one of the three channels."""
    pixels = found.tobytes()
    count = 0
    for at in range(0, len(pixels), 3):
        values = list(pixels[at : at + 3])
        top = values.pop(strongest)
        count += top > 60 and top > 1.45 * max(values)
    return count / (found.width * found.height)


@pytest.mark.parametrize("subject", ["car", "apple", "cup"])
def test_color_words_change_what_is_seen(subject: str) -> None:
    plain = "on a white background"
    red, blue = image(f"a red {subject} {plain}"), image(f"a blue {subject} {plain}")
    assert share_of(red, 0) > share_of(blue, 0) + 0.04
    assert share_of(blue, 2) > share_of(red, 2) + 0.02


def test_night_is_darker_than_day_and_snow_brighter_than_a_forest() -> None:
    def light(prompt: str) -> float:
        return ImageStat.Stat(image(prompt).convert("L")).mean[0]

    assert light("a house at night") < light("a house at noon") - 50
    assert light("a rabbit on a snowfield") > light("a rabbit in a forest") + 15


@pytest.mark.parametrize("prompt", ["the weight of a promise", "宁静与和谐", "?!", "愤怒 chaos", "blue and gold"])
def test_a_prompt_that_names_nothing_becomes_an_abstract_composition(prompt: str) -> None:
    assert len(image(prompt).quantize(64).getcolors() or ()) > 8


HOSTILE = {
    "markup": '<svg onload="x"/> & ]]> <!-- "cat" \' </text><script>',
    "entities": '&lt;&#0;&quot; "<&>" 「<&"」 tweet',
    "controls": "cat\x00\x01\x1b[31m\x7f\u202e\ufeff dog \r\n\t poster",
    "surrogates": "cat \ud800 \udfff 推文",
    "astral": "\U0001f408\U0001f469\u200d\U0001f680 " * 50,
    "combining": "c" + "\u0301" * 500 + "at",
    "numbers": "999999999999999999999 cats, ①②③ -1 dogs",
    "one long word": "a" * 10_000,
    "one long sentence": ("an elaborate and never ending description, " * 300)[:10_000],
    "blank": " \u3000\n ",
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_hostile_prompts_still_give_a_picture(name: str) -> None:
    assert image(HOSTILE[name]).size == (160, 160)


def test_every_known_word_at_once_gives_a_bounded_picture() -> None:
    known = vocabulary()
    names = [name for row in known.subjects.values() for name in row.zh]
    names += [name for group in known.words.values() for word in group.values() for name in word.en]
    scene = read(" 十二只巨大的 ".join(names)[:10_000], known)
    picture = picture_of(scene, Chance("x"), (1024, 1024))
    for layer in picture.layers:
        assert len(layer.svg) < 3_000_000
        ET.fromstring(f"<svg>{layer.svg}</svg>")


@pytest.mark.parametrize("prompt", ['tweet by a cat "<b>&amp;"', '海报《<&"》', "a cat", "sorrow <&>"])
def test_what_is_written_in_a_picture_is_well_formed(prompt: str) -> None:
    for layer in picture_of(read(prompt, vocabulary()), Chance(prompt), (640, 480)).layers:
        ET.fromstring(f"<svg>{layer.svg}</svg>")


@pytest.mark.parametrize("place", sorted(vocabulary().words["places"]))
def test_every_place_is_drawn_by_day_and_by_night(place: str) -> None:
    name = vocabulary().words["places"][place].en[0]
    assert png(f"a cat, {name}", 96, 96) != png(f"a cat, {name}, at night", 96, 96)


ONE_WORD = (
    "dog", "rabbit", "horse", "panda", "elephant", "robot", "penguin", "castle",
    "lighthouse", "house", "tree", "cactus",
    "car", "boat", "bicycle", "apple", "child", "dragon", "snowman", "mushroom",
)  # fmt: skip


def test_twenty_prompts_that_differ_by_one_word_give_pictures_that_differ_by_that_thing() -> None:
    scenes = {word: read(f"a {word} in a meadow, at noon", vocabulary()) for word in ONE_WORD}
    assert [scene.actors[0].id for scene in scenes.values()] == list(ONE_WORD)
    # The same lots: what is not the thing itself stays as it is.
    found = {word: image_of(scene) for word, scene in scenes.items()}
    background = image_of(msgspec.structs.replace(next(iter(scenes.values())), actors=()))
    pictures = list(found.values())
    for index, one in enumerate(pictures):
        changed = share_changed(background, one)
        assert 0.02 < changed < 0.75
        for other in pictures[index + 1 :]:
            assert share_changed(one, other) > 0.02


def image_of(scene: Scene) -> Image.Image:
    data = render(picture_of(scene, Chance("same lots"), (160, 160)), (160, 160))
    return Image.open(io.BytesIO(data)).convert("RGB")


def share_changed(one: Image.Image, other: Image.Image) -> float:
    """The share of pixels that a viewer would call another colour."""
    histogram = ImageChops.difference(one, other).convert("L").histogram()
    return sum(histogram[18:]) / (one.width * one.height)


STYLES = sorted(vocabulary().words["styles"])


def test_every_style_is_visibly_its_own() -> None:
    names = [vocabulary().words["styles"][style].en[0] for style in STYLES]
    pictures = [image(f"a lighthouse by the sea, {name}") for name in names]
    plain = image("a lighthouse by the sea")
    for index, one in enumerate(pictures):
        assert share_changed(plain, one) > 0.08, STYLES[index]
        for number, other in enumerate(pictures[index + 1 :], index + 1):
            assert share_changed(one, other) > 0.08, (STYLES[index], STYLES[number])


def test_quoted_words_are_set_in_type() -> None:
    plain = read("海报，大海", vocabulary())
    titled = msgspec.structs.replace(plain, quotes=("夏天的海",))
    assert "夏天的海" in picture_of(titled, Chance("x"), (640, 480)).layers[-1].svg
    assert share_changed(image_of(plain), image_of(titled)) > 0.03


def test_what_is_not_wanted_is_not_in_the_picture() -> None:
    scene = read("a meadow without trees or flowers", vocabulary())
    stage = stage_for(scene, "meadow", Chance("x"), 1000, 1000)
    assert not {prop.name for prop in stage.props()} & {"tree", "flower"}


def test_whoever_looks_at_another_faces_it() -> None:
    for prompt in ("a cat looking at a dog", "a dog looking at a cat", "一只猫看着一匹马"):
        stage = stage_for(read(prompt, vocabulary()), "meadow", Chance(prompt), 1000, 1000)
        one, other = sorted(arrange(stage), key=lambda placed: stage.scene.actors.index(placed.actor))
        assert one.spot.mirrored == (other.spot.x > one.spot.x)


def test_the_nearer_of_two_overlaps_the_other() -> None:
    scene = read("a dog in front of a house", vocabulary())
    stage = stage_for(scene, "meadow", Chance("x"), 1000, 1000)
    order = [placed.actor.id for placed in arrange(stage)]
    assert order == ["house", "dog"]


@pytest.mark.parametrize("style", STYLES)
def test_every_keyword_at_once_in_every_style_stays_a_picture(style: str) -> None:
    known = vocabulary()
    names = [name for row in known.subjects.values() for name in row.zh]
    prompt = (known.words["styles"][style].zh[0] + " 十二只巨大的 ".join(names))[:10_000]
    assert image(prompt, 96, 64).size == (96, 64)


def test_the_window_of_the_guide_has_rain_outside_and_warmth_inside() -> None:
    found = image("一只橘猫坐在窗台上看雨,柔和的自然光,温馨的室内场景,专业摄影风格,浅景深", 240, 240)
    cat = ImageStat.Stat(found.crop((95, 130, 145, 190))).mean
    outside = ImageStat.Stat(found.crop((60, 20, 180, 60))).mean
    assert cat[0] > 1.4 * cat[2]
    assert outside[2] >= outside[0]
