"""Pictures in terminals that can show them: kitty's protocol, iTerm2's, sixel."""

import base64
import io
import os
import re
import select
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal

from cavendish.cli.sixel import sixel

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

Protocol = Literal["kitty", "iterm2", "sixel"]

_COLUMNS = 40
_PIXELS = 800
_SIXEL_PIXELS = 480
_CHUNK = 4096
_ANSWER_SECONDS = 0.3
_ATTRIBUTES = re.compile(rb"\x1b\[\?([\d;]*)c")


def detect(environment: Mapping[str, str], ask: Callable[[], bytes] | None = None) -> Protocol | None:
    """How this terminal shows pictures; None when it does not, or might not.

    Sources: kitty's "terminal graphics protocol"; iTerm2's "inline images protocol"; xterm's control sequences, DA1
    (attribute 4 is sixel).

    Args:
        ask: sends the terminal a DA1 request and gives its answer; None: it cannot be asked.
    """
    term, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
    if term in ("", "dumb", "linux"):
        return None
    # Inside a multiplexer the variables are those of the terminal around it, which gets no picture through.
    if not (environment.get("TMUX") or term.startswith(("screen", "tmux"))):
        if environment.get("KITTY_WINDOW_ID") or "kitty" in term or "ghostty" in f"{term} {program.lower()}":
            return "kitty"
        if program in ("iTerm.app", "WezTerm", "mintty") or environment.get("LC_TERMINAL") == "iTerm2":
            return "iterm2"
    found = _ATTRIBUTES.search(ask()) if ask is not None else None
    return "sixel" if found is not None and b"4" in found[1].split(b";") else None


def ask_terminal() -> bytes:
    """Ask the terminal for its attributes, and wait a moment for the answer; `b""` when there is none.

    Nothing is asked when something was typed ahead, which would be swallowed, nor from the background.
    """
    try:
        import termios
        import tty
    except ImportError:  # Windows
        return b""
    answer = b""
    try:
        descriptor = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return b""
    try:
        if os.tcgetpgrp(descriptor) != os.getpgrp() or select.select([descriptor], [], [], 0)[0]:
            return b""
        before = termios.tcgetattr(descriptor)
        try:
            tty.setcbreak(descriptor, termios.TCSANOW)
            os.write(descriptor, b"\x1b[c")
            ends_at = time.monotonic() + _ANSWER_SECONDS
            while not answer.endswith(b"c") and len(answer) < 200:
                left = ends_at - time.monotonic()
                if left <= 0 or not select.select([descriptor], [], [], left)[0]:
                    break
                answer += os.read(descriptor, 64)
        finally:
            termios.tcsetattr(descriptor, termios.TCSANOW, before)
    except (OSError, termios.error):
        return b""
    finally:
        os.close(descriptor)
    return answer


def detect_here() -> Protocol | None:
    """How the terminal at standard output shows pictures."""
    if not sys.stdout.isatty():
        return None
    return detect(os.environ, ask_terminal if sys.stdin.isatty() else None)


def picture(data: bytes, image_format: str, protocol: Protocol) -> bytes:
    """What to write to the terminal so that it shows the picture, about 40 columns wide; ends with a new line."""
    columns = min(_COLUMNS, shutil.get_terminal_size().columns - 2)
    if protocol == "sixel":
        return sixel(_thumbnail(data, _SIXEL_PIXELS).convert("RGB")) + b"\n"
    small = data if image_format == "png" and len(data) < 200_000 else _png(data)
    if protocol == "kitty":
        return _kitty(small, columns) + b"\n"
    arguments = f"inline=1;size={len(small)};width={columns};preserveAspectRatio=1"
    return b"\x1b]1337;File=" + arguments.encode() + b":" + base64.b64encode(small) + b"\x07\n"


def _kitty(png: bytes, columns: int) -> bytes:
    encoded = base64.b64encode(png)
    chunks = [encoded[at : at + _CHUNK] for at in range(0, len(encoded), _CHUNK)]
    parts = []
    for number, chunk in enumerate(chunks):
        # q=2: the terminal must not answer, since nobody reads it.
        first = f"a=T,f=100,q=2,c={columns}," if number == 0 else "q=2,"
        parts.append(f"\x1b_G{first}m={int(number < len(chunks) - 1)};".encode() + chunk + b"\x1b\\")
    return b"".join(parts)


def _png(data: bytes) -> bytes:
    buffer = io.BytesIO()
    _thumbnail(data, _PIXELS).save(buffer, "PNG")
    return buffer.getvalue()


def _thumbnail(data: bytes, pixels: int) -> "Picture":
    from PIL import Image  # late: most calls show nothing

    small: Picture = Image.open(io.BytesIO(data))
    small.draft("RGB", (pixels, pixels))
    small.thumbnail((pixels, pixels))
    return small if small.mode in ("RGB", "RGBA", "L", "P") else small.convert("RGB")
