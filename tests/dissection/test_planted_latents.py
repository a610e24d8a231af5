"""Latents that are exact detectors of drawn objects, mixed into 160 units: names, and IoUs by hand."""

from collections import Counter
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate, normalize

import unitscope as us
from unitscope.lab.studies.planting import LAYER, PlantedNetwork
from unitscope.lab.world import open_drawn
from unitscope.networks.directions.activations import Threshold
from unitscope.networks.directions.directions import Directions, make_directions
from unitscope.networks.directions.files import save_directions

SIDE, UNITS, IMAGES = 64, 160, 24
QUANTILE = 0.3
SOURCE = open_drawn(count=IMAGES, seed=9, size=SIDE)
WORDS = SOURCE.vocabulary


@cache
def read_labels() -> np.ndarray:
    """In how many planes of labels a pixel has a concept: [image, concept, y, x]."""
    found = np.zeros((IMAGES, WORDS.size, SIDE, SIDE), np.uint8)
    for number in range(IMAGES):
        example = SOURCE[number]
        for plane in [*example.planes, *(np.full((SIDE, SIDE), one) for one in example.ids)]:
            found[number, plane, *np.indices(plane.shape)] += 1
    found[:, 0] = 0
    return found


def find_cells(concepts: list[int], cells: int) -> np.ndarray:
    """The cells of which a concept is more than half: [image, concept, y, x]."""
    side = SIDE // cells
    there = read_labels()[:, concepts] > 0
    return there.reshape(IMAGES, -1, cells, side, cells, side).mean((3, 5)) > 0.5


def choose_objects() -> list[int]:
    """The objects on 40 cells or more, and on so few that the quantile of a latent is 0.

    Not those of which another concept has the very same pixels, as the material sand those of sand.
    """
    there = read_labels() > 0
    pixels = Counter(there[:, one.id].tobytes() for one in WORDS)
    objects = [
        one.id for one in WORDS if one.category == "object" and pixels[there[:, one.id].tobytes()] == 1
    ]
    counts = find_cells(objects, 32).sum((0, 2, 3))
    return [one for one, count in zip(objects, counts, strict=True) if 40 <= count < 0.2 * IMAGES * 32**2]


def plant(latents: np.ndarray) -> tuple[PlantedNetwork, Directions]:
    """Latents [image, latent, y, x] in a layer of 160 units, and the dictionary that reads them from it."""
    count = latents.shape[1]
    drawn = torch.Generator().manual_seed(4)
    atoms = normalize(torch.randn(count, UNITS, generator=drawn, dtype=torch.float64), dim=1)
    shift = torch.randn(UNITS, generator=drawn, dtype=torch.float64)
    maps = np.tensordot(latents, atoms.numpy(), (1, 0)) + shift.numpy()
    rounding = Threshold(torch.full((count,), 0.01), strict=True)
    made = make_directions(
        torch.linalg.pinv(atoms), atoms, offset=shift, subtracted=shift, activation=rounding, kind="planted"
    )
    return PlantedNetwork(np.moveaxis(maps, 3, 1).astype(np.float32), (SIDE, SIDE)), made


def count_by_hand(masks: np.ndarray, rules: us.Convention) -> np.ndarray:
    """The IoU of every mask with every concept, by the definition: [latent, concept]."""
    labels = read_labels() if rules.doubles == "twice" else np.minimum(read_labels(), 1)
    wide = [np.moveaxis(part, 1, 0).reshape(part.shape[1], -1).astype(np.float32) for part in (masks, labels)]
    shared = (wide[0] @ wide[1].T).astype(np.int64)
    active = masks.sum((2, 3))
    found = np.zeros(shared.shape)
    for concept in WORDS:
        alike = [one.id for one in WORDS if one.category == concept.category]
        enter = np.full(IMAGES, True) if rules.union == "all" else labels[:, alike].any((1, 2, 3))
        union = active[enter].sum(0) + int(labels[:, concept.id].sum()) - shared[:, concept.id]
        found[:, concept.id] = shared[:, concept.id] / np.maximum(union, 1)
    return found


@pytest.mark.parametrize("cells", [SIDE, SIDE // 2])
@pytest.mark.parametrize("name", ["netdissect", "pnas"])
def test_planted_latents_are_named_with_the_iou_counted_by_hand(name, cells, tmp_path):
    objects = choose_objects()
    assert len(objects) >= 35
    strengths = np.linspace(0.5, 3.0, len(objects))[:, None, None]
    latents = find_cells(objects, cells) * strengths
    network, made = plant(latents)
    layer = f"{LAYER}+{save_directions(made, tmp_path / 'planted.safetensors')}"
    rules = replace(us.CONVENTIONS[name], quantile=QUANTILE, reduction=1)
    assert rules.population == {"netdissect": "cells", "pnas": "pixels"}[name]
    found = us.dissect(network, SOURCE, [layer], convention=rules, confidences=us.Confidences(0))[layer]
    # Half of what a latent is where it is on. No value is near that: all are 16ths of the strength.
    assert found.thresholds == pytest.approx(strengths[:, 0, 0] / 2, rel=1e-5)
    masks = interpolate(torch.from_numpy(latents), (SIDE, SIDE), mode="bilinear").numpy() > strengths / 2
    wanted = count_by_hand(masks, rules)
    assert np.abs(found.iou - wanted).max() < 1e-6
    named = [unit.concept.id for unit in found]
    if cells == SIDE:
        assert named == objects
        assert min(unit.iou for unit in found) == 1
        return
    # On larger cells a part that is nearly all of its object, such as a lamp's shade, may fit better.
    assert named == wanted.argmax(1).tolist()
    others = [WORDS[one].name for one, label in zip(objects, named, strict=True) if one != label]
    assert {*others} <= {"lamp", "painting", "slide"}
