"""Pictures with masks, to train on: read once, and kept small, in memory."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, UInt8
from PIL import Image

from unitscope.concepts.derived import split_source
from unitscope.concepts.formats.annotated import AnnotatedSource
from unitscope.concepts.formats.folder.layouts import keep_split, list_splits
from unitscope.concepts.frames import Frame
from unitscope.concepts.vocabulary import ConceptSource, Vocabulary
from unitscope.errors import SourceError
from unitscope.progress import follow_each

LEAST = 4
"""The fewest pictures that a segmenter is trained on."""

VOID = 255
"""The label of a pixel whose truth is unknown."""

GROUND = "background"
"""The class that may be replaced by other backgrounds, as may pixels without a label."""

SHARE = 0.75
"""The share of the pictures that is trained on, where no split is given."""

_STORED = 128
_UNKNOWN = 65_535  # no concept has this id


@dataclass(frozen=True, eq=False)
class MaskedPictures:
    """Pictures squeezed into squares, with the class of every pixel in every plane.

    `classes[plane]` holds the concept ids that the numbers in `labels` stand for, in order; 0 is "no label".
    `aspects` is how wide a picture was for its height.
    """

    images: UInt8[np.ndarray, "n y x 3"]
    labels: UInt8[np.ndarray, "n plane y x"]
    aspects: Float64[np.ndarray, "n"]
    classes: tuple[tuple[int, ...], ...]
    vocabulary: Vocabulary

    def __len__(self) -> int:
        return len(self.images)

    @property
    def grounds(self) -> tuple[int, ...]:
        """For every plane the class of pixels that show nothing in particular; empty where one has none."""
        found = [
            next((i for i, one in enumerate(ids) if _is_ground(one, self.vocabulary)), None)
            for ids in self.classes
        ]
        return tuple(i for i in found if i is not None) if None not in found else ()


def _is_ground(concept: int, words: Vocabulary) -> bool:
    return concept == 0 or words[concept].name.lower() == GROUND


def halve_masked(
    source: ConceptSource, share: float | None = None, seed: int = 0
) -> tuple[ConceptSource, ConceptSource]:
    """What to train on and what to measure on: by `splits.json`, or at random.

    A folder whose `splits.json` has `train` and `test` is split so, unless a `share` is given; everything
    else as `split_source` does, `SHARE` of it for training.

    Raises what `split_source` raises.
    """
    if share is None and isinstance(source, AnnotatedSource) and source.word == "folder":
        chosen = any(key == "split" for key, _ in source.options)
        if not chosen and {"train", "test"} <= set(list_splits(source)):
            return keep_split(source, "train"), keep_split(source, "test")
    share = SHARE if share is None else share
    return (
        split_source(source, "train", share=share, seed=seed),
        split_source(source, "test", share=share, seed=seed),
    )


def read_masked(source: ConceptSource) -> MaskedPictures:
    """The pictures of a source that have masks, to be trained on.

    Pictures without a mask are left out. The pictures are held in memory, 65 kB each with one plane.

    Raises `SourceError` where too few pictures have masks, a plane has fewer than two classes or more than
    254, or pictures have different numbers of planes.
    """
    images: list[np.ndarray] = []
    planes: list[np.ndarray] = []
    aspects: list[float] = []
    for index in follow_each(range(len(source)), "reading"):
        example = source[index]
        if not len(example.planes):
            continue
        if planes and len(example.planes) != len(planes[0]):
            raise SourceError(
                f"{example.key} has {len(example.planes)} kinds of masks, those before it {len(planes[0])}; "
                "wanted the same for every picture"
            )
        height, width = example.image.shape[:2]
        aspects.append(width / height)
        images.append(shrink(example.image, _STORED))
        planes.append(_shrink_labels(example.planes, example.void))
    if len(images) < LEAST:
        raise SourceError(
            f"{len(images)} of the {len(source)} pictures to train on have masks; wanted {LEAST} or more, "
            "each mask a file of the picture's name in the folder of masks"
        )
    stacked = np.stack(planes)
    classes = tuple(_find_classes(stacked[:, plane], source.vocabulary) for plane in range(stacked.shape[1]))
    labels = np.empty(stacked.shape, np.uint8)
    for plane, ids in enumerate(classes):
        table = np.full(1 << 16, VOID, np.uint8)
        table[list(ids)] = np.arange(len(ids))
        labels[:, plane] = table[stacked[:, plane]]
    return MaskedPictures(np.stack(images), labels, np.array(aspects), classes, source.vocabulary)


def shrink(image: UInt8[np.ndarray, "y x 3"], side: int) -> UInt8[np.ndarray, "side side 3"]:
    """The picture squeezed into a square, every pixel a mean of those that it covers."""
    picture = Image.fromarray(np.ascontiguousarray(image))
    return np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR))


def _shrink_labels(planes: np.ndarray, void: Bool[np.ndarray, "y x"] | None) -> np.ndarray:
    known = planes.copy()
    if void is not None:
        known[:, void] = _UNKNOWN
    return Frame((_STORED, _STORED), (_STORED, _STORED)).fit_planes(known)


def _find_classes(labels: np.ndarray, words: Vocabulary) -> tuple[int, ...]:
    ids = tuple(int(one) for one in np.unique(labels) if one != _UNKNOWN)
    if len(ids) < 2:
        only = words[ids[0]].label if ids and ids[0] else "unlabelled" if ids else "void"
        raise SourceError(f"all pixels of a kind of masks are {only}; a segmenter needs two classes or more")
    if len(ids) >= VOID:
        raise SourceError(f"one kind of masks has {len(ids)} classes; wanted at most {VOID - 1}")
    return ids
