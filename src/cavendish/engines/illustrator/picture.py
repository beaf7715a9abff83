"""One request to one PNG: the function that runs in a drawing process."""

from cavendish.domain.text import Text
from cavendish.engines.illustrator.chance import Chance
from cavendish.engines.illustrator.composer import compose
from cavendish.engines.illustrator.reader import read
from cavendish.engines.illustrator.render import render
from cavendish.engines.illustrator.vocabulary import vocabulary
from cavendish.ports import EngineImage, ImageRequest

NOTE = "Drawn by the illustrator: a procedural vector picture, not the work of a neural model."


def draw(request: ImageRequest) -> EngineImage | Text:
    """The picture for `request` at its exact pixels, or the sentence that says why an input image cannot be used."""
    pixels = (request.width, request.height)
    # The resolution is left out on purpose: the 4k picture is the 1k picture, sharper.
    lots = Chance(request.prompt, request.aspect_ratio, request.seed)
    scene = read(request.prompt, vocabulary())
    return EngineImage(render(compose(scene, lots, pixels), pixels), NOTE)
