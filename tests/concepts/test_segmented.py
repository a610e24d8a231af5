"""Labels from a segmenter: the same as segmenting image by image, whatever the order."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

import made
from unitscope.concepts.derived import source_digest
from unitscope.concepts.segmented import Blocks, SegmentedSource
from unitscope.concepts.vocabulary import Concept, ConceptSource, Example, Vocabulary


class Brightness:
    """Calls bright pixels 1 and dark ones 2; counts how often it is called."""

    name, digest = "brightness", "1"
    vocabulary = Vocabulary((Concept(1, "bright", "object"), Concept(2, "dark", "object")))

    def __init__(self):
        self.calls = 0

    def __call__(self, images):
        self.calls += 1
        return np.where(images.mean(3) > 127, 1, 2).astype(np.uint16)[:, None]


def images(count=20, sizes=((8, 8),)):
    rng = np.random.default_rng(0)
    return made.Stored(
        [
            Example(f"{i}", rng.integers(0, 256, (*sizes[i % len(sizes)], 3), np.uint8), ids=(9,))
            for i in range(count)
        ]
    )


def test_planes_are_the_segmenters_and_other_labels_are_gone():
    plain, segmenter = images(), Brightness()
    source = SegmentedSource(plain, segmenter)
    assert isinstance(source, ConceptSource)
    assert source.vocabulary is segmenter.vocabulary
    for i in (19, 0, 7):
        example = source[i]
        np.testing.assert_array_equal(example.planes, segmenter(plain[i].image[None])[0])
        assert (example.ids, example.void, example.key) == ((), None, f"{i}")


def test_images_are_segmented_in_blocks():
    source = SegmentedSource(images(20), segmenter := Brightness())
    for i in range(20):
        assert source[i].key == f"{i}"
    assert segmenter.calls == 2


def test_images_of_several_sizes_are_segmented_one_by_one():
    plain = images(5, ((8, 8), (6, 10)))
    source = SegmentedSource(plain, Brightness())
    assert [source[i].planes.shape[1:] for i in range(3)] == [(8, 8), (6, 10), (8, 8)]


def test_the_digest_changes_with_the_segmenter():
    one, other = SegmentedSource(images(), Brightness()), SegmentedSource(images(), Brightness())
    other.segmenter.digest = "2"
    assert source_digest(one) != source_digest(other)
    assert one.spec.startswith("segmenter:brightness,images=")


def test_a_block_is_made_once_while_it_is_remembered():
    made = []
    blocks = Blocks(4, lambda start: made.append(start) or [start + k for k in range(4)], keep=2)
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(blocks.__getitem__, list(range(8)) * 20)) == list(range(8)) * 20
    assert sorted(made) == [0, 4]


def test_the_oldest_block_is_forgotten_first():
    made = []
    blocks = Blocks(1, lambda start: made.append(start) or [start], keep=2)
    assert [blocks[i] for i in (0, 1, 0, 2, 0, 1)] == [0, 1, 0, 2, 0, 1]
    assert made == [0, 1, 2, 1]
