"""One request to one PNG: the function that runs in a drawing process."""

from cavendish.domain.text import Text
from cavendish.engines.illustrator.cards import abstract, social_post, titled
from cavendish.engines.illustrator.chance import Chance
from cavendish.engines.illustrator.composer import compose
from cavendish.engines.illustrator.reader import read
from cavendish.engines.illustrator.render import Picture, render
from cavendish.engines.illustrator.scene import Scene
from cavendish.engines.illustrator.vocabulary import vocabulary
from cavendish.ports import EngineImage, ImageRequest

NOTE = "Drawn by the illustrator: a procedural vector picture, not the work of a neural model."


def draw(request: ImageRequest) -> EngineImage | Text:
    """The picture for `request` at its exact pixels, or the sentence that says why an input image cannot be used."""
    if request.images:  # imported only then: opencv and numpy take time and memory
        from cavendish.engines.illustrator.editing.edit import edit

        return edit(request)
    pixels = (request.width, request.height)
    # The resolution is left out on purpose: the 4k picture is the 1k picture, sharper.
    lots = Chance(request.prompt, request.aspect_ratio, request.seed)
    scene = read(request.prompt, vocabulary())
    return EngineImage(render(picture_of(scene, lots, pixels), pixels), NOTE)


def picture_of(scene: Scene, lots: Chance, pixels: tuple[int, int]) -> Picture:
    """The kind of picture that suits the scene: a post, a staged scene, or an abstract composition."""
    width, height = (side * 1000 / min(pixels) for side in pixels)
    if scene.layout == "post":
        return social_post(scene, lots, width, height)
    picture = abstract(scene, lots, width, height) if scene.empty else compose(scene, lots, width, height)
    return titled(picture, scene, lots)
