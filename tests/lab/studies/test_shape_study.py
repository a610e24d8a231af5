"""The study of shape: restyled photographs move, names follow shape or look, verdicts the numbers."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unitscope.concepts.derived import limit
from unitscope.errors import UsageError
from unitscope.lab.studies import restyled_photographs
from unitscope.lab.studies.restyled_photographs import (
    LAYERS,
    measure_gap,
    normalize_adaptively,
    open_photographs,
    restyle_photographs,
    stretch_images,
)
from unitscope.lab.studies.shape_finding import judge_shape
from unitscope.lab.studies.shape_measures import (
    ROTATED,
    TRAINED,
    UNTRAINED,
    Pairs,
    TwinUnit,
    measure_units,
    name_units,
)
from unitscope.lab.world import open_drawn
from unitscope.lab.world.restyling import LOOK_IDS, restyle_scenes
from unitscope.networks.load import load_network

MISSED = "does not replicate at this scale"


@pytest.fixture(scope="module")
def encoder():
    return load_network("efficientnet-lite0")


def test_restyled_pictures_move_toward_the_style_and_keep_their_forms(encoder):
    contents, styles = (
        stretch_images(open_drawn(count=2, seed=seed, size=64), (96, 96), (0, 1)) for seed in (1, 2)
    )
    twins, gaps = restyle_photographs(encoder, contents, styles, steps=12)
    assert [one.layer for one in gaps] == list(LAYERS)
    assert all(one.after < 0.6 * one.before for one in gaps)
    assert twins.shape == contents.shape
    own = [
        np.corrcoef(a.mean(2).ravel(), b.mean(2).ravel())[0, 1] for a, b in zip(twins, contents, strict=True)
    ]
    crossed = np.corrcoef(twins[0].mean(2).ravel(), contents[1].mean(2).ravel())[0, 1]
    assert min(own) > 0.3 > abs(crossed) - 0.3
    assert not any(part._forward_hooks for part in encoder.module.modules())
    again, _ = restyle_photographs(encoder, contents, styles, steps=12)
    assert np.array_equal(again, twins)


@given(st.integers(1, 4), st.integers(0, 9))
def test_adaptive_normalization_gives_the_styles_statistics(units, seed):
    rng = np.random.default_rng(seed)
    content, style = (
        torch.from_numpy(rng.normal(rng.normal(), 1 + rng.random(), (2, units, size, size))).float()
        for size in (5, 7)
    )
    found = normalize_adaptively(content, style)
    for image in range(2):
        for unit in range(units):
            one, wanted = found[image, unit].numpy(), style[image, unit].numpy()
            assert one.mean() == pytest.approx(wanted.mean(), abs=1e-4)
            assert one.std() == pytest.approx(wanted.std(), abs=1e-3)
            assert np.corrcoef(one.ravel(), content[image, unit].numpy().ravel())[0, 1] == pytest.approx(
                1, abs=1e-4
            )
    assert measure_gap(found, style).max() < 1e-5 < measure_gap(content + 1, style).min()


def test_twins_are_kept_and_have_the_photographs_labels(encoder, tmp_path, monkeypatch):
    monkeypatch.setattr(restyled_photographs, "STEPS", 1)
    source, styles = open_drawn(count=5, seed=1, size=64), open_drawn(count=1, seed=2, size=64)
    made = open_photographs(encoder, source, styles, 2, 1, tmp_path)
    monkeypatch.setattr(restyled_photographs, "restyle_photographs", None)  # all is there
    again = open_photographs(encoder, source, styles, 2, 1, tmp_path)
    assert np.array_equal(made.twins[1].image, again.twins[1].image)
    assert made.twins.digest == again.twins.digest != made.pictures.digest
    assert made.twins[0].key == made.pictures[0].key
    assert np.array_equal(made.twins[0].planes, made.pictures[0].planes)
    assert made.pictures[0].image.shape == (224, 224, 3)
    with pytest.raises(UsageError, match="6 photographs were asked for, and there are 5"):
        open_photographs(encoder, source, styles, 6, 0, tmp_path)


def test_names_are_held_against_shapes_and_looks():
    scenes = open_drawn(count=20, seed=21, size=64)
    pairs = Pairs(scenes, restyle_scenes(scenes, 22))
    network = load_network("zoo:scene-classifier")
    found = name_units(network, ["layer1", "layer5"], pairs)
    assert [len(units) for units in found.values()] == [32, 160]
    named = [name for name in found["layer5"] if name]
    assert named
    for category, concept, iou, kept, look, kept_by_lot, look_by_lot in named:
        assert iou > 0.04
        assert 0 <= kept <= 1
        assert 0 <= kept_by_lot <= 1
        things = category in ("object", "part")
        assert (look == look) == (look_by_lot == look_by_lot) == things, concept
    same = name_units(network, ["layer5"], Pairs(scenes, scenes))["layer5"]
    assert all(name[2] == name[3] for name in same if name)
    rows = measure_units("zoo", network, ["layer2"], pairs, 0, trained=True)
    assert [one.kind for one in rows] == [TRAINED] * 64 + [ROTATED] * 64
    assert {one.concept for one in rows if one.kind == ROTATED} == {""}
    assert any(one.concept for one in rows if one.kind == TRAINED)
    rows = measure_units("zoo", network, ["layer2"], pairs, 0, trained=False)
    assert {(one.kind, one.concept) for one in rows} == {(UNTRAINED, "")}


def test_without_labels_of_looks_there_is_no_look():
    scenes = open_drawn(count=12, seed=21, size=64)
    found = name_units(load_network("zoo:scene-classifier"), ["layer5"], Pairs(scenes, limit(scenes, 12)))
    assert all(name[4] != name[4] for name in found["layer5"] if name)
    assert max(one.id for one in scenes.vocabulary) < LOOK_IDS


def made(kind, seed, layer, unit, score, **more):
    return TwinUnit("zoo:net, scenes", kind, seed, layer, unit, score, 0.01, 0.01, **more)


def make_rows(last=0.3, kept=0.2, look=0.05):
    thing = {"category": "object", "concept": "tree", "iou": 0.2, "kept": kept, "look": look}
    return [
        made(kind, seed, layer, unit, score + 0.001 * seed, **(thing if kind == TRAINED else {}))
        for seed in range(3)
        for kind, deep in ((TRAINED, last), (ROTATED, 0.05), (UNTRAINED, 0.03))
        for layer, score in (("early", 0.06), ("late", deep))
        for unit in range(4)
    ]


def test_verdicts_follow_the_numbers(tmp_path):
    found = judge_shape(make_rows())
    assert [claim.verdict for claim in found.claims] == ["replicates"] * 5
    assert "| late | 4 | 0.301 (0.300 to 0.302)" in found.spell()
    assert found.page(tmp_path).read_text().startswith("<?xml")
    turned = judge_shape(make_rows(last=0.05, kept=0.02, look=0.1))
    assert [claim.verdict for claim in turned.claims] == ["replicates", *[MISSED] * 4]
    luck = judge_shape([replace(one, crossed=0.5) for one in make_rows()])
    assert luck.claims[0].verdict == MISSED
    assert {one.verdict for one in judge_shape([one for one in make_rows() if not one.seed]).claims} == {
        "unclear"
    }
