"""Aspect ratios written `width:height`, and which of them a picture is nearest to."""

from collections.abc import Sequence
from math import inf, log


def nearest_ratio(width: int, height: int, ratios: Sequence[str]) -> str:
    """The one of `ratios` that is nearest to `width` x `height` pixels.

    Near means the least stretch: the distance of the logarithms, so that 2:1 is as far from 1:1 as 1:2 is. Of two
    equally near ones the first wins. Entries that are not ratios (`auto`) are passed over.

    Raises:
        ValueError: a side is not positive, or none of `ratios` is a ratio.
    """
    if width < 1 or height < 1:
        raise ValueError(f"a picture has positive sides, not {width} x {height}")
    own = log(width) - log(height)
    nearest, distance = None, inf
    for ratio in ratios:
        across, _, down = ratio.partition(":")
        if not (across.isdecimal() and down.isdecimal() and int(across) and int(down)):
            continue
        away = abs(own - log(int(across)) + log(int(down)))
        if away < distance:
            nearest, distance = ratio, away
    if nearest is None:
        raise ValueError("there is no ratio to choose from")
    return nearest
