"""What the illustrator understands of a prompt, in Chinese and English."""

import msgspec
import pytest

from cavendish.engines.illustrator.reader import MAX_ACTORS, MAX_COUNT, read
from cavendish.engines.illustrator.scene import Scene
from cavendish.engines.illustrator.vocabulary import vocabulary


def scene_of(prompt: str) -> Scene:
    return read(prompt, vocabulary())


def relations_of(prompt: str) -> list[tuple[str, str, str]]:
    """(kind, first, second) of each relation."""
    scene = scene_of(prompt)
    return [(r.kind, scene.actors[r.first].id, scene.actors[r.second].id) for r in scene.relations]


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


@pytest.mark.parametrize(
    ("prompt", "actors"),
    [
        ("a polar bear family on the ice", [("polarbear", 3)]),
        ("a family of ducks", [("duck", 3)]),
        ("企鹅家族在雪地里", [("penguin", 3)]),
        ("幸福的一家人", [("family", 1)]),
        ("a doctor and a family", [("doctor", 1), ("family", 1)]),
    ],
)
def test_a_family_is_one_of_what_was_named_with_it(prompt: str, actors: list[tuple[str, int]]) -> None:
    assert [(actor.id, actor.count) for actor in scene_of(prompt).actors] == actors


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
    assert (kind, first, second) in relations_of(prompt)


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


@pytest.mark.parametrize(
    ("prompt", "subjects"),
    [
        ("花生和爆米花", []),
        ("一列火车开过车站", ["train"]),
        ("迷人的景色", []),
        ("槐树下的路人", ["tree", "man"]),
        ("流浪猫", ["cat"]),
        ("一条蓝色的巨龙飞过城堡", ["dragon", "castle"]),
        ("桌上的红苹果", ["table", "apple"]),
    ],
)
def test_chinese_words_end_where_the_dictionary_says(prompt: str, subjects: list[str]) -> None:
    found = [actor.id for actor in scene_of(prompt).actors]
    assert found == [subject for subject in subjects if subject in vocabulary().subjects]


@pytest.mark.parametrize(
    ("prompt", "absent", "place"),
    [
        ("a street without people or cars", {"man", "car"}, "street"),
        ("没有人和车的街道", {"man", "car"}, "street"),
        ("a meadow, no trees, with a dog", {"tree"}, "meadow"),
        ("没有云的草原", {"cloud"}, "meadow"),
        ("no red cars on the beach", {"car"}, "beach"),
    ],
)
def test_what_is_not_wanted_is_not_drawn(prompt: str, absent: set[str], place: str) -> None:
    scene = scene_of(prompt)
    assert scene.absent == absent
    assert scene.place == place
    assert not absent & {actor.id for actor in scene.actors}


@pytest.mark.parametrize(
    ("prompt", "kind", "first", "second"),
    [
        ("a cat looking at a fish", "watching", "cat", "fish"),
        ("一只猫看着一只鸟", "watching", "cat", "bird"),
        ("骑着白马的女人", "riding", "woman", "horse"),
        ("拿着红色雨伞的女人", "holding", "woman", "umbrella"),
        ("a woman in a red dress holding an umbrella", "holding", "woman", "umbrella"),
        ("a dog in front of a house", "front", "dog", "house"),
        ("白色的房子前面有一辆红色汽车", "front", "car", "house"),
        ("坐在椅子上的猫", "on", "cat", "chair"),
        ("a rabbit beside a tree", "beside", "rabbit", "tree"),
    ],
)
def test_more_relations_are_read(prompt: str, kind: str, first: str, second: str) -> None:
    assert (kind, first, second) in relations_of(prompt)


def test_two_of_a_kind_in_different_colors_are_two() -> None:
    for prompt in ("a black cat and a white cat", "黑猫和白猫"):
        assert [(a.id, a.color) for a in scene_of(prompt).actors] == [("cat", "black"), ("cat", "white")]


@pytest.mark.parametrize(
    ("prompt", "color"),
    [
        ("a cat that is black", "black"),
        ("一只戴红帽子的橘猫", "orange"),
        ("a red and white lighthouse", "red"),
        ("女孩穿着红裙子在海边", "red"),
        ("穿红裙子的女孩", "red"),
        ("a girl with a red dress and a blue bird", "red"),
    ],
)
def test_colors_are_bound_also_when_they_follow(prompt: str, color: str) -> None:
    assert scene_of(prompt).actors[0].color == color


@pytest.mark.parametrize(("prompt", "count"), [("15 cats", 12), ("十五只猫", 12), ("11只猫", 11), ("8K, a cat", 1)])
def test_numbers_in_digits_and_in_tens_are_read(prompt: str, count: int) -> None:
    assert scene_of(prompt).actors[0].count == count


GUIDE: dict[str, tuple[str, object]] = {
    "超写实": ("style", "photo"),
    "插画风格": ("style", "illustration"),
    "3D渲染": ("style", "render3d"),
    "特写": ("composition", "closeup"),
    "全景": ("composition", "panorama"),
    "俯视角度": ("composition", "top"),
    "浅景深": ("shallow", True),
    "柔和": ("mood", "calm"),
    "温馨": ("mood", "warm"),
    "窗台": ("place", "window"),
    "看雨": ("weather", "rain"),
    "推文": ("layout", "post"),
    "专业摄影风格": ("style", "photo"),
}
"""The guide's own keywords, and what each says."""


@pytest.mark.parametrize("word", sorted(GUIDE))
def test_the_guides_keywords_are_understood(word: str) -> None:
    field, value = GUIDE[word]
    assert getattr(scene_of(f"一只狗，{word}"), field) == value


@pytest.mark.parametrize("word", ["高清", "专业摄影", "8K分辨率", "masterpiece", "highly detailed", "4k resolution"])
def test_quality_words_change_nothing(word: str) -> None:
    plain, praised = scene_of("a dog on the beach"), scene_of(f"a dog on the beach, {word}")
    assert msgspec.structs.replace(praised, text="", chinese=False) == msgspec.structs.replace(plain, text="")


STYLES = {
    "photo": "超写实 photorealistic", "illustration": "插画 illustration", "render3d": "3D渲染 render",
    "watercolor": "水彩 watercolour", "oil": "油画 oil", "pixel": "像素 pixel", "sketch": "素描 pencil",
    "ink": "水墨 ink", "flat": "扁平 flat", "neon": "霓虹 cyberpunk", "lowpoly": "低多边形 low-poly",
    "sticker": "贴纸 sticker",
}  # fmt: skip


@pytest.mark.parametrize("style", sorted(STYLES))
def test_every_style_is_named_in_both_languages(style: str) -> None:
    assert scene_of(STYLES[style].split(" ", maxsplit=1)[0] + "，一只猫").style == style
    row = vocabulary().words["styles"][style]
    assert scene_of(f"a cat, {row.en[0]}").style == style


def test_quoted_words_are_type_and_not_subjects() -> None:
    scene = scene_of("海报《老人与海》，海上的一艘船")
    assert [actor.id for actor in scene.actors] == ["boat"]
    assert scene.quotes == ("老人与海",)


@pytest.mark.parametrize(
    ("prompt", "relations"),
    [
        ("a girl wearing a straw hat", [("wearing", "girl", "hat")]),
        ("三个戴墨镜的女孩", [("wearing", "girl", "glasses")]),
        ("一个人在公园长椅上看书", [("on", "man", "bench"), ("watching", "man", "book")]),
        ("小男孩坐在椅子上读书", [("on", "child", "chair"), ("holding", "child", "book")]),
        (
            "a man wearing sunglasses riding a motorcycle",
            [("wearing", "man", "glasses"), ("riding", "man", "motorcycle")],
        ),
    ],
)
def test_what_is_worn_read_or_ridden_belongs_to_the_person(prompt: str, relations: list[tuple[str, str, str]]) -> None:
    assert relations_of(prompt) == relations


def test_a_baby_is_a_subject_and_before_another_subject_a_size() -> None:
    assert [actor.id for actor in read("a baby", vocabulary()).actors] == ["baby"]
    (elephant,) = read("a baby elephant", vocabulary()).actors
    assert (elephant.id, elephant.scale) == ("elephant", 0.75)


def test_the_three_of_three_girls_in_sunglasses_are_girls() -> None:
    assert {actor.id: actor.count for actor in read("三个戴墨镜的女孩", vocabulary()).actors} == {
        "glasses": 1,
        "girl": 3,
    }


@pytest.mark.parametrize(
    ("prompt", "kind", "first", "second"),
    [
        ("爸爸开车去海边", "riding", "man", "car"),
        ("小女孩弹钢琴", "holding", "girl", "piano"),
        ("a man playing guitar", "holding", "man", "guitar"),
        ("a violinist on stage", "holding", "woman", "violin"),
        ("一位年轻女子喝咖啡", "holding", "woman", "cup"),
    ],
)
def test_what_is_driven_played_or_drunk_is_with_the_person(prompt: str, kind: str, first: str, second: str) -> None:
    assert relations_of(prompt) == [(kind, first, second)]


def test_two_who_do_the_same_both_do_it() -> None:
    assert [actor.pose for actor in read("a dog and a cat sleeping", vocabulary()).actors] == ["sleep", "sleep"]
    assert read("三只小猫在篮子里睡觉", vocabulary()).actors[0].pose == "sleep"


def test_a_number_that_was_said_is_known_from_one_that_was_not() -> None:
    assert read("two boys riding a horse", vocabulary()).actors[1].said
    assert not read("两个牛仔骑马", vocabulary()).actors[1].said
