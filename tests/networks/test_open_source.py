"""Sources that take a network: their spelling, and what is said of a wrong one."""

import sys

import numpy as np
import pytest
import torch

from unitscope.concepts.derived import source_digest
from unitscope.concepts.segmented import SegmentedSource
from unitscope.errors import NetworkError, UsageError
from unitscope.networks.generators import GeneratedImages, find_generated
from unitscope.networks.load import load_network
from unitscope.networks.network_sources import hold_out, load_segmenter
from unitscope.networks.open_source import open_source

OWN = """
import numpy as np
from unitscope import Concept, Vocabulary

class Bright:
    name, digest = "bright", "1"
    vocabulary = Vocabulary((Concept(1, "bright", "object"),))
    def __call__(self, images):
        return (images.mean(3) > 127).astype(np.uint16)[:, None]

def bright(): return Bright()
def number(): return 3
def broken(): raise ValueError("first\\nsecond")
"""

DRAWN = """
from torch import nn
from unitscope import Concept, Network, Vocabulary
from unitscope.networks.segmentation.network_segmenter import NetworkSegmenter

def drawn():
    words = Vocabulary((Concept(1, "bright", "object"),))
    return NetworkSegmenter(Network(nn.Conv2d(3, 2, 1)), words, ((0, 1),))
"""


PACKAGE = """
import numpy as np
from unitscope import Concept, Example, Vocabulary
from unitscope.plugins import Kind

WORDS = Vocabulary((Concept(1, "dark", "object"),))

class Shades:
    vocabulary = WORDS
    def __init__(self, place, count):
        self.spec, self.count = f"shades:{place},count={count}", count
    def __len__(self): return self.count
    def __getitem__(self, index):
        return Example(f"{index}", np.full((8, 8, 3), range(self.count)[index], np.uint8))

class Dark:
    name, digest, vocabulary = "dark", "1", WORDS
    def __call__(self, images):
        return (images.mean(3) < 3).astype(np.uint16)[:, None]

def shades(place, options): return Shades(place, int(options["count"]))
SHADES = Kind(shades, "shades:PLACE,count=N", "", ("count",))
DARK = Kind(lambda spec: Dark(), "dark:ANY")
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package that brings a source and a segmenter, by name and by the ending of a file."""
    (tmp_path / "shades_of_gray.py").write_text(PACKAGE)
    (tmp_path / "shades_of_gray-1.dist-info").mkdir()
    (tmp_path / "shades_of_gray-1.dist-info" / "METADATA").write_text("Name: shades-of-gray\nVersion: 1\n")
    (tmp_path / "shades_of_gray-1.dist-info" / "entry_points.txt").write_text(
        "[unitscope.sources]\nshades = shades_of_gray:SHADES\n"
        "[unitscope.segmenters]\ndark = shades_of_gray:DARK\n.dark = shades_of_gray:DARK\n"
    )
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("package")
def test_packages_bring_sources_and_segmenters():
    source = open_source("shades:x,count=9,limit=5")
    assert (len(source), source.spec) == (5, "shades:x,count=9,limit=5")
    for name in ("dark:any", "some/file.dark", "file.dark,option=1"):
        seen = open_source(f"segmenter:{name},images=shades:x,count=6,half=train,quadrants=object")
        assert len(seen) == 3
        assert [concept.name for concept in seen.vocabulary][:2] == ["dark", "dark-t"]
        assert source_digest(open_source(seen.spec)) == source_digest(seen)
    with pytest.raises(UsageError, match="shades has no option 'size'; it has count, limit"):
        open_source("shades:x,size=3")
    with pytest.raises(UsageError, match="'shades:count=3' does not say what to open; wanted shades:PLACE"):
        open_source("shades:count=3")
    with pytest.raises(UsageError, match=r"near names: shades, .*, drawn\[.* or shades:PLACE,count=N"):
        open_source("shadse:x")
    with pytest.raises(UsageError, match=r"no segmenter 'dork:x'; near names: dark, .dark; wanted hf:"):
        load_segmenter("dork:x")


@pytest.fixture
def own(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    return tmp_path / "own.py"


def test_a_segmenter_of_ones_own_labels_any_source(own):
    source = open_source(f"segmenter:{own}:bright,images=drawn:count=3,seed=1,size=64")
    assert isinstance(source, SegmentedSource)
    image = source[2].image
    assert np.array_equal(source[2].planes[0] > 0, image.mean(2) > 127)


def test_the_zoo_segmenter_labels_drawn_scenes_mostly_right():
    true = open_source("drawn:count=12,seed=2000,size=64")
    seen = open_source("segmenter:zoo:segmenter,images=drawn:count=12,seed=2000,size=64")
    names = {c.id: c.name for c in true.vocabulary if c.category == "object"}
    numbers = {c.name: c.id for c in seen.vocabulary if c.category == "object"}
    right = total = 0
    for index in range(12):
        objects = true[index].planes[0]
        wanted = np.vectorize(lambda one: numbers.get(names.get(int(one), ""), 0))(objects)
        named = wanted > 0
        right += (seen[index].planes[0] == wanted)[named].sum()
        total += named.sum()
    assert right / total > 0.7


def test_generated_images_are_opened_with_count_and_seed():
    source = open_source("generator:zoo:generator,count=5,seed=3")
    assert isinstance(source, GeneratedImages)
    assert (len(source), source.generator.seed) == (5, 3)
    assert open_source(source.spec)[4].image.tobytes() == source[4].image.tobytes()


def test_generated_images_are_limited_as_those_of_any_source():
    source = open_source("generator:zoo:generator,count=5,seed=3,limit=2")
    assert (len(source), find_generated(source).count) == (2, 5)
    assert find_generated(open_source("generator:zoo:generator,count=5,half=test")) is None


def test_held_out_images_of_a_generator_are_labelled_alike():
    source, others = hold_out(
        open_source("segmenter:zoo:segmenter,count=3,quadrants=object", load_network("zoo:generator")), 2
    )
    assert others.vocabulary == source.vocabulary
    assert (
        others.spec
        == "segmenter:zoo:segmenter,images=generator:zoo:generator,count=2,seed=1,quadrants=object"
    )
    with pytest.raises(UsageError, match="have no labels"):
        hold_out(open_source("generator:zoo:generator,count=3"), 2)


def test_a_segmenter_without_images_labels_those_of_the_generator():
    generator = load_network("zoo:generator")
    source = open_source("segmenter:zoo:segmenter,count=4", generator)
    assert len(source) == 4
    assert find_generated(source).generator.digest == generator.digest


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("segmenter:zoo:segmenter", "images=SOURCE"),
        ("segmentor:zoo:segmenter", "near names: segmenter"),
        (
            "segmenter:zoo:generator,images=drawn:count=1",
            "'zoo:generator' names no pixels; wanted zoo:segmenter",
        ),
        ("segmenter:none.py,images=drawn:count=1", "which function returns a segmenter"),
        ("segmenter:other,images=drawn:count=1", "FILE.onnx,names=FILE[,input=WAY], FILE.py:FACTORY"),
        ("segmenter:none.py:f,images=drawn:count=1", "no file none.py"),
        ("generator:zoo:scene-classifier", "no generator"),
        ("generator:zoo:generator,many=3", "generator has no option 'many'; it has count, seed"),
        ("generator:zoo:generator,count=-3", "count='-3': wanted a whole number"),
        ("generator:zoo:generator,count=0", "0 generated images"),
        ("generator:zoo:none", "the zoo has no network"),
    ],
)
def test_a_wrong_spelling_is_told(spec, said):
    with pytest.raises(UsageError) as told:
        open_source(spec)
    assert said in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(("factory", "said"), [("number", "returned int"), ("broken", "first")])
def test_a_factory_that_fails_is_told_in_one_line(own, factory, said):
    with pytest.raises(NetworkError) as told:
        load_segmenter(f"{own}:{factory}")
    assert said in str(told.value)
    assert "\n" not in str(told.value)


def test_a_factory_that_the_file_does_not_have_is_told_with_near_names(own):
    with pytest.raises(UsageError, match="no function 'brigt'; near names: bright"):
        load_segmenter(f"{own}:brigt")


def test_a_segmenter_of_ones_own_draws_the_same_weights_again(tmp_path):
    (tmp_path / "drawn.py").write_text(DRAWN)
    torch.manual_seed(3)
    wanted = torch.rand(1)
    torch.manual_seed(3)
    first, second = (load_segmenter(f"{tmp_path / 'drawn.py'}:drawn") for _ in range(2))
    assert first.digest == second.digest
    assert torch.equal(torch.rand(1), wanted)


def test_files_of_one_name_in_two_folders_are_two_modules(tmp_path):
    made = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "own.py").write_text(OWN)
        made.append(load_segmenter(f"{tmp_path / folder / 'own.py'}:bright"))
    for one in made:
        assert sys.modules[type(one).__module__].Bright is type(one)


def test_loading_leaves_the_dice_alone():
    torch.manual_seed(3)
    wanted = torch.rand(1)
    torch.manual_seed(3)
    load_segmenter("zoo:segmenter")
    load_network("zoo:generator")
    assert torch.equal(torch.rand(1), wanted)
