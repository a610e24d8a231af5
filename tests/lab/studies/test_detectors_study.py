"""The study of units as detectors: figures as `score_units` has them, controls, and verdicts."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from made import WORDS, Stored
from unitscope.concepts.derived import split_source
from unitscope.concepts.vocabulary import Concept, Example, Vocabulary
from unitscope.interventions.detection import draw_sample
from unitscope.interventions.detectors import score_units
from unitscope.lab.studies.detector_measures import (
    INSIDE,
    DetectorRow,
    Home,
    KeptPlaces,
    Limits,
    balance,
    draw_half,
    match_concept,
    measure_home,
    read_place,
)
from unitscope.lab.studies.detectors_finding import judge_detectors
from unitscope.lab.studies.held_images import Changed, Held, dim, turn_gray
from unitscope.networks.network import Network, Preprocessing

MISSED = "does not replicate at this scale"


class Reds(nn.Module):
    """Unit 0 sees red, unit 1 is constant, unit 2 noise; `out` is the mean of each."""

    def __init__(self):
        super().__init__()
        self.act, self.out = nn.Identity(), nn.Identity()

    def forward(self, x):
        noise = torch.sin(x.sum((1, 2, 3)) * 17)[:, None, None].expand(-1, 10, 10)
        maps = self.act(torch.stack([x[:, 0], torch.ones_like(x[:, 0]), noise], 1))
        return self.out(maps.mean((2, 3)))


def make_images(seed, count=60, red=255):
    rng = np.random.default_rng(seed)
    examples = []
    for k in range(count):
        planes, image = np.full((1, 10, 10), 2, np.uint16), rng.integers(0, 90, (10, 10, 3)).astype(np.uint8)
        if k % 3 == 0:
            planes[0, :3] = 1
            image[:3, :, 0] = rng.integers(red - 20, red, (3, 10))
        examples.append(Example(f"{seed}-{k}", image, planes))
    return Stored(examples)


@pytest.fixture
def home():
    network = Network(Reds(), Preprocessing((10, 10)), name="reds")
    outside = {"dark": make_images(2, red=120), "blind": make_images(3, red=40)}
    return Home("reds", "act", network, make_images(0), make_images(1), outside, "out", limits=Limits(10))


def test_rows_are_what_one_unit_tells_at_every_place(home):
    rows = [one for one in measure_home(home, 0) if one.concept == "cat"]
    assert [one.place for one in rows] == [INSIDE, "dark", "blind"]
    inside, dark, blind = rows
    assert (inside.unit, inside.images, inside.named, inside.silent) == (0, 20, 1.0, 0.0)
    assert 0 < inside.iou < 0.2  # the mask is a small part of the red
    assert np.isnan(inside.moved)
    assert dark.named == 1.0
    assert dark.moved == 0.5  # the threshold of inside lies above all that is here
    assert blind.named < 0.8
    assert 0.3 < inside.shuffled < 0.7
    place = read_place(home, home.inside)
    sample = draw_half(place, WORDS[1], home.limits, 0)
    assert np.array_equal(sample.images, draw_sample(home.inside, [WORDS[1]], most=400).images)
    scored = score_units(place.peaks[sample.images], sample, seed=0)
    assert inside.lot == pytest.approx(scored.balanced.mean())
    assert (inside.low, inside.high) == (scored.low[0], scored.high[0])
    assert inside.chosen == scored.balanced[scored.order[0]]
    assert inside.logit >= 0.5
    assert balance(place.peaks[:, 0] > 0.9, np.arange(60) % 3 == 0) == 1.0
    assert str(measure_home(home, 0)) == str(measure_home(home, 0))


def test_a_half_has_what_the_whole_has(home):
    half = split_source(home.inside, "test", seed=3)
    kept = KeptPlaces([home.inside])
    one, other = kept(home, half), read_place(home, half)
    assert np.array_equal(one.peaks, other.peaks)
    assert np.array_equal(one.logits, other.logits)
    assert one.found == other.found
    assert len(kept.kept) == 1
    assert kept(home, home.inside) is kept(home, home.inside)


def test_concepts_with_few_images_are_left_out(home):
    place = read_place(home, home.inside)
    assert draw_half(place, WORDS[1], Limits(least=21), 0) is None
    assert draw_half(place, WORDS[11], home.limits, 0) is None
    assert measure_home(replace(home, limits=Limits(least=30)), 0) == []


def test_concepts_of_other_sets_match_by_meaning_and_category():
    words = Vocabulary((Concept(4, "body", "object"), Concept(5, "car", "scene")))
    assert match_concept(words, Concept(1, "person", "object")).id == 4
    assert match_concept(words, Concept(1, "car", "object")) is None


def test_changed_and_held_images_keep_their_labels():
    source = make_images(0, 4)
    for change in (turn_gray, dim):
        changed = Changed(source, change, change.__name__)
        assert np.array_equal(changed[1].image, change(source[1].image))
        assert changed[1].planes is source[1].planes
        assert changed.digest != Held(source).digest
    held = Held(source)
    assert held[2] is held[2]


def made(subject, place, seed, named, **more):
    figures = {
        "low": named - 0.05, "high": named + 0.05, "auroc": named, "silent": 0.2, "moved": 0.6, "chosen": 0.9,
        "chosen_same": 0.95, "lot": 0.52, "shuffled": 0.5, "shuffled_high": 0.6, "logit": 0.8,
    }  # fmt: skip
    figures |= more
    return DetectorRow(subject, place, seed, "object", "tree", 40, 7, 0.2, named=named, **figures)


def test_verdicts_follow_the_numbers(tmp_path):
    rows = [
        made(subject, place, seed, named + 0.01 * seed)
        for subject, place, named in (
            ("zoo:scene-classifier", INSIDE, 0.85),
            ("zoo:scene-classifier", "restyled", 0.57),
            ("zoo:generator", INSIDE, 0.8),
        )
        for seed in range(3)
    ]
    faint = [replace(one, concept="cloud", iou=0.01, named=0.1) for one in rows]
    found = judge_detectors([*rows, *faint])
    assert [claim.verdict for claim in found.claims] == ["replicates", MISSED, "replicates"]
    assert [claim.source.partition(":")[0] for claim in found.claims] == ["fig. 1f", "fig. 1f", "fig. 3f"]
    assert "| zoo:generator | inside | 1 of 2 | 81.0 (80.0 to 82.0) |" in found.spell()
    assert "cloud" not in found.spell()  # no unit detects it; the table of numbers has it
    assert "cloud" in found.tables()["detectors.csv"].csv()
    figure = found.page(tmp_path).read_text()
    assert figure.startswith("<?xml")
    assert "nan" not in figure.lower().replace("nanum", "")
    unclear = judge_detectors([one for one in rows if not one.seed])
    assert "replicates" not in {claim.verdict for claim in unclear.claims}
