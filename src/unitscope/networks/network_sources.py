"""Sources of concepts that networks label or make, segmenters by name, and images held out of a source."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from unitscope.concepts.derived import DerivedSource, find_inside, limit, split_source
from unitscope.concepts.segmented import SegmentedSource, Segmenter
from unitscope.concepts.sources import derive
from unitscope.concepts.vocabulary import ConceptSource
from unitscope.errors import NetworkError, UsageError
from unitscope.networks.generators import GeneratedImages, Generator, find_generated, with_seed
from unitscope.networks.load import call_factory, load_network
from unitscope.networks.network import Network
from unitscope.networks.open_source import open_source
from unitscope.options import read_number, split_options
from unitscope.plugins import SEGMENTERS, Kind, find_kind, say_kinds

GENERATED_COUNT = 1000


def hold_out(source: ConceptSource, images: int) -> tuple[ConceptSource, ConceptSource]:
    """A source to count over, and at most so many other images to choose on, labelled alike.

    Of generated images the source stays as it is, and the others come from the next seed of latents; other
    sources are split into a test and a train half, whose images are other ones.

    Raises `UsageError` for fewer than one image.
    """
    if images < 1:
        raise UsageError(f"{images} held-out images choose nothing; wanted 1 or more")
    made = find_generated(source)
    if made is None:
        return split_source(source, "test"), limit(split_source(source, "train"), images)
    if find_inside(source, SegmentedSource) is None:
        raise UsageError("images of a generator have no labels; name a segmenter of them")
    others = with_seed(made.generator, made.generator.seed + 1)
    return source, _label_alike(source, GeneratedImages(others, images))


def _label_alike(source: Any, images: GeneratedImages) -> ConceptSource:
    """Other generated images, made into what the source makes of its own."""
    if isinstance(source, GeneratedImages):
        return images
    inner = _label_alike(source.source, images)
    return replace(source, source=inner) if isinstance(source, DerivedSource) else inner


def load_segmenter(spec: str) -> Segmenter:
    """The segmenter that a text names.

    - `hf:FOLDER`: a network of the transformers library (`load_semantic`)
    - `FILE.onnx`: a graph that onnxruntime runs (`load_onnx`)
    - `FILE.py:FACTORY`: what a function without arguments returns
    - what packages bring (`unitscope.plugins.SEGMENTERS`), by what stands before the colon or by the ending
      of a file

    Raises `UsageError` for a name that is none of these, `NetworkError` where it cannot be loaded.
    """
    name = spec.partition(":")[0]
    place, _ = split_options(spec)
    ending = "." + place.rpartition(".")[2].partition(":")[0]  # a function may follow it
    kind = find_kind(SEGMENTERS, SEGMENTER_KINDS, name, ending)
    if kind is None:
        raise UsageError(f"there is no segmenter {spec!r}{say_kinds(SEGMENTERS, SEGMENTER_KINDS, name)}")
    made = kind(spec)
    if isinstance(made, Segmenter):
        return made
    raise NetworkError(f"{spec} returned {type(made).__name__}; wanted a segmenter, such as NetworkSegmenter")


_HF = "unitscope.networks.segmentation.huggingface_segmenters"
_ONNX = "unitscope.networks.segmentation.onnx_segmenters"

SEGMENTER_KINDS: Mapping[str, Kind] = {
    "hf": Kind(f"{_HF}:load_semantic", "hf:FOLDER[,names=FILE,phrases=A|B,random=SEED]"),
    ".onnx": Kind(f"{_ONNX}:load_onnx", "FILE.onnx,names=FILE[,input=WAY]"),
    ".py": Kind(call_factory, "FILE.py:FACTORY"),
}
"""The kinds of segmenters that are always there."""


def open_segmented(rest: str, network: Network | None) -> ConceptSource:
    """What `segmenter:` opens, without that word. Raises as `open_source` does."""
    name, found, images = rest.partition(",images=")
    if found:
        images, options = split_options(images, ("quadrants", "owners"))
        source = open_source(images, network)
    else:
        name, options = split_options(rest, ("count", "seed", "quadrants", "owners"))
        if not isinstance(network, Generator):
            raise UsageError(f"segmenter:{rest} says no images; wanted segmenter:{name},images=SOURCE")
        source = _generate(network, dict(options))
    return derive(SegmentedSource(source, load_segmenter(name), name), options)


def open_generated(network: Network | None, name: str, options: Mapping[str, str]) -> ConceptSource:
    """The images of a generator of that name, of `network` where that is it. Raises as `open_source` does."""
    if "steps" in options:
        name = f"{name},steps={options['steps']}"
    generator = network if network is not None and network.name == name else load_network(name)
    if not isinstance(generator, Generator):
        raise UsageError(f"{name} is no generator; wanted one such as zoo:generator")
    return _generate(generator, options)


def _generate(generator: Generator, options: Mapping[str, str]) -> ConceptSource:
    numbers = {key: read_number(key, options[key]) for key in ("count", "seed") if key in options}
    seeded = with_seed(generator, numbers["seed"]) if "seed" in numbers else generator
    return GeneratedImages(seeded, numbers.get("count", GENERATED_COUNT))
