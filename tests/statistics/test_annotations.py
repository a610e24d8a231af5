import itertools

import numpy as np
import pytest

import made
from unitscope.concepts.vocabulary import Example
from unitscope.errors import SourceError
from unitscope.statistics.annotations import LabelIndex, annotate, merge_annotations

SIZE = (9, 11)


def decode(annotations):
    """The coded planes of every image, void last."""
    arrays = annotations.arrays
    rows = iter(arrays["per_row"])
    segments = iter(zip(arrays["ends"], arrays["ids"], strict=True))
    for planes in arrays["planes"]:
        yield [[_row(next(rows), segments) for _ in range(SIZE[0])] for _ in range(planes)]


def _row(count, segments):
    row = np.zeros(SIZE[1], np.uint16)
    start = 0
    for end, identity in itertools.islice(segments, count):
        row[start:end] = identity
        start = end
    return row


@pytest.mark.parametrize("doubles", ["twice", "truth-twice", "once"])
def test_planes_survive_packing_and_areas_are_counted(doubles):
    rng = np.random.default_rng(3)
    for _ in range(30):
        example = made.label_image(rng, SIZE)
        packed = annotate(example, SIZE, doubles, made.WORDS)
        planes = np.array(next(decode(packed))).reshape(-1, *SIZE)
        valid = np.ones(SIZE, bool) if example.void is None else ~example.void
        if not valid.all():
            np.testing.assert_array_equal(planes[0] == made.WORDS.size, ~valid)
        for concept in made.WORDS:
            layers = [(plane == concept.id) & valid for plane in example.planes]
            layers += [valid] * example.ids.count(concept.id)
            once = np.any(layers, axis=0) if layers else np.zeros(SIZE, bool)
            coded = sum((plane == concept.id).sum() for plane in planes)
            coded += list(packed.arrays["scalars"]).count(concept.id) * valid.sum()
            assert coded == (sum(part.sum() for part in layers) if doubles == "twice" else once.sum())
            area = packed.concept_pixels(made.WORDS.size)[concept.id]
            assert area == (once.sum() if doubles == "once" else sum(part.sum() for part in layers))


def test_merge_is_associative_and_commutative():
    rng = np.random.default_rng(1)
    parts = [annotate(made.label_image(rng, SIZE), SIZE, "twice", made.WORDS, number) for number in range(3)]
    whole = merge_annotations(parts)
    for a, b, c in itertools.permutations(parts):
        for merged in (a.merge(b).merge(c), a.merge(b.merge(c))):
            assert all(np.array_equal(merged.arrays[name], array) for name, array in whole.arrays.items())


def test_categories_of_an_image_are_those_of_its_labels():
    example = Example("a", np.zeros((9, 11, 3), np.uint8), np.full((1, *SIZE), 5, np.uint16), (9,))
    index = LabelIndex(annotate(example, SIZE, "twice", made.WORDS), made.WORDS)
    bits = int(index.image_categories[0])
    assert [name for k, name in enumerate(made.WORDS.categories) if bits >> k & 1] == ["scene", "color"]


@pytest.mark.parametrize(
    ("planes", "ids", "message"),
    [
        (np.full((1, *SIZE), 12, np.uint16), (), "label 12 is not in the vocabulary"),
        (np.full((1, *SIZE), 4, np.uint16), (), "label 4 is not in the vocabulary"),
        (np.zeros((1, 4, 4), np.uint16), (), "labels are 4x4, the masks of this run 9x11"),
        (np.zeros((0, 1, 1), np.uint16), (40,), "label 40"),
    ],
)
def test_labels_that_cannot_be_are_refused(planes, ids, message):
    example = Example("a.jpg", np.zeros((9, 11, 3), np.uint8), planes, ids)
    with pytest.raises(SourceError, match=f"a.jpg: {message}"):
        annotate(example, SIZE, "twice", made.WORDS)
