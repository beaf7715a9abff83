"""What a prompt asks to be done to a picture, in Chinese and English: clause by clause, so that edits combine."""

import re
import unicodedata
from typing import Literal

import msgspec

Scope = Literal["whole", "background", "subject"]
_READ_CHARACTERS = 10_000
_QUOTED = re.compile(r"「([^」]{1,200})」|『([^』]{1,200})』|《([^》]{1,200})》|“([^”]{1,200})”|\"([^\"]{1,200})\"")
_CLAUSES = re.compile(
    r"[,.;:!?，。；：！？、\n]|\band\b|\bthen\b|\bplus\b|\bwith\b|\bbut\b|并且|而且|然后|同时|并|"
    r"再(?!现)|加上|以及|配上"
)


class Brushed(msgspec.Struct, frozen=True):
    """A style by its word in `paint.BRUSHES`, and what of the picture it covers."""

    name: str
    scope: Scope = "whole"


class Backdrop(msgspec.Struct, frozen=True):
    """What becomes of the background; `words` are the clause that says with what it is replaced."""

    kind: Literal["blur", "remove", "replace", "picture"]
    words: str = ""


class Wish(msgspec.Struct, frozen=True):
    """A prompt, read as a request to edit. What is not understood is absent."""

    chinese: bool
    bobblehead: bool = False
    brushes: tuple[Brushed, ...] = ()
    backdrop: Backdrop | None = None
    tones: tuple[str, ...] = ()
    weathers: tuple[str, ...] = ()
    guests: tuple[str, ...] = ()
    """Clauses that ask to add something; the drawer finds out what."""
    caption: str | None = None
    frame: Literal["polaroid", "frame", "border"] | None = None
    frame_words: str = ""
    collage: bool = False
    mirrored: bool = False
    extended: bool = False
    """Whether another shape of picture is asked for, which the request's ratio then says."""
    removal: str | None = None
    """What should be taken out of the picture, which is not done."""

    @property
    def empty(self) -> bool:
        """Whether nothing was asked for that is known."""
        return self == Wish(self.chinese, removal=self.removal)


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


_BOBBLEHEAD = _words(r"bobble[\s-]?head|摇头娃娃|摇头公仔|大头(娃娃|公仔|贴|照|人偶|像)?|\bbig[\s-]head")
_BRUSHES = (
    ("pixel", _words(r"\bpixel(?:ated?|s|late)?\b|pixel[\s-]?art|8[\s-]?bit|16[\s-]?bit|像素|马赛克")),
    ("watercolor", _words(r"water[\s-]?colou?r|水彩")),
    ("oil", _words(r"\boil[\s-]?paint|\boils?\b|油画|油彩|impressionis|van gogh|梵高|印象派")),
    ("ink", _words(r"\bink\b|水墨|国画")),
    ("sketch", _words(r"sketch|pencil|line[\s-]?(art|drawing)|charcoal|素描|铅笔|速写|线稿|手绘|炭笔")),
    ("cartoon", _words(
        r"cartoon|anime|\bcomics?\b|manga|toon\b|pixar|disney|卡通|动漫|漫画|动画|二次元|皮克斯|宫崎骏|"
        r"吉卜力|ghibli"
    )),
    ("mono", _words(r"black[\s-]?(and|&|n)[\s-]?white|\bb\s?&\s?w\b|monochrome|gr[ae]y[\s-]?scale|黑白|灰度|单色")),
    ("sepia", _words(
        r"sepia|vintage|\bretro|old(en)?[\s-](photo|style|picture|film)|nostalgi|复古|怀旧|老照片|旧照片|"
        r"做旧|泛黄|褐色调|棕褐"
    )),
    ("illustration", _words(r"illustrat|插画|插图")),
)  # fmt: skip
_CARTOON = dict(_BRUSHES)["cartoon"]
_TONES = (
    ("darker", _words(r"\bdark(er|en)|\bdimm?(er)?\b|调暗|变暗|暗一点|暗一些|更暗|压暗|降低亮度")),
    ("brighter", _words(
        r"\bbright(er|en|ness)?|lighten|\blighter\b|提亮|调亮|变亮|更亮|亮一点|亮一些|增亮|"
        r"亮度|明亮|加亮"
    )),
    ("warmer", _words(r"\bwarm(er|th)?\b|暖色|暖一点|暖一些|更暖|暖调|温暖|偏暖|变暖|调暖")),
    ("cooler", _words(r"\bcool(er)?\b|\bcold(er)?\b|bluer|冷色|冷一点|冷一些|更冷|冷调|偏冷|变冷|调冷")),
    ("less contrast", _words(r"(less|lower|reduce|decrease) (the )?contrast|降低对比|减小对比|对比度?(低|弱)")),
    ("contrast", _words(r"contrast|punchy|对比")),
    ("muted", _words(
        r"desaturat|muted|(less|lower|reduce|decrease) (the )?(saturat|colou?r)|降低饱和|饱和度?低|淡雅|"
        r"褪色"
    )),
    ("vivid", _words(r"saturat|vivid|vibrant|(more )?colou?rful|鲜艳|饱和|艳丽|更艳|浓郁")),
    ("sharper", _words(r"sharp(en|er)|crisp|clearer|锐化|更清晰|清晰一点|清晰度|变清晰")),
    ("enhanced", _words(r"enhance|improve|auto[\s-]?(fix|correct)|美化|增强|修复|优化画质|提升画质")),
)  # fmt: skip
_LIGHT = frozenset({"brighter", "darker"})
_WEATHERS = (
    ("rain", _words(r"\brain|drizzl|storm|下雨|雨天|加雨|雨景|雨水|大雨|小雨|细雨|暴雨|雨$|雨(效果|滴|丝)")),
    ("snow", _words(r"\bsnow|blizzard|下雪|雪天|加雪|雪景|飘雪|雪花|大雪|雪$|雪(效果)")),
    ("fog", _words(r"\bfog|\bmist|\bhaz[ey]|雾")),
    ("sunset", _words(
        r"sun[\s-]?set|golden hour|\bdusk\b|evening light|sun[\s-]?down|夕阳|日落|黄昏|晚霞|落日|傍晚|余晖"
    )),
    ("night", _words(r"\bnight|moonlit|夜晚|夜景|夜里|黑夜|晚上|变成夜")),
)  # fmt: skip
_BACKGROUND = _words(r"background|backdrop|\bbg\b|behind (him|her|me|them|it|the)|背景|身后|底色")
_REMOVE = _words(
    r"remov|delet|eras|get rid|transparent|cut[\s-]?out|isolat|without|no (background|backdrop)|去掉|"
    r"去除|除去|移除|删除|删掉|抹去|抹掉|擦除|清除|抠|透明|无背景|去背|去(?=背景)|消除"
)
_CUT_OUT = _words(r"cut[\s-]?out|抠图|抠像|抠出|透明底|免抠|去背|transparent (png|background)")
_BLUR = _words(r"blur|bokeh|out of focus|depth of field|defocus|虚化|模糊|景深|散景|柔焦")
_ONLY = _words(r"\bonly\b|\bjust\b|只|仅|单独")
_SUBJECT = _words(
    r"\b(person|man|woman|girl|boy|people|subject|figure|character|face|foreground|body)\b|人物|主体|"
    r"人像|前景|主角|人脸|面部|脸部|面容|五官|(?<!主)人(?!偶)"
)
_KEPT = _words(
    r"\b(keep|leave|preserve|retain|don'?t (change|touch)|unchanged|as (it|he|she|they) (is|are))\b|"
    r"保持|保留|不变|不动|不要(改|动)"
)
_MOVED = _words(

        r"\b(put|place|move|set|transport|teleport|send)\b.*\b(him|her|me|them|it|us|the (person|subject|"
        r"man|woman|girl|boy|cat|dog))\b"
    r" (up)?(on|in|at|into|onto|to|inside|under)\b|(放到|放在|放进|置于|移到|来到|站在|坐在|身处|出现在|传送到)"
)  # fmt: skip
_OTHER_PICTURE = _words(
    r"(second|2nd|other|another|last) (image|picture|photo|one)|(image|picture|photo) (2|two)|第二张|"
    r"另一张|图二|图2|第2张|后一张"
)
_ADDED = _words(
    r"\b(add|put|insert|place|draw|include|give|bring)\b|加|添|放(?!大)|画(上|一|只|个|几|两|三)|"
    r"来(一|只|个)|多(一|只|个)|插入|p上|有(一|只|两|三)"
)
_TAKEN = _words(
    r"(?:\b(?:remove|delete|erase|get rid of|take out|clean up)\b|去掉|去除|移除|删除|删掉|抹去|抹掉|"
    r"擦除|清除|消除|p掉)(?P<what>.{0,40})"
)
_FRAMES: tuple[tuple[Literal["polaroid", "frame", "border"], re.Pattern[str]], ...] = (
    ("polaroid", _words(r"polaroid|instant (photo|film)|拍立得|宝丽来|立可拍")),
    ("border", _words(r"border|outline around|边框|白边|黑边|描边|留白")),
    ("frame", _words(r"\bframed?\b|相框|画框|裱|外框")),
)
_COLLAGE = _words(
    r"collage|mosaic of|\bgrid\b|side by side|photo wall|拼图|拼贴|拼接|拼成|拼在|九宫格|四宫格|宫格|"
    r"照片墙|合并成一张|合成一张|并排"
)
_MIRROR = _words(r"\bflip|mirror(ed)?( (it|the|image|photo|picture))|镜像|左右翻转|水平翻转|翻转")
_EXTENDED = _words(
    r"\bextend|\bexpand|out-?paint|un-?crop|\bresize|aspect|\bratio\b|wider|widescreen|扩展|扩图|扩充|"
    r"延展|延伸|外扩|比例|裁剪|尺寸|加宽|宽屏|竖屏|横屏"
)
_SWAPPED = _words(r"(\b(?:replace|change|swap|switch)\b[^,.;]{0,60}?)\bwith\b")
_TITLED = _words(

        r"(?:\b(?:caption|text|words?|title|label|saying|write|message)\b(?: (?:it|that|saying|says|"
        r"reading|of|the|words?|text))*|写上|文字|字幕|标题|题字|配文|写着|字样)"
    r"\s*[:：]?\s*(?P<words>[^,.;，。；]{1,120})"
)  # fmt: skip


def asked(prompt: str) -> Wish:
    """What `prompt` asks to have done. Never raises."""
    text = unicodedata.normalize("NFKC", prompt[:_READ_CHARACTERS])
    text = "".join(c if c.isprintable() else " " for c in text)
    chinese = sum("\u4e00" <= c <= "\u9fff" for c in text) * 4 > len(text)
    quoted = _QUOTED.finditer(prompt[:_READ_CHARACTERS])  # as it was written, with its own punctuation
    quotes = [" ".join(next(part for part in found.groups() if part).split()) for found in quoted]
    plain = _QUOTED.sub(" ", text).lower()
    plain = re.sub(r"black[\s-]?(and|&|n)[\s-]?white", "monochrome", plain)
    plain = _SWAPPED.sub(r"\1to", plain)  # one clause: replace the background with a beach
    caption = next((quote for quote in quotes if quote), None)
    if caption is None and (titled := _TITLED.search(plain)):
        words = titled["words"].strip()
        caption = (
            text[len(text) - len(plain) + titled.start("words") :][: len(words)] if len(text) == len(plain) else words
        )
        plain = plain[: titled.start()] + "," + plain[titled.end() :]
    wish = _Reading()
    clauses = [part.strip() for part in _CLAUSES.split(plain) if part and part.strip()]
    kept = any(_KEPT.search(clause) and _SUBJECT.search(clause) for clause in clauses)
    bobblehead = bool(_BOBBLEHEAD.search(plain))
    for clause in clauses:
        # Its body is a cartoon by itself, and its face must stay as it is: 保持面部准确，身体卡通化.
        if not (bobblehead and _CARTOON.search(clause)) or _BACKGROUND.search(clause):
            wish.read(clause, kept)
    return Wish(
        chinese,
        bobblehead,
        tuple(wish.brushes),
        wish.backdrop,
        tuple(wish.tones),
        tuple(wish.weathers),
        tuple(wish.guests[:4]),
        caption,
        wish.frame,
        wish.frame_words,
        bool(_COLLAGE.search(plain)),
        bool(_MIRROR.search(plain)),
        bool(_EXTENDED.search(plain)),
        wish.removal,
    )


class _Reading:
    """What the clauses said up to here."""

    def __init__(self) -> None:
        self.brushes: list[Brushed] = []
        self.backdrop: Backdrop | None = None
        self.tones: list[str] = []
        self.weathers: list[str] = []
        self.guests: list[str] = []
        self.frame: Literal["polaroid", "frame", "border"] | None = None
        self.frame_words = ""
        self.removal: str | None = None

    def read(self, clause: str, kept: bool) -> None:
        """One more clause; `kept` says that the prompt wants the person left as is."""
        if _KEPT.search(clause) and _SUBJECT.search(clause) and not _BACKGROUND.search(clause):
            return
        for kind, words in _FRAMES:
            if self.frame is None and words.search(clause):
                self.frame, self.frame_words = kind, clause
                return
        behind = bool(_BACKGROUND.search(clause))
        brush = next((name for name, words in _BRUSHES if words.search(clause)), None)
        if brush:
            scope: Scope = "background" if behind or kept else "whole"
            if not behind and _ONLY.search(clause) and _SUBJECT.search(clause):
                scope = "subject"
            self.brushes.append(Brushed(brush, scope))
            return
        if self._behind(clause, behind):
            return
        if taken := _TAKEN.search(clause):
            self.removal = taken["what"].strip() or clause
            return
        tones = [name for name, words in _TONES if words.search(clause)]
        if "less contrast" in tones:
            tones.remove("contrast")
        if "muted" in tones and "vivid" in tones:
            tones.remove("vivid")
        weathers = [name for name, words in _WEATHERS if words.search(clause)]
        self.tones += [name for name in tones if name not in self.tones]
        self.weathers += [name for name in weathers if name not in self.weathers]
        if not weathers and not tones and _ADDED.search(clause):
            self.guests.append(clause)

    def _behind(self, clause: str, behind: bool) -> bool:
        """Whether the clause was about the background."""
        kind: Literal["blur", "remove", "replace", "picture"]
        if _CUT_OUT.search(clause) or (behind and _REMOVE.search(clause)):
            kind = "remove"
        elif _BLUR.search(clause):
            kind = "blur"
        elif behind or _MOVED.search(clause):
            kind = "picture" if _OTHER_PICTURE.search(clause) else "replace"
        else:
            return False
        if kind == "replace" and any(words.search(clause) for name, words in _TONES if name in _LIGHT):
            return False
        self.backdrop = Backdrop(kind, clause)
        return True
