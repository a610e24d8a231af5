"""Pictures that many tests show, each made once for all: drawn scenes, what the zoo generates and segments.

Making them again and again was most of the time of these tests.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest

from unitscope.concepts.segmented import BLOCK, Blocks, SegmentedSource
from unitscope.concepts.vocabulary import Example
from unitscope.lab.world import DrawnSource
from unitscope.lab.zoo.pictures import PictureSet, paint_one
from unitscope.networks.generators import GeneratedImages

paint = DrawnSource.__getitem__
segment = SegmentedSource._segment
GENERATOR, SEGMENTER = "zoo:generator", "zoo:segmenter"


@contextmanager
def scenes_kept(folder: Path) -> Iterator[None]:
    """Keeps every picture in a folder, which several processes may share, by all that it depends on."""

    def keep(name: str, count: int, make: Callable[[], Sequence[np.ndarray]]) -> Sequence[np.ndarray]:
        place = folder / name
        try:
            with place.open("rb") as file:
                return [np.load(file) for _ in range(count)]
        except FileNotFoundError:
            made = make()
        with (beside := folder / f"{name}-{os.getpid()}-{threading.get_ident()}").open("wb") as file:
            for array in made:
                np.save(file, array)
        beside.replace(place)
        return made

    def find(source: DrawnSource, index: int) -> Example:
        if not (isinstance(index, int) and 0 <= index < len(source)):
            return paint(source, index)

        def make() -> Sequence[np.ndarray]:
            example = paint(source, index)
            return example.image, example.planes

        image, planes = keep(f"{source.seed}-{index}-{source.size}", 2, make)
        key, ids = source.peek(index)
        return Example(key, image, planes, ids)

    def find_generated(images: GeneratedImages) -> Blocks[np.ndarray]:
        made = images._painter.generate
        if images.generator.name != GENERATOR:
            return Blocks(BLOCK, lambda start: list(made(start, BLOCK)))
        name = f"{images._painter.digest}-{images.generator.seed}"
        return Blocks(BLOCK, lambda start: list(keep(f"{name}-{start}", 1, lambda: [made(start, BLOCK)])[0]))

    def find_segmented(source: SegmentedSource, start: int) -> Sequence[Example]:
        images = source.source
        if not isinstance(images, GeneratedImages) or images.generator.name != GENERATOR:
            return segment(source, start)
        if source.segmenter.name != SEGMENTER:
            return segment(source, start)
        examples = [images[i] for i in range(start, min(start + BLOCK, len(images)))]
        name = f"{images._painter.digest}-{images.generator.seed}-{start}"
        name = f"{name}-{len(examples)}-{source.segmenter.digest}"
        (planes,) = keep(name, 1, lambda: [np.stack([example.planes for example in segment(source, start)])])
        pairs = zip(examples, planes, strict=True)
        return [replace(example, planes=found, ids=(), void=None) for example, found in pairs]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DrawnSource, "__getitem__", find)
        patch.setattr(SegmentedSource, "_segment", find_segmented)
        blocks = cached_property(find_generated)
        blocks.__set_name__(GeneratedImages, "_blocks")
        patch.setattr(GeneratedImages, "_blocks", blocks)
        yield


@contextmanager
def scenes_painted() -> Iterator[None]:
    """Paints every scene when it is asked for, as users do: for tests of the painting."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DrawnSource, "__getitem__", paint)
        yield


def paint_here(wanted: PictureSet, home: Path, workers: int) -> None:
    """Paints a set of pictures in this process: to start others takes longer where they are few."""
    image, labels = zip(*(paint_one(wanted, i) for i in range(wanted.count)), strict=True)
    np.save(home / "images.npy", np.stack(image))
    np.save(home / "labels.npy", np.stack(labels))
