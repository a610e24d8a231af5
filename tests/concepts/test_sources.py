"""Sources by name, and sources made from other sources."""

from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from unitscope.concepts.sources import (
    limit,
    open_source,
    peek,
    shuffle_labels,
    source_digest,
    source_spec,
    split_source,
)
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


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    for name in ("street/a.png", "street/b.png", "beach/c.png"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / "data" / name)
    return tmp_path / "data"


def test_a_folder_opens_by_its_text_with_options(scenes: Path) -> None:
    source = open_source(f"folder:{scenes},category=texture,limit=2")
    assert len(source) == 2
    assert source.vocabulary.categories == ("texture",)


def test_a_spec_opens_the_same_source_again(scenes: Path) -> None:
    source = open_source(f"folder:{scenes},limit=3,shuffle=4")
    again = open_source(source_spec(source))
    assert source_digest(again) == source_digest(source)
    assert [again[i].ids for i in range(3)] == [source[i].ids for i in range(3)]


def test_a_folder_with_a_comma_in_its_name_wins(scenes: Path) -> None:
    odd = scenes.rename(scenes.parent / "data,category=texture")
    assert open_source(f"folder:{odd}").vocabulary.categories == ("scene",)
    assert open_source(f"folder:{odd},category=part").vocabulary.categories == ("part",)


def test_broden_opens_by_its_text(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a folder; wanted Broden's"):
        open_source(f"broden:{tmp_path}/none,split=val,categories=object+part")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("voc:DIR", "wanted folder:DIR, broden:DIR or drawn"),
        ("folder", "wanted folder:DIR, broden:DIR or drawn"),
        ("", "wanted folder:DIR, broden:DIR or drawn"),
        (
            "folder:DIR,colour=red",
            "folder has no option 'colour'; it has category, split, masks, limit, shuffle, half",
        ),
        (
            "broden:DIR,category=x",
            "broden has no option 'category'; it has split, categories, limit, shuffle, half",
        ),
        ("drawn:number=3", "drawn has no option 'number'; it has count, seed, size, limit, shuffle, half"),
        ("drawn:200", "'200' is no option; wanted key=value"),
        ("drawn:count=many", "count='many': wanted a whole number"),
        ("folder:DIR,split=a,split=b", "'split' is given twice"),
    ],
)
def test_wrong_texts_are_told_what_exists(spec: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_source(spec)
    assert message in str(caught.value)


def test_limit_keeps_the_first(scenes: Path) -> None:
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


def test_a_half_opens_by_its_text(scenes: Path) -> None:
    world = open_source("drawn:count=20,size=64,half=test:0.7:3")
    assert len(world) == 6
    assert source_spec(world) == "drawn:count=20,seed=0,size=64,half=test:0.7:3"
    assert source_digest(open_source(source_spec(world))) == source_digest(world)
    folder = open_source(f"folder:{scenes},half=train")
    assert source_spec(folder).endswith(",half=train")
    assert source_digest(folder) != source_digest(open_source(f"folder:{scenes},half=test"))
    assert len(open_source(f"folder:{scenes},half=train,limit=1")) == 1
    with pytest.raises(IndexError):
        world[6]


@pytest.mark.parametrize(
    ("half", "message"),
    [
        ("left", "half='left': wanted train or test"),
        ("test:many", "wanted train or test, or train:SHARE:SEED"),
        ("test:0.5:1:2", "wanted train or test, or train:SHARE:SEED"),
        ("test:0.5:x", "wanted train or test, or train:SHARE:SEED"),
        ("test:1.5", "a share of 1.5"),
        ("test:nan", "a share of nan"),
        ("test:0.5:-1", "the seed of a split is -1"),
        ("test:0.99", "the test half of 7 images is empty"),
    ],
)
def test_a_wrong_half_is_told(half: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_source(f"drawn:count=7,size=64,half={half}")
    assert message in str(caught.value)
    with pytest.raises(UsageError, match="no half 'both'"):
        split_source(Letters(), "both")


def test_peeking_says_what_opening_says(scenes: Path) -> None:
    for text in ("drawn:count=9,seed=2,size=64", f"folder:{scenes}"):
        for options in ("", ",limit=3", ",shuffle=1", ",half=train,shuffle=2,limit=1", ",limit=3,half=train"):
            source = open_source(text + options)
            for index in range(len(source)):
                assert peek(source, index) == (source[index].key, source[index].ids)
    assert peek(Letters(), 2) == ("2", (3,))
