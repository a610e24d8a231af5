"""Sources made from other sources: what they hold, their digests and texts, and what is found inside."""

from dataclasses import dataclass
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unitscope.concepts.derived import (
    DerivedSource,
    find_inside,
    limit,
    peek,
    shuffle_labels,
    source_digest,
    source_spec,
    split_source,
    walk,
)
from unitscope.concepts.quadrants import split_quadrants
from unitscope.concepts.segmented import SegmentedSource
from unitscope.concepts.vocabulary import Concept, ConceptSource, Example, Vocabulary
from unitscope.errors import UsageError


class Letters:
    """A source that knows nothing of digests and specs."""

    vocabulary = Vocabulary(tuple(Concept(n, chr(96 + n), "object") for n in range(1, 8)))

    def __len__(self) -> int:
        return 7

    def __getitem__(self, index: int, /) -> Example:
        planes = np.full((1, 2, 2 + index), index + 1, np.uint16)
        void = np.ones((2, 2 + index), bool)
        image = np.full((2, 2, 3), index, np.uint8)
        return Example(str(index), image, planes, (index + 1,), void)


class Digested(Letters):
    digest, spec = "0" * 64, "letters"


def test_limit_keeps_the_first() -> None:
    source = limit(Letters(), 3)
    assert isinstance(source, ConceptSource)
    assert [source[i].key for i in range(len(source))] == ["0", "1", "2"]
    with pytest.raises(IndexError):
        source[3]
    assert len(limit(Letters(), 100)) == 7
    with pytest.raises(UsageError, match="leaves nothing"):
        limit(Letters(), 0)


@pytest.mark.parametrize("seed", range(5))
def test_shuffled_labels_all_come_from_another_image(seed: int) -> None:
    source = shuffle_labels(Letters(), seed)
    examples = [source[i] for i in range(7)]
    assert [example.key for example in examples] == [str(i) for i in range(7)]
    assert [int(example.image[0, 0, 0]) for example in examples] == list(range(7))
    donors = [example.ids[0] - 1 for example in examples]
    assert sorted(donors) == list(range(7))
    assert all(donor != i for i, donor in enumerate(donors))
    for donor, example in zip(donors, examples, strict=True):
        assert (example.planes == donor + 1).all()
        assert example.void is not None
        assert example.void.shape == (2, 2 + donor)


def test_shuffles_are_told_apart_by_seed() -> None:
    assert source_digest(shuffle_labels(Letters(), 0)) != source_digest(shuffle_labels(Letters(), 1))
    assert source_spec(shuffle_labels(Letters(), 1)) == "Letters of 7 images, 7 concepts,shuffle=1"
    with pytest.raises(UsageError, match="at least 2 images"):
        shuffle_labels(limit(Letters(), 1), 0)


def test_peeking_opens_what_cannot_be_peeked_at() -> None:
    assert peek(Letters(), 2) == ("2", (3,))


def test_a_half_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UsageError, match="no half 'both'"):
        split_source(Letters(), "both")


def test_any_source_has_a_digest_and_a_spec() -> None:
    assert len(source_digest(Letters())) == 64
    assert source_digest(Letters()) != source_digest(limit(Letters(), 3))
    assert source_spec(Letters()) == "Letters of 7 images, 7 concepts"


class Named(Letters):
    """Two labels, unequally often, and images without."""

    vocabulary = Vocabulary(tuple(Concept(n, chr(96 + n), "scene") for n in range(1, 8)))

    def __init__(self, labels: list[int], order: list[int] | None = None) -> None:
        self.labels, self.order = labels, order or list(range(len(labels)))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int, /) -> Example:
        number = self.order[index]
        ids = (self.labels[number],) if self.labels[number] else ()
        return Example(f"k{number}", np.zeros((2, 2, 3), np.uint8), ids=ids)


def keys(source: ConceptSource) -> set[str]:
    return {source[i].key for i in range(len(source))}


@given(
    st.lists(st.integers(0, 4), min_size=4, max_size=60),
    st.sampled_from((0.2, 0.5, 0.7)),
    st.integers(0, 3),
    st.randoms(),
)
def test_halves_share_nothing_and_have_the_same_mix(
    labels: list[int], share: float, seed: int, chance: Random
) -> None:
    whole = Named(labels)
    train = split_source(whole, "train", share=share, seed=seed)
    test = split_source(whole, "test", share=share, seed=seed)
    assert keys(train) | keys(test) == keys(whole)
    assert not keys(train) & keys(test)
    assert abs(len(train) - share * len(labels)) <= 0.5 + 1e-9
    for label in set(labels):
        taken = sum(train[i].ids == ((label,) if label else ()) for i in range(len(train)))
        assert abs(taken - share * labels.count(label)) < 1 + 1e-9
    order = list(range(len(labels)))
    chance.shuffle(order)
    assert keys(split_source(Named(labels, order), "train", share=share, seed=seed)) == keys(train)


class Bright:
    """A segmenter that sees one thing everywhere."""

    name, digest = "bright", "1"
    vocabulary = Vocabulary((Concept(1, "bright", "object"),))

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return np.ones((len(images), 1, *images.shape[1:3]), np.uint16)


WRAPPERS = {
    "limit=3": lambda source: limit(source, 3),
    "shuffle=1": lambda source: shuffle_labels(source, 1),
    "quadrants=object": split_quadrants,
    "segmenter": lambda source: SegmentedSource(source, Bright()),
}


@pytest.mark.parametrize("outer", WRAPPERS)
@pytest.mark.parametrize("inner", WRAPPERS)
def test_what_is_inside_is_found_under_all_wrappers(inner: str, outer: str) -> None:
    letters = Letters()
    source = WRAPPERS[outer](WRAPPERS[inner](letters))
    assert [type(one) for one in walk(source)][2:] == [Letters]
    assert find_inside(source, Letters) is letters
    assert (find_inside(source, SegmentedSource) is None) == ("segmenter" not in (inner, outer))
    assert isinstance(source, ConceptSource)
    for index in range(len(source)):
        assert peek(source, index) == (source[index].key, source[index].ids)
        assert np.array_equal(source[index].image, letters[index].image)
    with pytest.raises(IndexError):
        source[len(source)]


@pytest.mark.parametrize("wrap", WRAPPERS)
def test_a_half_has_other_images_so_nothing_takes_its_numbers_for_those_inside(wrap: str) -> None:
    letters = Letters()
    for source in (
        split_source(WRAPPERS[wrap](letters), "test"),
        WRAPPERS[wrap](split_source(letters, "test")),
    ):
        assert list(walk(source))[-1] is letters
        assert find_inside(source, Letters) is None


def test_a_source_of_ones_own_is_walked_by_its_attribute() -> None:
    class Own(Letters):
        def __init__(self, source: ConceptSource) -> None:
            self.source = source

    letters = Letters()
    own = Own(letters)
    assert list(walk(limit(own, 2)))[1:] == [own, letters]
    assert find_inside(own, DerivedSource) is None


def test_a_derived_source_says_only_what_differs() -> None:
    @dataclass(frozen=True, eq=False)
    class Backwards(DerivedSource):
        same_images = False
        option = "backwards=1"

        def place(self, index: int) -> int:
            return len(self) - 1 - super().place(index)

    source = Backwards(Letters())
    assert [source[index].key for index in range(len(source))] == list("6543210")
    assert peek(source, 0) == ("6", (7,))
    assert source_spec(source) == "Letters of 7 images, 7 concepts,backwards=1"
    assert source_digest(source) != source_digest(Letters())
    assert find_inside(source, Letters) is None


def test_the_first_option_of_a_bare_name_follows_a_colon() -> None:
    class Named(Letters):
        spec = "my-letters"

    assert source_spec(limit(limit(Named(), 3), 2)) == "my-letters:limit=3,limit=2"


# What runs recorded before must be found again.
DIGESTS = {
    "limit=3": "4c8cef9983d730d6",
    "shuffle=1": "c758d5b1ae9e2719",
    "half=train": "c65efc2c7062ad1a",
    "half=test:0.7:2": "295d832d8045b54d",
    "quadrants=object": "a583cfa7e16f1c5e",
    "segmenter": "021f8672d5f3519c",
}


@pytest.mark.parametrize("how", DIGESTS)
def test_digests_are_those_of_earlier_runs(how: str) -> None:
    halves = {
        "half=train": lambda source: split_source(source, "train"),
        "half=test:0.7:2": lambda source: split_source(source, "test", share=0.7, seed=2),
    }
    source = (WRAPPERS | halves)[how](Digested())
    assert source_digest(source)[:16] == DIGESTS[how]
    text = "segmenter:bright,images=letters" if how == "segmenter" else f"letters:{how}"
    assert source_spec(source) == text
