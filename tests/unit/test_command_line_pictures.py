"""The parts of `cavendish generate` that need no server: jobs, the journal, file names, pictures in terminals."""

import asyncio
import base64
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from cavendish.cli.drawing import Progress
from cavendish.cli.files import save_new
from cavendish.cli.generating import _known
from cavendish.cli.jobs import Job, copies, identities, read_prompts, slug
from cavendish.cli.journal import KEY_SECONDS, Entry, Journal
from cavendish.cli.progress import ProgressLine
from cavendish.cli.sixel import sixel
from cavendish.cli.terminal import detect, picture
from cavendish.domain.errors import Misconfigured
from cavendish.engines.simulator import plain_png

PNG = plain_png(40, 30, 2)


def test_a_file_of_prompts_has_one_a_line_plain_or_as_json() -> None:
    text = (
        '\ufeff# mine\n a cat \n\n{"prompt": "a dog", "model": "pro", "images": ["x.png"], "seed": 3, "out": "d.png"}\n'
    )
    jobs = read_prompts(text, Job("", ratio="16:9"))

    assert jobs == [
        Job("a cat", ratio="16:9", line=2),
        Job("a dog", model="pro", images=("x.png",), ratio="16:9", seed=3, out=Path("d.png"), line=4),
    ]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{oops", "line 2 is not JSON"),
        ('{"promt": "x"}', "line 2 has 'promt'; known: format, images"),
        ('{"model": "pro"}', "line 2 has no prompt"),
        ('{"prompt": 7}', "wrong kind"),
        ('{"prompt": "x", "images": "a.png"}', "wrong kind"),
        ('{"prompt": "x", "seed": "1"}', "wrong kind"),
        ('{"prompt": "x", "out": "../x.png"}', "leads out of the folder"),
        ('{"prompt": "x", "out": "/x.png"}', "leads out of the folder"),
    ],
)
def test_a_wrong_line_is_named(line: str, why: str) -> None:
    with pytest.raises(Misconfigured, match=re.escape(why)):
        read_prompts(f"fine\n{line}", Job(""))


def test_a_file_without_a_prompt_is_an_error() -> None:
    with pytest.raises(Misconfigured, match="no prompt"):
        read_prompts("# nothing\n\n", Job(""))


def test_variants_differ_in_their_seed_and_a_batch_finds_the_same_ones_again() -> None:
    job = Job("a cat")

    assert copies(job, 1, stable=False) == [job]
    assert [j.seed for j in copies(Job("a cat", seed=7), 3, stable=False)] == [7, 8, 9]
    assert copies(job, 3, stable=True) == copies(job, 3, stable=True)
    assert len({j.seed for j in copies(job, 3, stable=True)}) == 3


def test_a_job_is_known_again_by_what_it_asks_for_wherever_its_line_went(tmp_path: Path) -> None:
    photo = tmp_path / "a.png"
    photo.write_bytes(PNG)
    jobs = read_prompts("one\ntwo\none", Job("", images=(str(photo),)))
    moved = read_prompts("# new\nzero\ntwo\none\none", Job("", images=(str(photo),)))
    before, after = list(identities(jobs, "here")), list(identities(moved, "here"))

    assert len(set(before)) == 3, "the same prompt twice is two pictures"
    assert (after[1], after[2], after[3]) == (before[1], before[0], before[2])
    assert set(identities(jobs, "elsewhere")).isdisjoint(before)
    photo.write_bytes(PNG + b"\0")
    assert set(identities(jobs, "here")).isdisjoint(before), "another image under the same name"
    with pytest.raises(Misconfigured, match="missing"):
        list(identities([Job("x", images=("missing.png",))], "here"))


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("A red apple!", "a-red-apple"),
        ("一只橘猫坐在窗台上看雨", "一只橘猫坐在窗台上看雨"),
        ("../../etc/passwd", "etc-passwd"),
        ("a lighthouse on a cliff at dusk, with gulls above", "a-lighthouse-on-a-cliff-at-dusk-with"),
        ("猫" * 60, "猫" * 40),
        ("🐈 …", "picture"),
    ],
)
def test_a_picture_is_named_after_its_prompt(prompt: str, name: str) -> None:
    assert slug(prompt) == name


def test_no_file_is_ever_overwritten(tmp_path: Path) -> None:
    names = [save_new(PNG, tmp_path / "new" / "cat", "png").name for _ in range(3)]
    named = save_new(b"other", tmp_path / "new" / "cat.png", "png")

    assert names == ["cat.png", "cat-2.png", "cat-3.png"]
    assert named.name == "cat-4.png"
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "cat-2.png",
        "cat-3.png",
        "cat-4.png",
        "cat.png",
    ]
    assert (tmp_path / "new" / "cat.png").read_bytes() == PNG


def test_the_journal_remembers_key_task_and_file_over_runs(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.begin("a", "key-a", ("http://here/files/1",))
        journal.begin("b", "key-b", ("data:image/png;base64,AAAA",))
        journal.created("b", "task_b")
        journal.begin("c", "key-c", ())
        journal.created("c", "task_c")
        journal.saved("c", tmp_path / "c.png")
        journal.begin("d", "key-d", ())
        journal.failed("d", "no_image")
    (tmp_path / "c.png").write_bytes(PNG)
    with (tmp_path / "cavendish-journal.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"job": "a", "event": "crea')  # the machine went down while it was written
    with Journal(tmp_path) as journal:
        again = {name: journal.entry(name) for name in "abcd"}
        assert journal.picture("c") == tmp_path / "c.png"
        journal.created("a", "task_a")
    with Journal(tmp_path) as journal:
        assert journal.entry("a").task_id == "task_a"

    assert (again["a"].key, again["a"].references, again["a"].task_id) == ("key-a", ("http://here/files/1",), None)
    assert (again["b"].references, again["b"].task_id) == (None, "task_b")
    assert again["d"] == Entry()


def test_a_repeat_asks_for_the_very_same_images_also_where_only_some_of_them_are_inline(tmp_path: Path) -> None:
    """An upload has another URL each time, and the same key with another body is refused."""
    mixed = ("data:image/png;base64,AAAA", "http://here/files/1")
    with Journal(tmp_path) as journal:
        journal.begin("a", "key", mixed)
    with Journal(tmp_path) as journal:
        assert journal.entry("a").references == mixed


def test_a_line_of_the_journal_is_whole_whatever_is_in_it(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.begin("a", "key", ("http://here/a\u2028b.png",))
    with Journal(tmp_path) as journal:
        assert journal.entry("a").key == "key"


def test_a_prompt_may_have_separators_that_are_no_line_breaks() -> None:
    jobs = read_prompts('{"prompt": "a\u2028cat"}\r\na\u0085dog\n', Job(""))

    assert [job.prompt for job in jobs] == ["a\u2028cat", "a\u0085dog"]


def test_a_create_of_unknown_fate_is_not_repeated_once_its_key_may_be_forgotten() -> None:
    entry = Entry("key", (), begun_at=1000.0)

    assert not entry.unsure(1000.0 + KEY_SECONDS - 1)
    assert entry.unsure(1000.0 + KEY_SECONDS + 1)
    assert not Entry("key", (), 1000.0, "task").unsure(10.0**9)


async def test_what_is_interrupted_before_it_asks_leaves_no_question_behind() -> None:
    asked: list[int] = []

    async def ask() -> None:
        asked.append(1)

    asking = asyncio.create_task(_known(ask))
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert asked == []


def test_the_live_line_does_not_end_as_if_it_began_again() -> None:
    console = Console(file=io.StringIO(), width=80)
    progress = Progress(1)
    line = ProgressLine(console, progress, "a cat")

    def shown() -> str:
        with console.capture() as capture:
            console.print(line._line())
        return capture.get()

    assert "sending" in shown()
    progress.done = 1
    assert "sending" not in shown()


def test_two_runs_do_not_fill_one_folder_at_once(tmp_path: Path) -> None:
    with Journal(tmp_path), pytest.raises(Misconfigured, match="is in use"), Journal(tmp_path):
        pass


@pytest.mark.parametrize(
    ("environment", "protocol"),
    [
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, "kitty"),
        ({"TERM": "xterm-ghostty"}, "kitty"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "ghostty"}, "kitty"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, "iterm2"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, "iterm2"),
        ({"TERM": "xterm-256color"}, None),
        ({"TERM": "tmux-256color", "KITTY_WINDOW_ID": "1"}, None),
        ({"TERM": "xterm-256color", "TMUX": "x", "TERM_PROGRAM": "iTerm.app"}, None),
        ({"TERM": "dumb", "KITTY_WINDOW_ID": "1"}, None),
        ({}, None),
    ],
)
def test_terminals_are_known_by_their_variables(environment: dict[str, str], protocol: str | None) -> None:
    assert detect(environment) == protocol


@pytest.mark.parametrize(
    ("answer", "protocol"),
    [(b"\x1b[?62;4;22c", "sixel"), (b"\x1b[?62;22c", None), (b"\x1b[?64;14c", None), (b"", None)],
)
def test_others_are_asked_whether_they_know_sixel(answer: bytes, protocol: str | None) -> None:
    assert detect({"TERM": "xterm-256color"}, lambda: answer) == protocol
    assert detect({"TERM": "dumb"}, lambda: answer) is None


def photo(width: int, height: int) -> bytes:
    """A picture that does not compress."""
    buffer = io.BytesIO()
    Image.effect_noise((width, height), 90).convert("RGB").save(buffer, "JPEG")
    return buffer.getvalue()


def test_kitty_gets_a_png_in_chunks_and_is_told_not_to_answer() -> None:
    sent = picture(photo(1600, 1200), "jpeg", "kitty")
    parts = re.findall(rb"\x1b_G([^;]*);([^\x1b]*)\x1b\\", sent)
    shown = Image.open(io.BytesIO(base64.b64decode(b"".join(data for _, data in parts))))

    assert parts[0][0].startswith(b"a=T,f=100,q=2,c=")
    assert [b"m=1" in keys for keys, _ in parts] == [True] * (len(parts) - 1) + [False]
    assert max(len(data) for _, data in parts) <= 4096
    assert (shown.format, shown.size) == ("PNG", (800, 600))


def test_iterm2_gets_one_inline_file() -> None:
    sent = picture(PNG, "png", "iterm2")
    found = re.fullmatch(rb"\x1b\]1337;File=inline=1;size=(\d+);width=\d+;preserveAspectRatio=1:([^\x07]*)\x07\n", sent)

    assert found is not None
    assert base64.b64decode(found[2]) == PNG
    assert int(found[1]) == len(PNG)


def sixels(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(x, y, colour) of every pixel that is set, by the rules of the manual."""
    body = data[data.index(b"q") + 1 : -2]
    x = y = colour = 0
    for token in re.findall(rb'"[\d;]+|#\d+;2;\d+;\d+;\d+|#\d+|!\d+.|.', body, re.DOTALL):
        if token[:1] == b'"' or b";2;" in token:
            continue
        if token[:1] == b"#":
            colour = int(token[1:])
        elif token == b"$":
            x = 0
        elif token == b"-":
            x, y = 0, y + 6
        else:
            count, value = (int(token[1:-1]), token[-1]) if token[:1] == b"!" else (1, token[0])
            for column in range(x, x + count):
                yield from ((column, y + bit, colour) for bit in range(6) if value - 63 >> bit & 1)
            x += count


def test_sixels_paint_every_pixel_once_in_its_colour() -> None:
    original = Image.new("RGB", (17, 15), (255, 0, 0))
    original.paste((0, 0, 255), (5, 4, 12, 11))
    sent = sixel(original)
    painted = {(x, y): colour for x, y, colour in sixels(sent)}
    count = sum(1 for _ in sixels(sent))
    palette = {int(n): (int(r), int(g), int(b)) for n, r, g, b in re.findall(rb"#(\d+);2;(\d+);(\d+);(\d+)", sent)}

    assert sent.startswith(b'\x1bP0;1q"1;1;17;15')
    assert sent.endswith(b"\x1b\\")
    assert count == len(painted) == 17 * 15
    assert (palette[painted[0, 0]], palette[painted[5, 4]], palette[painted[12, 11]]) == (
        (100, 0, 0),
        (0, 0, 100),
        (100, 0, 0),
    )


def test_a_large_picture_is_bounded_as_sixels() -> None:
    sent = picture(photo(2000, 1000), "jpeg", "sixel")

    assert b'q"1;1;480;240' in sent
    assert len(sent) < 2_000_000
