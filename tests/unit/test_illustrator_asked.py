"""What the illustrator understands of a request to edit a picture, in Chinese and English."""

import pytest

from cavendish.engines.illustrator.editing.asked import asked
from cavendish.engines.illustrator.editing.notes import STEPS
from cavendish.engines.illustrator.editing.paint import BRUSHES


@pytest.mark.parametrize(
    "prompt", ["Make me a bobblehead", "变成摇头娃娃", "bobble head of this man", "做一个大头公仔"]
)
def test_a_bobblehead_is_understood(prompt: str) -> None:
    assert asked(prompt).bobblehead


@pytest.mark.parametrize(
    "prompt",
    ["将这张照片变成一个摇头娃娃:头部稍微放大,保持面部准确,身体卡通化。",
     "a bobblehead: keep the face accurate, make the body a cartoon"],
)  # fmt: skip
def test_the_cartoon_body_of_a_bobblehead_leaves_its_face_a_photograph(prompt: str) -> None:
    wish = asked(prompt)
    assert wish.bobblehead
    assert not wish.brushes


def test_what_a_background_is_replaced_with_is_one_wish() -> None:
    backdrop = asked("replace the background with a beach").backdrop
    assert backdrop is not None
    assert "beach" in backdrop.words


@pytest.mark.parametrize(
    ("english", "chinese", "name"),
    [
        ("make it a cartoon", "变成卡通", "cartoon"),
        ("pixel art please", "像素风", "pixel"),
        ("a pencil sketch", "素描", "sketch"),
        ("turn it into a watercolour", "变成水彩画", "watercolor"),
        ("as an oil painting", "油画风格", "oil"),
        ("ink wash painting", "水墨画", "ink"),
        ("black and white", "黑白照片", "mono"),
        ("sepia", "怀旧老照片", "sepia"),
    ],
)
def test_each_style_has_words_in_both_languages(english: str, chinese: str, name: str) -> None:
    for prompt in (english, chinese):
        (found,) = asked(prompt).brushes
        assert (found.name, found.scope) == (name, "whole")


@pytest.mark.parametrize(
    "prompt",
    ["pixel art background", "像素风背景", "把背景变成像素风", "pixelate everything, keep the person unchanged",
     "像素风，保持人物不变"],
)  # fmt: skip
def test_a_style_may_be_for_the_background_only(prompt: str) -> None:
    (found,) = asked(prompt).brushes
    assert (found.name, found.scope) == ("pixel", "background")


@pytest.mark.parametrize(
    ("prompt", "kind"),
    [
        ("blur the background", "blur"),
        ("背景虚化", "blur"),
        ("remove the background", "remove"),
        ("抠图", "remove"),
        ("去掉背景", "remove"),
        ("transparent background", "remove"),
        ("change the background to a beach", "replace"),
        ("背景换成雪山", "replace"),
        ("put him on the moon", "replace"),
        ("use the second image as background", "picture"),
    ],
)
def test_what_becomes_of_the_background_is_understood(prompt: str, kind: str) -> None:
    found = asked(prompt).backdrop
    assert found is not None
    assert found.kind == kind


@pytest.mark.parametrize(
    ("prompt", "tones", "weathers"),
    [
        ("brighter and warmer", ("brighter", "warmer"), ()),
        ("亮一点，冷色调", ("brighter", "cooler"), ()),
        ("more contrast, more vivid", ("contrast", "vivid"), ()),
        ("降低饱和度，降低对比度", ("muted", "less contrast"), ()),
        ("add snow", (), ("snow",)),
        ("加点雨，夕阳", (), ("rain", "sunset")),
        ("加雾", (), ("fog",)),
    ],
)
def test_light_and_weather_are_understood(prompt: str, tones: tuple[str, ...], weathers: tuple[str, ...]) -> None:
    found = asked(prompt)
    assert set(found.tones) == set(tones)
    assert found.weathers == weathers


def test_edits_in_one_prompt_are_all_found() -> None:
    wish = asked(
        "Turn it into a watercolour and add snow, blur the background, with a gold frame and the words “Hello, you”"
    )
    assert [brush.name for brush in wish.brushes] == ["watercolor"]
    assert wish.weathers == ("snow",)
    assert wish.backdrop is not None
    assert wish.backdrop.kind == "blur"
    assert (wish.frame, wish.caption) == ("frame", "Hello, you")


def test_words_in_quotes_are_a_caption_and_ask_for_nothing() -> None:
    wish = asked("写上「下雪了，像素」")
    assert wish.caption == "下雪了，像素"
    assert (wish.weathers, wish.brushes) == ((), ())


@pytest.mark.parametrize("prompt", ["add a cat", "加一只猫", "放一只狗在旁边"])
def test_something_to_add_is_left_to_the_drawer(prompt: str) -> None:
    assert len(asked(prompt).guests) == 1


@pytest.mark.parametrize("prompt", ["remove the car", "去掉左边的人"])
def test_things_to_remove_are_noticed_but_not_promised(prompt: str) -> None:
    wish = asked(prompt)
    assert wish.removal
    assert wish.empty


@pytest.mark.parametrize(("prompt", "chinese"), [("把它变好看", True), ("make it lovely", False), ("", False)])
def test_a_prompt_without_a_known_word_asks_for_nothing(prompt: str, chinese: bool) -> None:
    wish = asked(prompt)
    assert wish.empty
    assert wish.chinese == chinese


def test_every_style_light_and_weather_has_its_sentence_for_the_note() -> None:
    everything = asked(
        "brighter, darker, warmer, cooler, contrast, vivid, sharper, enhance, rain, snow, fog, sunset, night"
    )
    assert set(everything.tones) | set(everything.weathers) | set(BRUSHES) <= set(STEPS)
