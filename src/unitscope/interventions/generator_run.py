"""A generator with the run that named its units and the segmenter that looked at its pictures."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from unitscope.concepts.derived import find_inside
from unitscope.concepts.segmented import SegmentedSource, Segmenter
from unitscope.concepts.vocabulary import Concept, ConceptSource, Vocabulary, find_named
from unitscope.dissection.matching import check_network, find_layer
from unitscope.dissection.reopening import reopen_source
from unitscope.dissection.result import Dissection, LayerDissection
from unitscope.errors import UsageError
from unitscope.executors.calls import Arrays, Work
from unitscope.executors.jobs import Executor
from unitscope.interventions.unit_values import rank_by_iou
from unitscope.networks.generators import Generator, as_generator, find_generated, with_seed
from unitscope.networks.network import Network
from unitscope.networks.shared_work import Specification, share
from unitscope.networks.specifications import specify_network, specify_segmenter
from unitscope.progress import follow

PART = 4
"""So many images are looked at before what was seen is handed on."""


@dataclass(frozen=True, eq=False)
class Studio:
    """What the effects of units are measured with.

    The run ranked the units on the generator's images number 0 to `ranked` - 1: whatever is measured takes
    other ones. `opened` is the text that opened the segmenter, empty where none did; `executor` has workers
    that share the images, None where this process looks at them all.
    """

    generator: Generator
    run: Dissection
    segmenter: Segmenter
    ranked: int
    opened: str = ""
    executor: Executor | None = None

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

    def specify(self) -> Mapping[str, Specification]:
        """Generator and segmenter as workers open them; raises `UsageError` where they cannot."""
        segmenter = specify_segmenter(self.segmenter, self.opened)
        return {"generator": specify_network(self.generator), "segmenter": segmenter}

    def look(
        self, prepare: Callable[..., Work], given: Mapping[str, Any], numbers: Sequence[int], title: str
    ) -> Iterator[Arrays]:
        """What `prepare` gives for one part of the images of these numbers after the other (`share`).

        It is called with `generator`, `segmenter`, `numbers` and what is given; the work of part k looks at
        `take_part(numbers, k)`.
        """
        given = {"generator": self.generator, "segmenter": self.segmenter, "numbers": numbers, **given}
        parts = share(prepare, given, -(-len(numbers) // PART), self.executor, self.specify)
        with follow(len(numbers), title) as work, closing(parts):
            for place, part in enumerate(parts):
                yield part
                work.update(len(take_part(numbers, place)))


def take_part(numbers: Sequence[int], place: int) -> Sequence[int]:
    """The numbers of a part.

    >>> take_part(range(10, 17), 1)
    range(14, 17)
    """
    return numbers[place * PART : (place + 1) * PART]


def open_studio(network: Network, run: Dissection, source: ConceptSource | None = None) -> Studio:
    """The studio of a generator and its run; `source` is what the run was made over, opened from it if None.

    Raises `UsageError` where the network makes no images, or the run is of another network or of images that
    no segmenter labelled.
    """
    generator = as_generator(network)
    check_network(run, generator)
    opened = reopen_source(run, source, generator)
    images, labels = find_generated(opened), find_inside(opened, SegmentedSource)
    if images is None or labels is None:
        raise UsageError(
            f"the run is over {run.source}, not over a generator's images with a segmenter's labels; "
            "dissect with --concepts segmenter:NAME"
        )
    seeded = with_seed(generator, images.generator.seed)
    ranked = run.recipe.source.images or images.count
    return Studio(seeded, run, labels.segmenter, ranked, labels.opened)
