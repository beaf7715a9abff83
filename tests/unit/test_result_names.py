"""Names of stored images: unguessable, and neighbours in time share a folder."""

from cavendish.domain.results import SHELF_NAMES, Shelf, is_name, result_blob


def test_every_name_of_a_shelf_is_another_and_could_be_one_of_ours() -> None:
    shelf = Shelf()
    names = [shelf.new_name("png") for _ in range(5 * SHELF_NAMES)]
    assert len({name[2:] for name in names}) == len(names), "the 120 bits after the folder are each name's own"
    assert all(map(is_name, names))


def test_pictures_that_are_made_one_after_another_share_a_folder() -> None:
    shelf = Shelf()
    names = [shelf.new_name("webp") for _ in range(3 * SHELF_NAMES)]
    for start in range(0, len(names), SHELF_NAMES):
        assert len({result_blob(name).rpartition("/")[0] for name in names[start : start + SHELF_NAMES]}) == 1


def test_two_workers_never_draw_the_same_names() -> None:
    first, second = Shelf(), Shelf()
    assert not {first.new_name("png")[2:] for _ in range(200)} & {second.new_name("png")[2:] for _ in range(200)}
