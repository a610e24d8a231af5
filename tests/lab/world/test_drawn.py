import numpy as np
import pytest

from unitscope.concepts.union.colors import COLOR_NAMES
from unitscope.concepts.vocabulary import ConceptSource, Example
from unitscope.errors import UsageError
from unitscope.lab.world import open_drawn
from unitscope.lab.world.canvas import Canvas
from unitscope.lab.world.light import Chance, choose_light
from unitscope.lab.world.names import (
    COLORS,
    OBJECT_IDS,
    OBJECT_PARTS,
    PART_IDS,
    SCENE_IDS,
    drawn_vocabulary,
)
from unitscope.lab.world.scenes import INDOORS, OUTDOORS

PLANES = ("object", "part", "material", "texture", "color")


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    world = open_drawn(count=400, seed=0, size=64)
    return [world[i] for i in range(400)]


def test_it_is_a_concept_source() -> None:
    world = open_drawn()
    assert isinstance(world, ConceptSource)
    assert len(world) == 500
    assert world.spec == "drawn:count=500,seed=0,size=224"


def test_a_picture_depends_on_seed_and_index_alone() -> None:
    first, second = open_drawn(count=20, seed=5, size=64), open_drawn(count=9, seed=5, size=64)
    there, back = [first[i] for i in (2, 8)], [second[i] for i in (8, 2)][::-1]
    for one, other in zip(there, back, strict=True):
        assert one.image.tobytes() == other.image.tobytes()
        assert one.planes.tobytes() == other.planes.tobytes()
        assert one.ids == other.ids


def test_another_seed_gives_another_picture() -> None:
    assert np.any(open_drawn(1, seed=0, size=64)[0].image != open_drawn(1, seed=1, size=64)[0].image)


def test_the_digest_changes_with_every_setting() -> None:
    settings = [(10, 0, 64), (11, 0, 64), (10, 1, 64), (10, 0, 65)]
    assert len({open_drawn(*setting).digest for setting in settings}) == 4


@pytest.mark.parametrize("size", [32, 64, 97, 256])
def test_any_size_shows_the_same_scene(size: int) -> None:
    example, small = open_drawn(3, size=size)[2], open_drawn(3, size=64)[2]
    assert example.image.shape == (size, size, 3)
    assert example.planes.shape == (5, size, size)
    assert example.ids == small.ids
    shown, wanted = set(np.unique(small.planes[0])), set(np.unique(example.planes[0]))
    assert len(shown & wanted) >= 0.7 * len(shown | wanted)


def test_every_plane_holds_concepts_of_its_category_only(examples: list[Example]) -> None:
    words = drawn_vocabulary()
    for place, category in enumerate(PLANES):
        ids = np.unique(np.concatenate([np.unique(e.planes[place]) for e in examples]))
        assert {words[int(i)].category for i in ids if i} == {category}


def test_every_concept_of_the_vocabulary_occurs(examples: list[Example]) -> None:
    words = drawn_vocabulary()
    seen = {int(i) for e in examples for i in np.unique(e.planes)} | {i for e in examples for i in e.ids}
    assert [words[i].name for i in sorted({concept.id for concept in words} - seen)] == []


def test_every_pixel_has_an_object_and_a_color(examples: list[Example]) -> None:
    for example in examples:
        assert example.planes[0].all()
        assert example.planes[4].all()


def test_parts_lie_inside_objects_that_have_them(examples: list[Example]) -> None:
    allowed = {(OBJECT_IDS[name], PART_IDS[part]) for name, parts in OBJECT_PARTS.items() for part in parts}
    for example in examples:
        pairs = np.unique(example.planes[:2].reshape(2, -1), axis=1).T
        assert {(int(o), int(p)) for o, p in pairs if p} <= allowed


def test_most_objects_occur_in_several_scenes(examples: list[Example]) -> None:
    scenes: dict[int, set[int]] = {i: set() for i in OBJECT_IDS.values()}
    for example in examples:
        for i in np.unique(example.planes[0]):
            scenes[int(i)].update(example.ids)
    assert sum(len(where) >= 3 for where in scenes.values()) >= 0.7 * len(scenes)


def test_every_scene_is_painted_somewhere() -> None:
    assert {*INDOORS, *OUTDOORS} == set(SCENE_IDS)


def test_color_ids_follow_the_color_names() -> None:
    assert COLORS == COLOR_NAMES


def test_a_part_that_an_object_does_not_have_is_refused() -> None:
    chance = Chance(0, 0)
    canvas = Canvas(32, chance, choose_light(chance))
    with pytest.raises(ValueError, match="add it in names"):
        canvas.ink("tree", "wheel")


@pytest.mark.parametrize(("count", "size"), [(0, 64), (-3, 64), (5, 31), (5, 5000)])
def test_impossible_wishes_are_refused(count: int, size: int) -> None:
    with pytest.raises(UsageError, match="the drawn world was asked for"):
        open_drawn(count=count, size=size)


@pytest.mark.parametrize("index", [-1, 4])
def test_past_the_end_there_is_nothing(index: int) -> None:
    with pytest.raises(IndexError):
        open_drawn(count=4, size=64)[index]
