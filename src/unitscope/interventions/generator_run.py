"""A generator with the run that named its units and the segmenter that looked at its pictures."""

from dataclasses import dataclass

from unitscope.concepts.derived import find_inside
from unitscope.concepts.segmented import SegmentedSource, Segmenter
from unitscope.concepts.vocabulary import Concept, ConceptSource, Vocabulary, find_named
from unitscope.dissection.matching import check_network, find_layer
from unitscope.dissection.reopening import reopen_source
from unitscope.dissection.result import Dissection, LayerDissection
from unitscope.errors import UsageError
from unitscope.interventions.unit_values import rank_by_iou
from unitscope.networks.generators import Generator, find_generated, with_seed
from unitscope.networks.network import Network


@dataclass(frozen=True, eq=False)
class Studio:
    """What the effects of units are measured with.

    The run ranked the units on the generator's images number 0 to `ranked` - 1: whatever is measured takes
    other ones.
    """

    generator: Generator
    run: Dissection
    segmenter: Segmenter
    ranked: int

    @property
    def vocabulary(self) -> Vocabulary:
        """What the segmenter can name."""
        return self.run.vocabulary

    def find(self, name: str) -> Concept:
        """The concept of that name, or CATEGORY/NAME. Raises `UsageError` for one the run does not have."""
        return find_named(self.vocabulary, [name])[0]

    def layer(self, name: str) -> LayerDissection:
        """A layer of the run. Raises `UsageError` for one that it does not have, or in other directions."""
        return find_layer(self.run, self.generator, name)

    def rank(self, concept: Concept, layer: str) -> list[int]:
        """The layer's units by their IoU with a concept, the highest first.

        Raises `UsageError` where no unit has anything to do with it.
        """
        found = self.layer(layer)
        if not found.concept_pixels[concept.id]:
            raise UsageError(
                f"{concept.label!r} is in none of the {self.ranked} images of the run; dissect more images, "
                "or name another concept"
            )
        if not found.iou[:, concept.id].any():
            raise UsageError(
                f"no unit of {layer} has to do with {concept.label!r}: every IoU is 0; take another layer"
            )
        return rank_by_iou(found, concept.id)

    def fresh(self, images: int, first: int | None = None) -> range:
        """The numbers of that many images that the run has not seen, from `first` on.

        Raises `UsageError` for fewer than two, and for images that have ranked the units.
        """
        start = self.ranked if first is None else first
        if images < 2:
            raise UsageError(f"{images} images have no interval; measure on 2 or more, better 1,000")
        if start < self.ranked:
            raise UsageError(
                f"images {start} to {start + images - 1} overlap those that ranked the units, 0 to "
                f"{self.ranked - 1}; start from {self.ranked}"
            )
        return range(start, start + images)


def open_studio(network: Network, run: Dissection, source: ConceptSource | None = None) -> Studio:
    """The studio of a generator and its run; `source` is what the run was made over, opened from it if None.

    Raises `UsageError` where the network makes no images, or the run is of another network or of images that
    no segmenter labelled.
    """
    if not isinstance(network, Generator):
        raise UsageError(f"{network.name} makes no images; name a generator, such as zoo:generator")
    check_network(run, network)
    opened = reopen_source(run, source, network)
    images, labels = find_generated(opened), find_inside(opened, SegmentedSource)
    if images is None or labels is None:
        raise UsageError(
            f"the run is over {run.source}, not over a generator's images with a segmenter's labels; "
            "dissect with --concepts segmenter:NAME"
        )
    seeded = with_seed(network, images.generator.seed)
    return Studio(seeded, run, labels.segmenter, run.recipe.source.images or images.count)
