"""Whom painting on given pictures is measured with: a generator, who names pixels, and the pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from unitscope.axes import Pixels
from unitscope.concepts.derived import find_left_out
from unitscope.concepts.frames import Frame, show_bands
from unitscope.concepts.left_out import LeftOut, count_left_out
from unitscope.concepts.segmented import SegmentedSource, Segmenter
from unitscope.concepts.vocabulary import ConceptSource, find_named
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.errors import UsageError
from unitscope.interventions.generator_run import Studio, open_studio
from unitscope.interventions.inversion import choose_layer, find_size
from unitscope.interventions.painting.photos import find_features
from unitscope.interventions.picture_loss import Features, choose_features
from unitscope.lab.world.names import SCENES
from unitscope.lab.zoo.pictures import PictureSet, paint_one
from unitscope.lab.zoo.recipes import GENERATED
from unitscope.lab.zoo.weights_files import load_zoo, open_segmenter
from unitscope.networks.generators import GeneratedImages, Generator, as_generator
from unitscope.networks.network import Network
from unitscope.progress import follow_each

CONCEPTS = ("tree", "object/water", "grass")
"""What is painted with the zoo's generator."""
NAMED, LEVELS = 256, 256
DRAWN, PHOTOGRAPHS = "drawn scenes", "given pictures"


@dataclass(frozen=True)
class Extent:
    """How much each repetition takes.

    So many drawn `scenes` of the generator's kinds, and `others` of kinds that it does not have, are
    inverted; the generator's first `named` pictures name its units, its first `levels` show how high these
    go. Given photographs are all taken, unless `photographs` says how many.
    """

    scenes: int = 14
    others: int = 6
    named: int = NAMED
    levels: int = LEVELS
    photographs: int | None = None


QUICK_EXTENT = Extent(5, 2, 64, 32, 5)


@dataclass(frozen=True, eq=False)
class Subject:
    """A generator, the segmenter that names pixels, and what is painted, on which pictures.

    `given` are pictures of the size that the generator makes; None stands for drawn scenes of its kinds.
    Pictures are compared by `features` where they are inverted. `quantile` is the fraction of a unit's values
    above its threshold where units are named, None for that of the convention "pnas". `left_out` are files
    that are not among the given pictures.
    """

    generator: Generator
    segmenter: Segmenter
    concepts: tuple[str, ...]
    features: Features | None = None
    given: Sequence[Pixels] | None = None
    quantile: float | None = None
    left_out: tuple[LeftOut, ...] = ()

    @property
    def shown(self) -> str:
        """What its given pictures are called."""
        return DRAWN if self.given is None else PHOTOGRAPHS

    def give(self, seed: int, extent: Extent) -> list[Pixels]:
        """The pictures that are inverted and painted on."""
        if self.given is None:
            return paint_scenes(GENERATED, extent.scenes, seed)
        return list(self.given[: extent.photographs])

    def give_others(self, seed: int, extent: Extent) -> list[Pixels]:
        """Drawn scenes of the kinds that the generator does not have, at its size."""
        kinds = tuple(name for name in SCENES if name not in self.generator.kinds)
        size = find_size(self.generator)
        if not kinds:
            return []
        return [fit_picture(scene, size) for scene in paint_scenes(kinds, extent.others, seed)]


def open_zoo_subject() -> Subject:
    """The zoo's generator and segmenter, on drawn scenes; its scene classifier compares them."""
    features = choose_features(load_zoo("scene-classifier"))
    return Subject(as_generator(load_zoo("generator")), open_segmenter(), CONCEPTS, features)


def open_subject(
    network: Network,
    segmenter: Segmenter,
    concepts: Sequence[str],
    photographs: ConceptSource,
    *,
    features: Features | None = None,
    quantile: float | None = None,
) -> Subject:
    """A generator of one's own with given pictures, whose middle is cut out and resized.

    Of pictures that are the same one is taken, and the others are counted: they would say everything twice.
    `features` are by default the first layers of the segmenter's network. Raises `UsageError` where the
    network makes no images, there are no pictures, or the segmenter does not know a concept.
    """
    generator = as_generator(network)
    find_named(segmenter.vocabulary, concepts)
    if not len(photographs):
        raise UsageError("there are no pictures to paint on; name a folder with some")
    size, given, same = find_size(generator), dict[bytes, Pixels](), list[tuple[str, str]]()
    for place in follow_each(range(len(photographs)), "reading"):
        one = photographs[place]
        picture = fit_picture(show_bands(one.image), size)
        if picture.tobytes() in given:
            same.append(("the same picture as one before", one.key))
        given.setdefault(picture.tobytes(), picture)
    return Subject(
        generator,
        segmenter,
        tuple(concepts),
        features or find_features(segmenter),
        list(given.values()),
        quantile,
        (*find_left_out(photographs), *count_left_out(same)),
    )


def fit_picture(picture: Pixels, size: tuple[int, int]) -> UInt8[np.ndarray, "height width 3"]:
    """A picture of that height and width: its middle is cut out and resized, as `fit_photo` does.

    >>> fit_picture(np.zeros((8, 6, 3), np.uint8), (4, 4)).shape
    (4, 4, 3)
    """
    if picture.shape[:2] == size:
        return picture
    return np.array(Frame(size, size, "crop").fit_image(picture))


def paint_scenes(kinds: Sequence[str], count: int, seed: int) -> list[Pixels]:
    """Drawn scenes of some kinds in turn, 64 by 64 pixels."""
    wanted = PictureSet(tuple(kinds), count, seed)
    return [paint_one(wanted, place)[0] for place in range(count)]


def dissect_subject(subject: Subject, extent: Extent) -> Studio:
    """The units of the layer that pictures are brought into, named over the generator's own pictures.

    Raises what `dissect` raises.
    """
    generator = subject.generator
    source = SegmentedSource(GeneratedImages(generator, extent.named), subject.segmenter)
    run = dissect(
        generator,
        source,
        [choose_layer(generator)],
        convention="pnas",
        quantile=subject.quantile,
        confidences=Confidences(0, 1),
        ranks=1,
    )
    return open_studio(generator, run, source)
