"""Prompt help: what it finds, what it advises, what it adds, and what it leaves alone."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cavendish.domain.errors import Misconfigured
from cavendish.domain.inputs import MAX_PROMPT_CHARS
from cavendish.domain.prompt_reading import read_prompt
from cavendish.domain.prompt_rules import Addition, build_rules
from cavendish.domain.prompts import Advice, advise
from cavendish.prompt_rules import prompt_rules

RULES = prompt_rules()
GUIDES_OWN = "一只橘猫坐在窗台上看雨，柔和的自然光，温馨的室内场景，专业摄影风格，浅景深"
CREATES = (
    GUIDES_OWN,
    "一只橘猫坐在窗台上看雨",
    "爱因斯坦刚刚完成相对论后发布的一条超写实风格的推文。",
    "将军骑马",
    "把手特写",
    "给我画一只猫",
    "变形金刚站在城市中",
    "show jumping horse",
    "Put a cat on the moon",
    "turn of the century street",
    "旋转木马上的女孩",
    "模糊的背影走在雨中",
    "无人机航拍的雪山",
    "赛博朋克风格的城市夜景，霓虹灯，俯视角度",
    "极简风格的咖啡馆标志",
    "像素风格的骑士",
    "一隻貓在窗臺上看雨，水彩畫風格",
    "深夜的图书馆",
    "海底的珊瑚礁。",
    "a red apple",
    "an orange cat on a windowsill, watching the rain",
    "close-up photo of a red fox in the snow",
    "A watercolor painting of a lighthouse at dusk",
    "A city street at midnight.",
    "a logo for a coffee shop",
    'A poster that says "soft light, 8K close-up"',
    "a cat, not photorealistic",
    "a dog without a blurred background",
    "pixel art of a knight",
    "Crop circles in a wheat field",
    "flip flops on a beach",
    "an astronaut riding a horse",
    "soft light, 8K",
    "Two lines.\nA second one!",
    "polaroid of a family picnic",
    "a minimalist poster",
    "ends with a comma,",
    "what if rain fell upwards?",
    '12" pizza on a wooden table',
    "ネコが窓辺に座っている",
    "🦊",
)
EDITS = (
    "remove the background",
    "Please make the sky darker",
    "turn this photo into a watercolor painting",
    "Add a hat to the dog. Keep the background.",
    "Could you replace the car with a bicycle?",
    "make it night",
    "put the cat from the first image on the sofa in the second image",
    "change her dress to red, don't change the face",
    "去掉背景",
    "把背景换成海滩",
    "加一副墨镜",
    "换个背景",
    "去水印",
    "请帮我把天空调暗",
    "给猫戴上帽子",
    "将这张照片变成一个摇头娃娃:头部稍微放大,保持面部准确,身体卡通化。",
    "将图中的汽车删除，其他不动",
    "把這張照片變成水墨畫",
)


def parts_of(advice: Advice) -> dict[str, tuple[str, ...]]:
    return {found.part.name: found.words for found in advice.parts}


def missing_of(advice: Advice) -> list[str]:
    return [part.name for part in advice.missing]


@pytest.mark.parametrize("prompt", CREATES)
def test_a_description_is_not_an_instruction(prompt: str) -> None:
    assert advise(RULES, prompt).kind == "create"


@pytest.mark.parametrize("prompt", EDITS)
def test_an_instruction_is_told_from_a_description(prompt: str) -> None:
    assert advise(RULES, prompt).kind == "edit"


@pytest.mark.parametrize("prompt", [*CREATES, *EDITS])
def test_improving_twice_changes_nothing_more(prompt: str) -> None:
    once = advise(RULES, prompt)
    twice = advise(RULES, once.improved)

    assert (twice.improved, twice.added) == (once.improved, ())
    assert twice.kind == once.kind
    assert twice.language == once.language


@pytest.mark.parametrize("prompt", [*CREATES, *EDITS])
def test_the_callers_own_words_come_first_and_untouched(prompt: str) -> None:
    assert advise(RULES, prompt).improved.startswith(prompt)


PIECES = (*"猫狗雨夜光把将给换变无不的，。“”「」\"',. \n", "cat ", "night ", "no ", "soft light", "remove ", "photo ")


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=40).map("".join).filter(str.strip))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_whatever_is_sent_is_kept_and_settles_at_once(prompt: str) -> None:
    once = advise(RULES, prompt)

    assert once.improved.startswith(prompt.strip())
    assert advise(RULES, once.improved).improved == once.improved


@pytest.mark.parametrize(
    ("word", "part"),
    [
        ("超写实", "style"),
        ("插画风格", "style"),
        ("3D渲染", "style"),
        ("特写", "composition"),
        ("全景", "composition"),
        ("俯视角度", "composition"),
        ("高清", "quality"),
        ("专业摄影", "quality"),
        ("8K分辨率", "quality"),
        ("浅景深", "composition"),
        ("柔和的自然光", "light"),
        ("室内场景", "detail"),
        ("photorealistic", "style"),
        ("illustration", "style"),
        ("3D render", "style"),
        ("close-up", "composition"),
        ("Panorama", "composition"),
        ("high-angle", "composition"),
        ("HD", "quality"),
        ("professional photography", "quality"),
        ("8k resolution", "quality"),
    ],
)
def test_the_guides_key_words_are_known_in_both_languages(word: str, part: str) -> None:
    assert parts_of(advise(RULES, f"一只猫，{word}" if not word.isascii() else f"a cat, {word}"))[part] == (word,)


def test_the_guides_own_example_lacks_nothing() -> None:
    advice = advise(RULES, GUIDES_OWN)

    assert missing_of(advice) == []
    assert advice.improved == GUIDES_OWN
    assert parts_of(advice) == {
        "subject": ("一只橘猫坐在窗台上看雨",),
        "style": ("专业摄影风格",),
        "light": ("柔和的自然光",),
        "detail": ("窗台", "看雨", "温馨", "室内场景"),
        "composition": ("浅景深",),
        "quality": ("专业摄影风格",),
    }


@pytest.mark.parametrize(
    ("prompt", "improved"),
    [
        (
            "a red fox in the snow",
            (
                "a red fox in the snow, realistic photography, soft diffuse light, shallow depth of field, "
                "professional photography"
            ),
        ),
        ("一只橘猫坐在窗台上看雨", "一只橘猫坐在窗台上看雨，写实摄影风格，柔和的漫射光，浅景深，专业摄影"),
        (
            "A watercolor painting of a lighthouse at dusk",
            "A watercolor painting of a lighthouse at dusk, fine details, balanced composition, fine brushwork",
        ),
        (
            "A city street at midnight.",
            (
                "A city street at midnight. Realistic photography, glow of street lights, wide view, "
                "professional photography."
            ),
        ),
        ("海底的珊瑚礁。", "海底的珊瑚礁。写实摄影风格，穿透水面的光束，构图均衡，专业摄影。"),
        ("深夜的图书馆", "深夜的图书馆，写实摄影风格，温暖的灯光，构图均衡，专业摄影"),
        ("一隻貓在窗臺上看雨，水彩畫風格", "一隻貓在窗臺上看雨，水彩畫風格，柔和的漫射光，構圖均衡，筆觸細膩"),
        (
            "a logo for a coffee shop",
            "a logo for a coffee shop, flat vector style, centered composition, clean crisp lines",
        ),
        ("pixel art of a knight", "pixel art of a knight, centered composition"),
        (
            "a dragon",
            "a dragon, detailed illustration, soft natural light, fine details, balanced composition, high resolution",
        ),
        (
            "ends with a comma,",
            (
                "ends with a comma, realistic photography, soft natural light, fine details, balanced composition, "
                "professional photography"
            ),
        ),
    ],
)
def test_what_is_added_fits_what_is_there(prompt: str, improved: str) -> None:
    assert advise(RULES, prompt).improved == improved


@pytest.mark.parametrize(
    ("prompt", "never"),
    [
        ("oil painting of a cat", "depth of field"),
        ("anime girl in a garden", "photo"),
        ("水墨画，竹林里的熊猫", "摄影"),
        ("a cat, not photorealistic", "photography"),
        ("一只猫，不要写实", "摄影"),
        ("an old harbor at night", "natural light"),
        ("太空中的宇航员", "自然光"),
        ("polaroid of a family picnic", "8K"),
        ("a black icon of a bird", "light"),
        ("a garden, no close-up", "close-up, "),
    ],
)
def test_what_would_contradict_the_prompt_is_not_added(prompt: str, never: str) -> None:
    advice = advise(RULES, prompt)

    assert [phrase for phrase in advice.added if never.strip(", ") in phrase] == []


@pytest.mark.parametrize(
    ("prompt", "improved"),
    [
        ("remove the background", "remove the background, keep everything else unchanged"),
        ("Remove the background.", "Remove the background. Keep everything else unchanged."),
        ("去掉背景", "去掉背景，其余部分保持不变"),
        (
            "turn this photo into a watercolor painting",
            "turn this photo into a watercolor painting, keep the subject recognizable",
        ),
        ("把這張照片變成水墨畫", "把這張照片變成水墨畫，保持主體特徵不變"),
        ("Add a hat to the dog. Keep the background.", "Add a hat to the dog. Keep the background."),
        ("将图中的汽车删除，其他不动", "将图中的汽车删除，其他不动"),
    ],
)
def test_an_edit_is_told_what_must_stay_and_is_not_decorated(prompt: str, improved: str) -> None:
    assert advise(RULES, prompt).improved == improved


def test_an_edit_shows_what_changes_and_what_stays() -> None:
    advice = advise(RULES, "change her dress to red, don't change the face")

    assert parts_of(advice)["change"] == ("change her dress to red",)
    assert parts_of(advice)["keep"] == ("don't change the face",)
    assert missing_of(advice) == []


def test_a_model_that_only_edits_makes_every_prompt_an_instruction() -> None:
    advice = advise(RULES, "a blue sky", edits_only=True)

    assert advice.kind == "edit"
    assert advice.improved == "a blue sky, keep everything else unchanged"


@pytest.mark.parametrize(
    "prompt",
    [
        'a neon-free sign: "soft light, 8K close-up"',
        "海报，写着“柔和的自然光 8K 特写”",
        "a mural of 'golden hour'",
        "书法《月光》",
    ],
)
def test_what_stands_in_quotes_is_not_read(prompt: str) -> None:
    parts = parts_of(advise(RULES, prompt))

    assert parts["light"] in ((), ("neon",))
    assert (parts["quality"], parts["composition"]) == ((), ())


@pytest.mark.parametrize("prompt", ['a sign with the words "OPEN', "招牌写着“营业中", "「未完"])
def test_nothing_is_added_into_a_quotation_that_is_still_open(prompt: str) -> None:
    advice = advise(RULES, prompt)

    assert advice.improved == prompt
    assert "style" in missing_of(advice)


def test_a_quotation_does_not_decide_the_language() -> None:
    assert advise(RULES, 'a poster that says "新年快乐，万事如意，恭喜发财"').language == "en"
    assert advise(RULES, "一张海报，写着“Happy New Year to everyone”").language == "zh"


@pytest.mark.parametrize("prompt", ["ネコが窓辺に座っている", "кошка на окне", "고양이", "🦊"])
def test_other_languages_get_advice_and_no_additions(prompt: str) -> None:
    advice = advise(RULES, prompt)

    assert (advice.language, advice.added, advice.improved) == ("other", (), prompt)
    assert "style" in missing_of(advice)


@pytest.mark.parametrize("prompt", ["soft light, 8K", "超写实", "高清，8K分辨率，专业摄影"])
def test_a_missing_subject_is_advised_and_never_invented(prompt: str) -> None:
    advice = advise(RULES, prompt)

    assert missing_of(advice)[0] == "subject"
    assert parts_of(advise(RULES, advice.improved))["subject"] == ()


def test_what_is_not_wanted_counts_as_said() -> None:
    advice = advise(RULES, "a cat, no shadows, not photorealistic")

    assert parts_of(advice)["light"] == ("no shadows",)
    assert parts_of(advice)["style"] == ("not photorealistic",)
    assert {"light", "style"}.isdisjoint(missing_of(advice))


def test_an_improved_prompt_is_never_longer_than_a_prompt_may_be() -> None:
    advice = advise(RULES, ("a red fox, " * 1000)[: MAX_PROMPT_CHARS - 25])

    assert len(advice.improved) <= MAX_PROMPT_CHARS
    assert advise(RULES, advice.improved).improved == advice.improved


@pytest.mark.parametrize("addition", RULES.additions, ids=lambda addition: addition.en)
def test_every_addition_is_recognised_as_its_part_in_both_languages(addition: Addition) -> None:
    for phrase in (addition.en, addition.zh, RULES.in_traditional(addition.zh)):
        assert read_prompt(RULES, phrase).found(addition.part) != (), phrase


@pytest.mark.parametrize("addition", RULES.additions, ids=lambda addition: addition.en)
def test_what_keeps_an_addition_out_is_not_what_it_stands_for(addition: Addition) -> None:
    part = next(part for part in RULES.parts if part.name == addition.part)
    for phrase in (addition.en, addition.zh):
        assert read_prompt(RULES, phrase).tags().isdisjoint({*addition.unless} & {*part.not_for}), phrase


def test_rules_that_name_an_unknown_part_are_refused() -> None:
    with pytest.raises(Misconfigured, match="prompt rules"):
        build_rules({"parts": []})
