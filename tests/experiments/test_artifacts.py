"""Artifact units: the planted one is found, figures are those of plain loops, removal is measured."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import linalg

from generated import Plain, planted_generator, planted_segmenter
from spoiled import SPOILER, color_features, spoiled_generator
from unitscope.concepts.vocabulary import Concept, Example, Vocabulary
from unitscope.errors import SourceError, UsageError
from unitscope.experiments.artifact_removal import remove_artifacts
from unitscope.experiments.artifacts import Sampling, find_unknown, pick_excited, rank_artifacts
from unitscope.interventions.edits import edited, set_units
from unitscope.networks.generators import to_pixels

SAMPLING = Sampling(images=120, first=5, top=20, draws=4, quantile=0.9)
CLEAN = [planted_generator().generate(number, 1)[0] for number in range(1000, 1150)]


@pytest.fixture(scope="module")
def found():
    return rank_artifacts(spoiled_generator(), "maps", CLEAN, planted_segmenter(), color_features(), SAMPLING)


def paint(generator, number):
    seen = []
    with torch.no_grad():
        handle = generator.module.maps.register_forward_hook(lambda _m, _a, out: seen.append(out))
        picture = to_pixels(generator.module(generator.draw_latents(number, 1)))[0]
        handle.remove()
    return picture, seen[0][0].numpy()


def slow_features(extractor, pictures):
    with torch.no_grad():
        rows = [extractor.network.module[:2](torch.tensor(one / 255).permute(2, 0, 1)[None].float())
                for one in pictures]  # fmt: skip
    return torch.cat(rows).double().mean((2, 3)).numpy()


def slow_distance(one, other):
    first, second = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    root = linalg.sqrtm(first @ second + 1e-12 * np.eye(len(first))).real
    return np.square(one.mean(0) - other.mean(0)).sum() + np.trace(first + second - 2 * root)


def test_the_planted_unit_is_first_by_both_signs(found):
    assert found.order("frechet")[0] == SPOILER
    assert found.order("unknown")[0] == SPOILER
    assert found.frechet[SPOILER] > found.chance.high
    assert found.unknown[SPOILER] > 2 * found.unknown_share > 0
    assert found.silent == []
    assert "3" in found.text().splitlines()[2].split()


def test_figures_are_those_of_a_plain_loop(found):
    generator, segmenter = spoiled_generator(), planted_segmenter()
    pictures, maps = zip(*(paint(generator, number) for number in range(5, 125)), strict=True)
    features, known = (slow_features(color_features(), some) for some in (pictures, CLEAN))
    values = np.stack(maps, 1).reshape(10, -1)
    odd = []
    for picture in pictures:
        pixels = torch.tensor(picture / 255).permute(2, 0, 1)[None].float()
        scores = torch.stack([segmenter.score(pixels, concept)[0] for concept in (2, 3, 5)])
        odd.append((scores.amax(0) < 0.5).numpy().reshape(4, 4, 4, 4).mean((1, 3)).ravel())
    unknown = np.concatenate(odd)
    assert found.unknown_share == pytest.approx(unknown.mean(), rel=1e-6)
    for unit in range(10):
        peaks = np.array([one[unit].max() for one in maps])
        excite = np.argsort(-peaks, kind="stable")[:20]
        assert found.excite[unit].tolist() == (excite + 5).tolist()
        wanted = slow_distance(features[excite], known)
        assert found.frechet[unit] == pytest.approx(wanted, rel=1e-3, abs=1e-5)
        threshold = np.sort(values[unit])[::-1][192]  # the 193rd largest of 1,920 cells
        fires = values[unit] > threshold
        assert found.firing[unit] == fires.sum()
        assert found.unknown[unit] == pytest.approx(unknown[fires].mean(), rel=1e-6)


@given(
    arrays.arrays(np.float32, (12, 2), elements=st.floats(0, 1, width=32)),
    st.integers(1, 4),
    st.integers(1, 6),
)
def test_every_kind_has_as_many_pictures(peaks, kinds, top):
    of = np.arange(12) % kinds
    found = pick_excited(peaks, of, min(top, 12 // kinds * kinds))
    for unit, images in enumerate(found):
        assert len({*images}) == len(images)
        assert np.ptp(np.bincount(of[images], minlength=kinds)) <= 1
        assert (np.diff(peaks[images, unit]) <= 0).all()
        for image in images:
            better = (of == of[image]) & (peaks[:, unit] > peaks[image, unit])
            assert {*np.flatnonzero(better)} <= {*images}


def test_a_segmenter_that_is_never_unsure_knows_all_that_it_names():
    pictures = spoiled_generator().generate(0, 40)
    assert find_unknown(planted_segmenter(), pictures, 0.5).any()
    assert not find_unknown(planted_segmenter(), pictures, 0.0).any()
    assert not find_unknown(Plain(), pictures, 0.5).any()


class Labelled:
    """Clean pictures, two of three of which have a kind of the generator."""

    vocabulary = Vocabulary(
        (Concept(1, "day-s", "scene"), Concept(2, "Night", "scene"), Concept(3, "x", "object"))
    )

    def __len__(self):
        return 60

    def __getitem__(self, index):
        return Example(str(index), CLEAN[index], ids=(1 + index % 3,))


def test_a_generator_of_kinds_is_compared_with_pictures_of_its_kinds():
    generator = spoiled_generator(("day", "night"))
    sampling = Sampling(images=60, top=10, draws=2)
    found = rank_artifacts(
        generator, "inner.maps", Labelled(), planted_segmenter(), color_features(), sampling
    )
    assert (found.reference_images, found.left_out) == (40, 20)
    assert "20 reference pictures of other kinds were left out" in found.text()
    assert (found.excite % 2).sum(1).tolist() == [5] * 10
    other = rank_artifacts(
        generator, "inner.maps", [CLEAN[k] for k in range(60) if k % 3 < 2], planted_segmenter(),
        color_features(), sampling,
    )  # fmt: skip
    np.testing.assert_array_equal(found.frechet, other.frechet)


@pytest.fixture(scope="module")
def removal(found):
    return remove_artifacts(found, (1, 3), images=30, marked=(SPOILER, 8), draws=3)


def test_removal_is_that_of_a_loop_over_edits(found, removal):
    generator, extractor = spoiled_generator(), color_features()
    known = slow_features(extractor, CLEAN)

    def measure(units):
        edit = set_units("maps", list(units), 10)
        with torch.no_grad(), edited(generator, edit):
            some = [to_pixels(generator.run(generator.inputs(number)))[0] for number in range(125, 155)]
        return slow_distance(slow_features(extractor, some), known)

    for (by, count), after in removal.after.items():
        assert len(removal.sets[by, count]) == count
        assert after == pytest.approx(measure(removal.sets[by, count]), rel=1e-3, abs=1e-5)
    rng = np.random.default_rng(0)
    lots = [rng.permutation(10) for _ in range(3)]
    assert sorted(removal.drawn) == [1, 2, 3]
    for count, drawn in removal.drawn.items():
        wanted = [measure(lot[:count].tolist()) for lot in lots]
        np.testing.assert_allclose(drawn, wanted, rtol=1e-3, atol=1e-5)


def test_the_planted_unit_gone_brings_the_pictures_closer(removal):
    assert removal.sets["frechet", 1] == (SPOILER,)
    assert removal.after["frechet", 1] < removal.before
    assert removal.after["unknown", 1] == removal.after["frechet", 1]
    assert removal.random(1).high >= removal.after["frechet", 1]
    assert removal.sets["marked", 2] == (SPOILER, 8)


def test_tables_and_words(found, removal, tmp_path):
    rows = found.rows()
    assert [row["unit"] for row in rows] == found.order()
    assert rows[0]["rank_frechet"] == rows[0]["rank_unknown"] == 1
    assert len(rows[0]["pictures"].split()) == 12
    assert json.dumps([found.describe(), removal.describe()], allow_nan=False)
    lines = removal.text().splitlines()
    assert lines[1].split()[-1] == "random"
    assert len(lines) == 5
    table = (removal.save(tmp_path) / "removal.csv").read_text().splitlines()
    assert table[0] == "by,count,draw,frechet,change,units"
    assert len(table) == 1 + 1 + 7 + 9


def test_the_same_again_gives_the_same_bytes(found):
    again = rank_artifacts(
        spoiled_generator(), "maps", CLEAN, planted_segmenter(), color_features(), SAMPLING
    )
    assert again.tables()["artifacts.csv"].csv() == found.tables()["artifacts.csv"].csv()


def test_a_unit_that_never_fires_is_named_and_in_no_order():
    generator = spoiled_generator()
    generator.module.maps.register_forward_hook(
        lambda _m, _a, out: out * (torch.arange(10) != 5)[:, None, None]
    )
    found = rank_artifacts(generator, "maps", CLEAN, planted_segmenter(), color_features(), SAMPLING)
    assert found.silent == [5]
    assert 5 not in found.order()
    assert "1 units never fire" in found.text()
    assert found.rows()[-1]["frechet"] is None
    with pytest.raises(UsageError, match="9 units of maps fire, fewer than 10"):
        remove_artifacts(found, (10,))


def test_what_cannot_be_is_told(found):
    given = ("maps", CLEAN, planted_segmenter(), color_features())
    with pytest.raises(UsageError, match="top is 50 of 50 images"):
        Sampling(images=50)
    with pytest.raises(UsageError, match="1 draws from picture 0"):
        Sampling(draws=1)
    with pytest.raises(UsageError, match="shares from 0 to 1"):
        Sampling(quantile=1.5)
    with pytest.raises(SourceError, match="1 reference pictures"):
        rank_artifacts(spoiled_generator(), "maps", CLEAN[:1], *given[2:], SAMPLING)
    with pytest.raises(UsageError, match="nearly all of a kind"):
        rank_artifacts(spoiled_generator(("a", "b")), *given, Sampling(images=20, top=19))
    with pytest.raises(UsageError, match="no layer 'nowhere'"):
        rank_artifacts(spoiled_generator(), "nowhere", *given[1:], SAMPLING)
    with pytest.raises(UsageError, match="units 0 to 9, not 10"):
        remove_artifacts(found, (2,), marked=(10,))
    with pytest.raises(UsageError, match="named twice"):
        remove_artifacts(found, (2,), marked=(1, 1))
