"""Drawn scenes, each painted once for all tests: many show the same, and painting was most of their time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from unitscope.concepts.vocabulary import Example
from unitscope.lab.world import DrawnSource
from unitscope.lab.zoo.pictures import PictureSet, paint_one

paint = DrawnSource.__getitem__


@contextmanager
def scenes_kept(folder: Path) -> Iterator[None]:
    """Keeps every scene in a folder, which several processes may share, by all that it depends on."""

    def find(source: DrawnSource, index: int) -> Example:
        if not (isinstance(index, int) and 0 <= index < len(source)):
            return paint(source, index)
        place = folder / f"{source.seed}-{index}-{source.size}"
        try:
            with place.open("rb") as file:
                image, planes = np.load(file), np.load(file)
        except FileNotFoundError:
            example = paint(source, index)
            with (beside := folder / f"{place.name}-{os.getpid()}").open("wb") as file:
                np.save(file, example.image)
                np.save(file, example.planes)
            beside.replace(place)
            return example
        key, ids = source.peek(index)
        return Example(key, image, planes, ids)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DrawnSource, "__getitem__", find)
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
