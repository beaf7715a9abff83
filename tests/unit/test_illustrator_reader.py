"""What the illustrator understands of a prompt, in Chinese and English."""

import pytest

from cavendish.engines.illustrator.reader import MAX_ACTORS, MAX_COUNT, read
from cavendish.engines.illustrator.scene import Scene
from cavendish.engines.illustrator.vocabulary import vocabulary


def scene_of(prompt: str) -> Scene:
    return read(prompt, vocabulary())


@pytest.mark.parametrize(
    ("zh", "en"),
    [
        ("三只猫在海滩上", "three cats on the beach"),
        ("夜晚街道上的一辆红色汽车", "a red car on a street at night"),
        ("日落时海上的一艘帆船", "a sailboat on the sea at sunset"),
        ("下雪天森林里的房子", "a house in a snowy forest"),
        ("一只蓝色的鸟在飞", "a blue bird flying"),
        ("秋天的一棵树", "a tree in autumn"),
        ("特写：一个苹果", "close-up of an apple"),
        ("沙漠里的机器人", "a robot in the desert"),
    ],
)
def test_the_same_words_in_both_languages_find_the_same_scene(zh: str, en: str) -> None:
    one, two = scene_of(zh), scene_of(en)
    facts = [
        ([(a.id, a.count, a.color) for a in s.actors], s.place, s.time, s.weather, s.season, s.composition)
        for s in (one, two)
    ]
    assert facts[0] == facts[1]
    assert one.actors


def test_the_guides_example_is_read_whole() -> None:
    scene = scene_of("一只橘猫坐在窗台上看雨,柔和的自然光,温馨的室内场景,专业摄影风格,浅景深")
    (cat,) = scene.actors
    assert (cat.id, cat.count, cat.color, cat.pose) == ("cat", 1, "orange", "sit")
    assert (scene.place, scene.weather, scene.style, scene.shallow) == ("window", "rain", "photo", True)


def test_the_first_example_of_the_guide_is_a_post_by_einstein() -> None:
    scene = scene_of("爱因斯坦刚刚完成相对论后发布的一条超写实风格的推文。")
    assert scene.layout == "post"
    assert [actor.id for actor in scene.actors] == ["einstein"]


@pytest.mark.parametrize(
    ("prompt", "absent"),
    [
        ("一张海报", "sea"),
        ("马上出发", "horse"),
        ("the concept of education", "cat"),
        ("a carpet of memories", "car"),
        ("岁月静好", "moon"),
        ("a hot dog", "dog"),
        ("生活的花费", "flower"),
    ],
)
def test_a_name_inside_a_longer_word_is_not_found(prompt: str, absent: str) -> None:
    scene = scene_of(prompt)
    assert absent not in {actor.id for actor in scene.actors} | {scene.place}


@pytest.mark.parametrize(
    ("prompt", "count"),
    [
        ("猫", 1),
        ("两只猫", 2),
        ("5只猫", 5),
        ("一群猫", 7),
        ("cats", 3),
        ("two cats", 2),
        ("many cats", 7),
        ("十二只猫", 12),
    ],
)
def test_numbers_are_read(prompt: str, count: int) -> None:
    assert scene_of(prompt).actors[0].count == count


def test_each_color_belongs_to_the_subject_it_stands_before() -> None:
    scene = scene_of("a red car beside a blue house")
    assert [(a.id, a.color) for a in scene.actors] == [("car", "red"), ("house", "blue")]
    scene = scene_of("黑色的狗和白猫")
    assert [(a.id, a.color) for a in scene.actors] == [("dog", "black"), ("cat", "white")]


@pytest.mark.parametrize(
    ("prompt", "kind", "first", "second"),
    [
        ("a cat on a table", "on", "cat", "table"),
        ("猫坐在椅子上", "on", "cat", "chair"),
        ("桌子上的苹果", "on", "apple", "table"),
        ("a dog under a tree", "under", "dog", "tree"),
        ("狗在树下睡觉", "under", "dog", "tree"),
        ("a woman riding a horse", "riding", "woman", "horse"),
        ("孩子拿着伞", "holding", "child", "umbrella"),
    ],
)
def test_relations_are_read(prompt: str, kind: str, first: str, second: str) -> None:
    scene = scene_of(prompt)
    found = {(r.kind, scene.actors[r.first].id, scene.actors[r.second].id) for r in scene.relations}
    assert (kind, first, second) in found


def test_quoted_words_are_recorded() -> None:
    assert scene_of('a poster that says "Hello World" 和《春天》').quotes == ("Hello World", "春天")


def test_nothing_known_is_an_empty_scene() -> None:
    assert scene_of("zxqv blorp, quantum bureaucracy").empty
    assert scene_of("\U0001f600\U0001f47e").empty


def test_a_prompt_of_every_known_word_stays_in_bounds() -> None:
    names = [name for row in vocabulary().subjects.values() for name in (*row.en, *row.zh)]
    scene = scene_of((" ninety 99 12 dozens of ".join(names) * 3)[:10_000])
    assert len(scene.actors) <= MAX_ACTORS
    assert all(1 <= actor.count <= MAX_COUNT for actor in scene.actors)
