"""What was done to a picture, in the words of the note: in both languages, by the step's own word."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from cavendish.domain.text import Text

STEPS: Mapping[str, Text] = MappingProxyType(
    {
        "bobblehead": Text(
            en="bobblehead: head enlarged, body drawn as a cartoon", zh="摇头娃娃：头部放大，身体变成卡通"
        ),
        "bobblehead of one": Text(en="only the most prominent face was enlarged", zh="只放大了最突出的一张脸"),
        "bobblehead without face": Text(
            en="bobblehead: no face was found, so the upper part of the subject was enlarged",
            zh="摇头娃娃：没有找到人脸，改为放大主体的上部",
        ),
        "cartoon": Text(en="cartoon", zh="卡通"),
        "pixel": Text(en="pixel art", zh="像素风"),
        "sketch": Text(en="pencil sketch", zh="素描"),
        "watercolor": Text(en="watercolour", zh="水彩"),
        "oil": Text(en="oil painting", zh="油画"),
        "ink": Text(en="ink wash", zh="水墨"),
        "mono": Text(en="black and white", zh="黑白"),
        "sepia": Text(en="sepia", zh="复古棕褐色调"),
        "illustration": Text(en="soft illustration", zh="柔和插画"),
        "only background": Text(en="{} (background only)", zh="{}（仅背景）"),
        "only subject": Text(en="{} (subject only)", zh="{}（仅主体）"),
        "blur": Text(en="background blurred", zh="背景虚化"),
        "remove": Text(en="background removed", zh="背景已移除"),
        "remove on white": Text(
            en="background removed (white, since JPEG has no transparency)",
            zh="背景已移除（JPEG 不支持透明，改为白底）"
        ),
        "replace scene": Text(en="background replaced by a drawn scene", zh="背景换成绘制的场景"),
        "replace colour": Text(en="background replaced by a colour", zh="背景换成纯色"),
        "replace gradient": Text(en="background replaced by a gradient", zh="背景换成渐变"),
        "replace picture": Text(en="background replaced by the second image", zh="背景换成第二张图片"),
        "brighter": Text(en="brighter", zh="提亮"),
        "darker": Text(en="darker", zh="调暗"),
        "warmer": Text(en="warmer", zh="色调变暖"),
        "cooler": Text(en="cooler", zh="色调变冷"),
        "contrast": Text(en="more contrast", zh="提高对比度"),
        "less contrast": Text(en="less contrast", zh="降低对比度"),
        "vivid": Text(en="more colour", zh="提高饱和度"),
        "muted": Text(en="less colour", zh="降低饱和度"),
        "sharper": Text(en="sharpened", zh="锐化"),
        "enhanced": Text(en="light and colour enhanced", zh="光线与色彩增强"),
        "rain": Text(en="rain added", zh="加上雨"),
        "snow": Text(en="snow added", zh="加上雪"),
        "fog": Text(en="fog added", zh="加上雾"),
        "sunset": Text(en="sunset light", zh="夕阳光线"),
        "night": Text(en="night light", zh="夜晚光线"),
        "guest": Text(en="drawn into the picture: {}", zh="画入：{}"),
        "unknown guest": Text(
            en="what should be added is not among the subjects that can be drawn", zh="想添加的事物不在可绘制之列"
        ),
        "caption": Text(en="caption set", zh="加上文字"),
        "polaroid": Text(en="polaroid", zh="拍立得相框"),
        "frame": Text(en="framed", zh="加上相框"),
        "border": Text(en="border added", zh="加上边框"),
        "collage": Text(en="collage of {} images", zh="{} 张图片拼图"),
        "grown": Text(en="extended to the new ratio without distortion", zh="画面无变形地扩展到新比例"),
        "fitted": Text(en="fitted to the asked size", zh="调整到所需尺寸"),
        "mirror": Text(en="mirrored", zh="镜像翻转"),
        "removal": Text(
            en="removing things from inside a picture is not supported, so that was left as it is",
            zh="不支持从画面中移除物体，这一点未作改动",
        ),
        "unknown": Text(
            en="nothing known was asked for, so a soft illustration was made",
            zh="没有识别到已知的编辑要求，做成了柔和插画",
        ),
    }
)  # fmt: skip


class Steps:
    """Steps in the order in which they were done."""

    def __init__(self) -> None:
        self._texts: list[Text] = []

    def add(self, word: str, en: str = "", zh: str = "") -> None:
        """One more step; `en` and `zh` fill the place in its sentence, if it has one. Said once, however often done."""
        text = STEPS[word]
        filled = Text(en=text.en.format(en), zh=text.zh.format(zh or en))
        if filled not in self._texts:
            self._texts.append(filled)

    def styled(self, style: str, scope: str) -> None:
        """A style, over the whole or a part."""
        if scope == "whole":
            self.add(style)
        else:
            self.add(f"only {scope}", STEPS[style].en, STEPS[style].zh)

    def note(self, *, chinese: bool) -> str:
        """All of them as one sentence in the prompt's language."""
        return note_of(self._texts, chinese=chinese)


def note_of(texts: Sequence[Text], *, chinese: bool) -> str:
    """The note of an edit."""
    if chinese:
        return f"由插画引擎编辑：{'；'.join(text.zh for text in texts)}。程序化图像处理，并非神经网络模型。"
    done = "; ".join(text.en for text in texts)
    return f"Edited by the illustrator: {done}. Procedural image processing, not a neural model."
