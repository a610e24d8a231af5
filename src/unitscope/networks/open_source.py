"""Sources of concepts that take a network to open: a segmenter's labels, a generator's images."""

import re
from dataclasses import replace

from unitscope.concepts import sources
from unitscope.concepts.quadrants import split_quadrants
from unitscope.concepts.segmented import SegmentedSource, Segmenter
from unitscope.concepts.vocabulary import ConceptSource
from unitscope.errors import NetworkError, UsageError
from unitscope.networks.factories import call_factory
from unitscope.networks.generators import GeneratedImages, Generator, find_generated, with_seed
from unitscope.networks.load import load_network
from unitscope.networks.network import Network

GENERATED_COUNT = 1000


def open_source(spec: str, network: Network | None = None) -> ConceptSource:
    """The source that a text names: all that need no network (`concepts.sources`), and

    - `segmenter:NAME,images=SOURCE`: the images of a source with the labels of a segmenter, which is
      `zoo:segmenter`, `FILE.safetensors` (what `unitscope zoo train segmenter --images SOURCE` wrote),
      `hf:FOLDER` (`semantic.load_semantic`), `FILE.onnx` (`onnx_files.load_onnx`), or
      `FILE.py:FACTORY` (a function without arguments that returns a segmenter);
    - `generator:NAME[,count=N,seed=N]`: images of a generator, without labels.

    A segmenter without images labels those that `network`, a generator, makes. With `quadrants=CATEGORY` at
    the end, its labels get halves as parts (`quadrants.split_quadrants`).

    Raises `UsageError` where the text names nothing, and what the opened source raises.
    """
    kind, _, rest = spec.partition(":")
    if kind == "generator":
        return _open_generator(rest, network)
    if kind in sources.KINDS:
        return sources.open_source(spec)
    if kind != "segmenter":
        raise UsageError(
            f"{spec!r} is no source of concepts; wanted folder:DIR, broden:DIR, drawn, "
            "segmenter:NAME,images=SOURCE or generator:NAME"
        )
    split = re.search(r",quadrants=([^,]*)$", rest)
    if split:
        whole = open_source(f"{kind}:{rest[: split.start()]}", network)
        return split_quadrants(whole, split[1])
    name, found, images = rest.partition(",images=")
    if found:
        return SegmentedSource(open_source(images, network), load_segmenter(name), name)
    name = re.sub(r"(,(count|seed)=[^,]*)+$", "", rest)
    _, options = _split(f"segmenter{rest.removeprefix(name)}", ("count", "seed"))
    if not isinstance(network, Generator):
        raise UsageError(f"{spec!r} says no images; wanted segmenter:{name},images=SOURCE")
    return SegmentedSource(_images(network, options), load_segmenter(name), name)


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
        return sources.split_source(source, "test"), sources.limit(
            sources.split_source(source, "train"), images
        )
    inner: object = source
    while not isinstance(inner, SegmentedSource):
        inner = getattr(inner, "source", None)
        if inner is None:
            raise UsageError("images of a generator have no labels; name a segmenter of them")
    others = GeneratedImages(with_seed(made.generator, made.generator.seed + 1), images)
    return source, replace(inner, source=others)


def load_segmenter(name: str) -> Segmenter:
    """The segmenter of that name: see `open_source`.

    Raises `UsageError` for a name that is none of these, `NetworkError` where it cannot be loaded.
    """
    if name == "zoo:segmenter":
        from unitscope.lab.zoo.weights_files import load_zoo_segmenter

        return load_zoo_segmenter()
    if name.endswith(".safetensors"):
        from unitscope.lab.zoo.parser import load_parser

        return load_parser(name).segmenter(name)
    if name.startswith("hf:"):
        from unitscope.networks.segmentation.huggingface_segmenters import load_semantic

        return load_semantic(name)
    if name.partition(",")[0].endswith(".onnx"):
        from unitscope.networks.segmentation.onnx_segmenters import load_onnx

        return load_onnx(name)
    if ".py:" not in name:
        wanted = "zoo:segmenter, FILE.safetensors, hf:FOLDER, FILE.onnx or FILE.py:FACTORY"
        raise UsageError(f"no segmenter {name!r}; wanted {wanted}")
    file, _, factory = name.rpartition(":")
    made = call_factory(file, factory)
    if isinstance(made, Segmenter):
        return made
    raise NetworkError(f"{name} returned {type(made).__name__}; wanted a segmenter, such as NetworkSegmenter")


def _open_generator(rest: str, network: Network | None) -> GeneratedImages:
    name, options = _split(rest, ("count", "seed"))
    generator = network if network is not None and network.name == name else load_network(name)
    if not isinstance(generator, Generator):
        raise UsageError(f"{name} is no generator; wanted one such as zoo:generator")
    return _images(generator, options)


def _images(generator: Generator, options: dict[str, int]) -> GeneratedImages:
    seeded = with_seed(generator, options["seed"]) if "seed" in options else generator
    return GeneratedImages(seeded, options.get("count", GENERATED_COUNT))


def _split(text: str, known: tuple[str, ...]) -> tuple[str, dict[str, int]]:
    """A name and the numbers that follow it: `NAME,count=200` gives `NAME` and {count: 200}."""
    name, *parts = text.split(",")
    options = {}
    for part in parts:
        key, _, value = part.partition("=")
        if key not in known or not value.isdecimal():
            raise UsageError(
                f"{part!r} is no option of {name}; wanted {' or '.join(f'{k}=N' for k in known)}"
            )
        options[key] = int(value)
    return name, options
