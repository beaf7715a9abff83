from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cavendish.domain.aspect import nearest_ratio

RATIOS = ("1:1", "9:16", "16:9", "3:4", "4:3", "3:2", "2:3", "5:4", "4:5", "21:9", "auto")
SIDES = st.integers(1, 50_000_000)


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [
        (1000, 1000, "1:1"),
        (1920, 1080, "16:9"),
        (1080, 1920, "9:16"),
        (3024, 4032, "3:4"),
        (4000, 3000, "4:3"),
        (6336, 2688, "21:9"),
        (768, 1376, "9:16"),
        (1, 1_000_000, "9:16"),
        (1_000_000, 1, "21:9"),
        (1120, 1000, "5:4"),
        (1117, 1000, "1:1"),
    ],
)
def test_a_picture_gets_the_ratio_that_stretches_it_least(width: int, height: int, expected: str) -> None:
    assert nearest_ratio(width, height, RATIOS) == expected


def test_of_two_equally_near_ratios_the_first_wins() -> None:
    assert nearest_ratio(10, 10, ("1:2", "2:1")) == "1:2"
    assert nearest_ratio(10, 10, ("2:1", "1:2")) == "2:1"


@pytest.mark.parametrize(
    ("width", "height", "ratios"), [(0, 1, RATIOS), (1, -1, RATIOS), (1, 1, ()), (1, 1, ("auto",))]
)
def test_a_question_without_an_answer_is_an_error(width: int, height: int, ratios: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"picture|ratio"):
        nearest_ratio(width, height, ratios)


@given(SIDES, SIDES)
def test_no_other_ratio_is_nearer(width: int, height: int) -> None:
    def distance(ratio: str) -> float:
        across, down = map(int, ratio.split(":"))
        return abs(log(width / height) - log(across / down))

    chosen = nearest_ratio(width, height, RATIOS)

    assert all(distance(chosen) <= distance(ratio) + 1e-9 for ratio in RATIOS if ratio != "auto")


@given(st.sampled_from([r for r in RATIOS if r != "auto"]), st.integers(1, 1000))
def test_a_picture_of_exactly_a_ratio_gets_that_ratio(ratio: str, scale: int) -> None:
    across, down = map(int, ratio.split(":"))

    assert nearest_ratio(across * scale, down * scale, RATIOS) == ratio
