"""What the illustrator costs: processor seconds for a picture on one core, by size and style, and memory of a process.

    .venv/bin/python bench/illustrator.py [--sizes 1k 2k 4k] [--segmenter]

Processor time, because it says nearly the same on a busy machine. Every size runs in a process of its own, which has
drawn once before. `--segmenter` measures what the first Chinese prompt brings into a drawing process instead.
"""

import argparse
import resource
import subprocess
import sys
import time

from cavendish.engines.illustrator.draw import draw
from cavendish.ports import EngineImage, ImageRequest

SIDES = {"1k": 1024, "2k": 2048, "4k": 4096}
STYLES = (
    "",
    "photorealistic",
    "watercolour",
    "oil painting",
    "ink painting",
    "pixel art",
    "pencil sketch",
    "3D render",
)
PROMPTS = (
    "three cats and a dog in a garden in spring",
    "一只橘猫坐在窗台上看雨",
    "a red car on a rainy city street at night",
)


def drawn(prompt: str, side: int) -> float:
    """Processor seconds for one picture."""
    request = ImageRequest(
        task_id="bench", model="google/nano-banana-pro", upstream_models=(), prompt=prompt, aspect_ratio="1:1",
        resolution="1k", width=side, height=side, output_format="png",
    )  # fmt: skip
    began = time.process_time()
    assert isinstance(draw(request), EngineImage)
    return time.process_time() - began


def measure(size: str) -> None:
    """One line for each style, and what the process held at most."""
    first = drawn(PROMPTS[0], 256)
    for style in STYLES:
        seconds = sorted(drawn(f"{prompt}, {style}" if style else prompt, SIDES[size]) for prompt in PROMPTS)
        print(f"{size}  {style or 'as drawn':16} {seconds[0]:5.2f} to {seconds[-1]:5.2f} s")
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{size}  at most {most:.0f} MB; first picture {first:.2f} s")


def segmenter() -> None:
    """Seconds and memory of the first cut, and seconds for 10,000 Chinese characters after it."""
    from cavendish.engines.illustrator.cutting import cut
    from cavendish.engines.illustrator.vocabulary import vocabulary

    words = vocabulary()
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    cut("橘猫", words)
    took, grown = time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(f"first Chinese prompt: {took:.2f} s, {grown / 1024:.0f} MB")
    began = time.process_time()
    cut("一只橘猫坐在窗台上看雨" * 1000, words)
    print(f"10,000 characters: {time.process_time() - began:.2f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--segmenter", action="store_true")
    parser.add_argument("--one", choices=SIDES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.segmenter:
        segmenter()
    elif arguments.one:
        measure(arguments.one)
    else:
        for size in arguments.sizes:
            subprocess.run([sys.executable, __file__, "--one", size], check=True)
