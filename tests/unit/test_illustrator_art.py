"""The drawings and the vocabulary: data that must fit together."""

import io
import re
from importlib.resources import files

import msgspec
import pytest
import resvg_py
from PIL import Image

from cavendish.engines.illustrator import vocabulary as package
from cavendish.engines.illustrator.art import Spot, drawing, placed, table
from cavendish.engines.illustrator.palette import Light, bright, tone
from cavendish.engines.illustrator.plates import manner
from cavendish.engines.illustrator.stage import scenery
from cavendish.engines.illustrator.styles import looks
from cavendish.engines.illustrator.vocabulary import vocabulary

ART = files(package.__package__) / "art"
FILES = sorted(entry.name.removesuffix(".svg") for entry in (ART / "subjects").iterdir() if entry.name.endswith(".svg"))


def test_every_drawing_has_a_row_and_every_row_a_drawing() -> None:
    drawn = {row.svg or subject for subject, row in vocabulary().subjects.items()}
    assert drawn == set(FILES)
    assert len(FILES) >= 30


def test_every_subject_is_named_in_both_languages() -> None:
    assert not [subject for subject, row in vocabulary().subjects.items() if not (row.en and row.zh)]


def test_no_two_subjects_share_a_name() -> None:
    owners: dict[str, list[str]] = {}
    for subject, row in vocabulary().subjects.items():
        for name in (*row.en, *row.zh):
            owners.setdefault(name.lower(), []).append(subject)
    assert {name: who for name, who in owners.items() if len(who) > 1} == {}


@pytest.mark.parametrize("subject", sorted(vocabulary().subjects))
def test_every_pose_is_drawn_and_uses_only_roles_that_the_row_colors(subject: str) -> None:
    row = vocabulary().subjects[subject]
    art = drawing(row.svg or subject)
    for name, pose in art.poses.items():
        roles = set(re.findall(r"role:([a-z0-9]+)", art.defs + pose.body))
        assert roles == roles & set(row.colors), name
        assert set(row.paint) <= roles
        body = placed(row.svg or subject, pose, row.colors, Spot(60, 110, 100), Light(), "t")
        svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="120" height="120">{body}</svg>'
        image = Image.open(io.BytesIO(resvg_py.svg_to_bytes(svg_string=svg, skip_system_fonts=True)))
        alpha = image.getchannel("A").histogram()
        assert sum(alpha[200:]) > 350, name
        assert "role:" not in body


def test_rows_refer_only_to_what_exists() -> None:
    grounds, skies = set(scenery().grounds), set(scenery().skies)
    rows = vocabulary().subjects
    assert {row.place for row in rows.values() if row.place} <= grounds
    assert {row.time for row in rows.values() if row.time} <= skies
    assert {name for ground in scenery().grounds.values() for name in ground.decor} <= set(rows)
    assert set(vocabulary().words["places"]) <= grounds
    assert set(vocabulary().words["times"]) <= skies
    assert set(vocabulary().words["weathers"]) <= set(scenery().weathers)


def test_every_style_of_the_vocabulary_has_a_look_and_its_plate() -> None:
    assert set(looks()) == set(vocabulary().words["styles"])
    assert {look.place for look in looks().values() if look.place} <= set(scenery().grounds)
    assert {look.time for look in looks().values() if look.time} <= set(scenery().skies)
    for look in looks().values():
        if look.over is not None:
            manner(look.over)  # raises for a plate that is not there


def test_a_malformed_row_is_reported_with_its_file_its_place_and_the_rule() -> None:
    with pytest.raises(msgspec.ValidationError, match=r"art/styles.toml: Expected `int`, got `.*` - at `\$\[\.\.\.\]"):
        table("styles", dict[str, dict[str, int]])


def test_tones_of_a_color_go_from_light_to_dark() -> None:
    for color in ("#d5382f", "#2f6fd0", "#f4f1ea", "#33313a", "#5c9e4a"):
        steps = [bright(tone(color, name)) for name in ("glow", "light", "shade", "deep", "line")]
        assert steps == sorted(steps, reverse=True)
        assert steps[0] > steps[-1]
