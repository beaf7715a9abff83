"""What is to be drawn: one job for each picture, from options or from a file of prompts."""

import hashlib
import json
import re
import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cavendish.client.references import is_url
from cavendish.domain.errors import Misconfigured
from cavendish.domain.text import Text, shortened

_SEEDS = 2**31
_NAMES = frozenset({"prompt", "model", "images", "ratio", "resolution", "format", "seed", "out"})


@dataclass(frozen=True)
class Job:
    """One picture.

    Attributes:
        images: URLs and paths.
        out: the file that is asked for; None: a name is made from the prompt.
        line: of the file of prompts, from 1; 0: it is from the command line.
        task_id: of the task that was created for it before.
    """

    prompt: str
    model: str | None = None
    images: tuple[str, ...] = ()
    ratio: str | None = None
    resolution: str | None = None
    format: str | None = None
    seed: int | None = None
    out: Path | None = None
    line: int = 0
    task_id: str | None = None

    def wish(self) -> dict[str, Any]:
        """The arguments of the client's `create`, but for the images."""
        return {
            "prompt": self.prompt,
            "model": self.model or ("edit" if self.images else None),
            "aspect_ratio": self.ratio,
            "resolution": self.resolution,
            "output_format": self.format,
            "seed": self.seed,
        }


def copies(job: Job, count: int, *, stable: bool) -> list[Job]:
    """`count` variants of a job: one seed each, from the job's own on, or else from one that is chosen.

    Args:
        stable: choose it by the prompt, so that a second run finds what the first began; else by chance.
    """
    if count == 1:
        return [job]
    first = job.seed
    if first is None:
        digest = hashlib.sha256(job.prompt.encode("utf-8", "surrogatepass")).digest()
        first = int.from_bytes(digest[:4], "big") % _SEEDS if stable else secrets.randbelow(_SEEDS)
    return [replace(job, seed=first + number) for number in range(count)]


def read_prompts(text: str, base: Job) -> list[Job]:
    """Jobs of a file of prompts.

    One prompt a line. Blank lines and lines that begin with `#` are skipped. A line that begins with `{` is a JSON
    object with a `prompt` and any of `model`, `images`, `ratio`, `resolution`, `format`, `seed`, `out`.

    Args:
        base: what holds for lines that say nothing else.

    Raises:
        Misconfigured: a line is wrong; names it.
    """
    jobs = []
    for number, raw in enumerate(re.split(r"\r\n|\n|\r", text.removeprefix("\ufeff")), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        jobs.append(_from_object(line, number, base) if line[0] == "{" else replace(base, prompt=line, line=number))
    if not jobs:
        raise Misconfigured(Text(en="--prompts: there is no prompt in it", zh="--prompts：其中没有提示词"))
    return jobs


def _from_object(line: str, number: int, base: Job) -> Job:
    try:
        fields = json.loads(line)
    except ValueError as error:
        raise _wrong(number, f"is not JSON: {error}", f"不是有效的 JSON：{error}") from None
    if unknown := sorted(fields.keys() - _NAMES):
        listed = ", ".join(sorted(_NAMES))
        raise _wrong(number, f"has {unknown[0]!r}; known: {listed}", f"包含未知字段 {unknown[0]!r}；可用：{listed}")
    images = fields.pop("images", list(base.images))
    seed = fields.pop("seed", base.seed)
    texts = all(isinstance(value, str) for value in fields.values()) and isinstance(images, list)
    if not texts or not all(isinstance(image, str) for image in images) or not isinstance(seed, int | None):
        raise _wrong(
            number,
            "has a field of the wrong kind: images is a list of texts, seed a whole number, the others are texts",
            "有字段类型不对：images 为文本数组，seed 为整数，其余为文本",
        )
    if not fields.get("prompt", "").strip():
        raise _wrong(number, "has no prompt", "缺少 prompt")
    out = fields.pop("out", None)
    if out is not None and (Path(out).is_absolute() or ".." in Path(out).parts or not out.strip()):
        raise _wrong(number, "has an out that leads out of the folder", "的 out 指向文件夹之外")
    return replace(base, images=tuple(images), seed=seed, out=Path(out) if out else None, line=number, **fields)


def _wrong(number: int, en: str, zh: str) -> Misconfigured:
    return Misconfigured(Text(en=f"--prompts, line {number} {en}", zh=f"--prompts 第 {number} 行{zh}"))


def identities(jobs: Sequence[Job], place: str) -> Iterator[str]:
    """A name for each job that a later run of the same command finds again.

    It depends on where the job goes, on everything that is asked for, on the bytes of local images, and on how many
    jobs before it ask for the same; not on the line where it stands.
    """
    seen: Counter[str] = Counter()
    digests: dict[str, str] = {}
    for job in jobs:
        for image in job.images:
            if image not in digests:
                digests[image] = image if is_url(image) else _digest(Path(image))
        asked = json.dumps([place, job.wish(), [digests[image] for image in job.images]], sort_keys=True)
        seen[asked] += 1
        yield hashlib.sha256(f"{asked}\0{seen[asked]}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.expanduser().read_bytes()).hexdigest()
    except OSError as error:
        raise Misconfigured(
            Text(
                en=f"input image {shortened(str(path))}: {error.strerror}",
                zh=f"输入图片 {shortened(str(path))}：{error.strerror}",
            )
        ) from error


def slug(prompt: str, limit: int = 40) -> str:
    """A file name from a prompt: its first words, in any script; `picture` when nothing is left of it."""
    words = re.sub(r"\[simulate:[^\]]*\]", " ", prompt).lower()
    text = re.sub(r"[^\w]+", "-", words).strip("-_")
    if len(text) > limit:
        cut = text[:limit]
        text = cut.rpartition("-")[0] if "-" in cut[limit // 2 :] else cut
    while len(text.encode("utf-8", "replace")) > 150:  # a file's name has 255 bytes at most
        text = text[:-1]
    return text or "picture"
