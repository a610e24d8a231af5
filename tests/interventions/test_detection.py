"""Units as detectors: thresholds as by hand, planted units found, nothing where there is nothing."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from torch import nn

from made import WORDS, Stored, label_image
from unitscope.concepts.segmented import SegmentedSource
from unitscope.concepts.vocabulary import Concept, Example, Vocabulary, find_named
from unitscope.errors import ActivationError, SourceError, UsageError
from unitscope.interventions.detection import (
    _code_labels,
    _judge,
    _Kept,
    check_units,
    detect_concept,
    draw_sample,
    judge_all,
)
from unitscope.interventions.detectors import (
    Sample,
    find_thresholds,
    measure_auroc,
    score_units,
    shuffle_control,
    sort_answers,
)
from unitscope.networks.feeding import read_peaks
from unitscope.networks.generators import GeneratedImages, Generator
from unitscope.networks.network import Network, Preprocessing

PEAKS = arrays(np.float32, st.tuples(st.integers(4, 14), st.just(3)), elements=st.integers(-3, 3).map(float))


def judge_slowly(peaks: np.ndarray, present: np.ndarray, threshold: float) -> tuple[float, float]:
    """Balanced accuracy, and how far misses and false alarms are from balance, by their definitions."""
    hits = [peak > threshold for peak, has in zip(peaks, present, strict=True) if has]
    alarms = [peak > threshold for peak, has in zip(peaks, present, strict=True) if not has]
    found, wrong = float(np.mean(hits)), float(np.mean(alarms))
    return (found + 1 - wrong) / 2, abs((1 - found) - wrong)


@given(PEAKS, st.randoms())
def test_thresholds_are_the_best_of_all_that_could_be(peaks, chance):
    present = np.array([k % 2 == 0 for k in range(len(peaks))])
    chance.shuffle(present)
    thresholds, fitted = find_thresholds(peaks, present)
    for unit in range(3):
        values = sorted({float(value) for value in peaks[:, unit]})
        tried = [(a + b) / 2 for a, b in pairwise(values)] + [values[-1]]
        rated = [judge_slowly(peaks[:, unit], present, one) for one in tried]
        best = min(rated, key=lambda pair: (-round(pair[0], 9), round(pair[1], 9)))
        assert thresholds[unit] in tried
        found = judge_slowly(peaks[:, unit], present, thresholds[unit])
        assert found == pytest.approx(best)
        assert fitted[unit] == pytest.approx(found[0])
        lower = [r for t, r in zip(tried, rated, strict=True) if t < thresholds[unit]]
        assert all(r != pytest.approx(best) for r in lower)


@given(PEAKS, st.integers(0, 5))
def test_scores_are_those_of_the_half_that_was_not_fitted(peaks, seed):
    peaks = np.concatenate([peaks] * 2)
    rng = np.random.default_rng(seed)
    present = rng.permutation(np.arange(len(peaks)) % 2 == 0)
    fitting = np.zeros(len(peaks), bool)
    for kind in (True, False):
        fitting[np.flatnonzero(present == kind)[::2]] = True
    sample = Sample((WORDS[1],), np.arange(len(peaks)), present, fitting)
    found = score_units(peaks, sample, replicates=50)
    thresholds, _ = find_thresholds(peaks[fitting], present[fitting])
    assert np.array_equal(found.threshold, thresholds)
    for unit in range(3):
        above = peaks[~fitting, unit] > found.threshold[unit]
        assert found.balanced[unit] == pytest.approx(balanced_accuracy_score(present[~fitting], above))
        area = roc_auc_score(present[~fitting], peaks[~fitting, unit])
        assert found.auroc[unit] == pytest.approx(area)
        assert found.low[unit] <= found.balanced[unit] + 1e-9 <= found.high[unit] + 2e-9
    changed = peaks.copy()
    changed[~fitting] = 0
    assert np.array_equal(score_units(changed, sample).order, found.order)


def test_the_interval_is_that_of_resampled_images():
    rng = np.random.default_rng(0)
    present = np.arange(400) % 2 == 0
    peaks = (rng.normal(size=(400, 1)) + present[:, None]).astype(np.float32)
    sample = Sample((WORDS[1],), np.arange(400), present, np.arange(400) < 200)
    found = score_units(peaks, sample, replicates=4000)
    right = {kind: (peaks[200:, 0] > found.threshold[0])[present[200:] == kind] == kind for kind in (0, 1)}
    drawn = [
        np.mean([rng.choice(right[kind], len(right[kind])).mean() for kind in (0, 1)]) for _ in range(4000)
    ]
    assert np.allclose([found.low[0], found.high[0]], np.quantile(drawn, [0.025, 0.975]), atol=0.011)


def test_auroc_of_a_constant_unit_is_a_half():
    assert measure_auroc(np.ones((8, 1), np.float32), np.arange(8) < 4).tolist() == [0.5]
    with pytest.raises(UsageError, match="all are of one kind"):
        find_thresholds(np.ones((3, 1), np.float32), np.ones(3, bool))


def paint(
    cat: int, *, other: bool = True, void: int = 0, key: str = "k", ids: tuple[int, ...] = ()
) -> Example:
    """An image of 10 x 10 pixels, `cat` of them a cat, the rest sky or nothing, red if there is a cat."""
    planes = np.full((1, 10, 10), 2 if other else 0, np.uint16)
    planes.reshape(-1)[:cat] = 1
    image = np.zeros((10, 10, 3), np.uint8)
    image.reshape(-1, 3)[:cat, 0] = 255
    unknown = np.zeros((10, 10), bool)
    unknown.reshape(-1)[100 - void :] = void > 0
    return Example(key, image, planes, ids, unknown)


class Paths(nn.Module):
    """Unit 0 sees red, unit 1 is constant, the others give noise that depends on the image's first pixels."""

    def __init__(self, units=6):
        super().__init__()
        self.units, self.inner, self.act = units, nn.Identity(), nn.ReLU()

    def forward(self, x):
        noise = [torch.sin(x.sum((1, 2, 3)) * (17 + k))[:, None, None].expand(-1, 10, 10) for k in range(4)]
        return self.act(self.inner(torch.stack([x[:, 0], torch.ones_like(x[:, 0]), *noise], 1) - 0.5))


@pytest.fixture
def network():
    return Network(Paths(), Preprocessing((10, 10)), name="paths")


@pytest.fixture
def source():
    rng = np.random.default_rng(1)
    examples = []
    for k in range(60):
        one = paint(30 if k % 3 == 0 else 0, key=f"k{k}")
        image = one.image.copy()
        image[..., 1] = rng.integers(0, 255, (10, 10))
        examples.append(Example(one.key, image, one.planes, one.ids, one.void))
    return Stored(examples)


def test_a_planted_unit_is_found_and_never_wrong(network, source):
    sample, peaks = detect_concept(network, "act", source, ["cat"])
    assert peaks.shape == (40, 6)
    assert sample.present.sum() == (~sample.present).sum() == 20
    assert (sample.fitting & sample.present).sum() == (sample.fitting & ~sample.present).sum() == 10
    assert all(
        (source[i].planes == 1).any() == has for i, has in zip(sample.images, sample.present, strict=True)
    )
    found = score_units(peaks, sample)
    assert found.order[0] == 0
    assert found.balanced[0] == found.fitted[0] == found.auroc[0] == 1
    assert found.threshold[0] == 0.25
    assert found.balanced[1] == found.auroc[1] == 0.5
    assert network.module.training
    assert not any(part._forward_hooks for part in network.module.modules())


def test_images_are_read_once_and_where_there_is_no_room_again(network, source):
    read = []

    class Counted(Stored):
        def __getitem__(self, index, /):
            read.append(index)
            return super().__getitem__(index)

    sample, peaks = detect_concept(network, "act", Counted(source.examples), ["cat"])
    assert sorted(read) == list(range(60))
    assert np.array_equal(peaks, read_peaks(network, "act", source, sample.images.tolist()))
    read.clear()
    cramped = _Kept(Counted(source.examples), room=1000)
    assert np.array_equal(peaks, read_peaks(network, "act", cramped, sample.images.tolist()))
    assert np.array_equal(peaks, read_peaks(network, "act", cramped, sample.images.tolist()))
    assert len(read) == 2 * len(sample) - 3  # three images of 300 bytes were kept; the first sets the size


def test_a_layers_input_is_what_comes_before_the_relu(network, source):
    sample, before = detect_concept(network, "act@in", source, ["cat"])
    _, after = detect_concept(network, "act", source, ["cat"])
    assert np.array_equal(np.maximum(before, 0), after)
    assert before[~sample.present, 0].max() == -0.5


def test_where_labels_mean_nothing_units_are_near_chance():
    rng = np.random.default_rng(0)
    peaks = rng.normal(size=(800, 60)).astype(np.float32)
    sample = Sample((WORDS[1],), np.arange(800), rng.permutation(800) < 400, np.arange(800) % 2 == 0)
    found = score_units(peaks, sample)
    assert abs(found.balanced.mean() - 0.5) < 0.01
    assert found.fitted.mean() > found.balanced.mean() + 0.02  # what fitting a threshold feigns
    luck = shuffle_control(peaks, sample, draws=60)
    assert abs(luck.mean() - 0.5) < 0.02
    peaks[:, 7] += 3 * sample.present
    assert score_units(peaks, sample).order[0] == 7
    assert shuffle_control(peaks, sample, draws=40).max() < 0.62


def test_the_same_seed_gives_the_same_and_another_another(network, source):
    one, peaks = detect_concept(network, "act", source, ["cat"], seed=3)
    two, again = detect_concept(network, "act", source, ["cat"], seed=3)
    three, _ = detect_concept(network, "act", source, ["cat"], seed=4)
    assert np.array_equal(one.images, two.images)
    assert np.array_equal(peaks, again)
    assert not np.array_equal(one.images, three.images)
    assert np.array_equal(shuffle_control(peaks, one, draws=5), shuffle_control(peaks, one, draws=5))


def count(examples, name="cat", **options):
    """How many images are with and without, by which ones are ever drawn."""
    examples = [e for e in examples for _ in range(10)]
    sample = draw_sample(Stored(examples), find_named(WORDS, [name]), **options)
    return {i // 10 for i in sample.images[sample.present]}, {i // 10 for i in sample.images[~sample.present]}


@given(st.integers(0, 1000), st.sampled_from([0.0, 0.01, 0.2]), st.booleans())
def test_all_concepts_are_judged_as_one_by_one(seed, share, lone):
    rng = np.random.default_rng(seed)
    examples = [label_image(rng, (6, 5), f"k{k}") for k in range(6)]
    words = [one for one in WORDS if not lone or one.id not in (1, 11, 6)]
    vocabulary = Vocabulary(tuple(words))
    if lone:  # labels of nothing that the vocabulary has are none
        known = [one.id for one in words]
        examples = [
            Example(
                one.key,
                one.image,
                np.where(np.isin(one.planes, known), one.planes, 0).astype(np.uint16),
                tuple(i for i in one.ids if i in known),
                one.void,
            )
            for one in examples
        ]
    found = judge_all(Stored(examples, vocabulary), share)
    for concept in words:
        codes = _code_labels(vocabulary, [concept])
        assert found[concept.id] == [_judge(one, codes, share) for one in examples], concept.name


def test_which_images_are_with_and_which_without():
    kinds = [
        paint(5),
        paint(0),
        paint(0, other=False),  # nobody says that they looked for objects
        paint(1, void=95),
        paint(1),
        Example("whole", np.zeros((4, 4, 3), np.uint8), ids=(1,)),
        Example("street", np.zeros((4, 4, 3), np.uint8), ids=(9,)),
        Example("sky", np.zeros((4, 4, 3), np.uint8), ids=(2,)),
    ]
    assert count(kinds, share=0.05) == ({0, 3, 5}, {1, 7})
    assert count(kinds, share=0.0) == ({0, 3, 4, 5}, {1, 7})


def test_a_lone_concept_of_its_category_is_absent_where_it_is_not_there():
    words = Vocabulary((Concept(1, "cat", "object"), Concept(9, "street", "scene")))
    kinds = [paint(50, other=False), paint(0, other=False), Example("b", np.zeros((4, 4, 3), np.uint8))]
    examples = [e for e in kinds for _ in range(10)]
    sample = draw_sample(Stored(examples, words), find_named(words, ["cat"]))
    assert set(sample.images[sample.present] // 10) == {0}
    assert set(sample.images[~sample.present] // 10) == {1, 2}


def test_several_concepts_are_one_that_is_any_of_them():
    kinds = [paint(0, ids=(11,)), paint(50), paint(0)]
    examples = [e for e in kinds for _ in range(10)]
    concepts = find_named(WORDS, ["never", "cat"])
    sample = draw_sample(Stored(examples), concepts, most=10)
    assert sample.name == "never or cat"
    assert len(sample) == 20
    assert set(sample.images[~sample.present] // 10) == {2}


def test_what_cannot_be_judged_is_told(network, source):
    with pytest.raises(UsageError, match="no concept 'catt'; near names: cat"):
        detect_concept(network, "act", source, ["catt"])
    with pytest.raises(UsageError, match="no concept was named"):
        find_named(WORDS, [])
    twice = Vocabulary((Concept(1, "water", "object"), Concept(2, "water", "material")))
    with pytest.raises(UsageError, match="several concepts are called 'water'; say object/water or material"):
        find_named(twice, ["water"])
    assert find_named(twice, ["material/water"])[0].id == 2
    with pytest.raises(SourceError, match=r"'ear' is in 0 of 60 images \(on 0.01 of .*\), 60 are without"):
        detect_concept(network, "act", source, ["ear"])
    with pytest.raises(SourceError, match="'cat' is in 0 of 60 images"):
        detect_concept(network, "act", source, ["cat"], share=0.5)
    for wrong in ({"share": 1.5}, {"share": float("nan")}, {"most": 4}, {"seed": -1}):
        with pytest.raises(UsageError):
            detect_concept(network, "act", source, ["cat"], **wrong)
    with pytest.raises(UsageError, match="no layer 'acts'; near names: act"):
        check_units(network, "acts")
    with pytest.raises(UsageError, match="units 0 to 5, not 6"):
        check_units(network, "act@in", 6)
    assert check_units(network, "act@in", 5) == 6


def test_activations_that_are_no_numbers_are_told(source):
    network = Network(nn.Sequential(nn.Conv2d(3, 2, 1)), Preprocessing((10, 10)))
    with torch.no_grad():
        network.module[0].weight.fill_(float("nan"))
    with pytest.raises(ActivationError, match="unit 0 of layer 0 gave nan on image k3"):
        read_peaks(network, "0", source, [3, 4])


def test_a_generators_units_are_read_for_the_images_it_made():
    module = nn.Sequential(nn.ConvTranspose2d(5, 4, 4), nn.ReLU(), nn.Conv2d(4, 3, 1), nn.Tanh())
    generator = Generator(module.eval(), latent=(5, 1, 1))
    images = GeneratedImages(generator, 30)
    peaks = read_peaks(generator, "1", images, [3, 17, 4])
    with torch.no_grad():
        wanted = module[:2](generator.draw_latents(0, 30)).amax((2, 3))[[3, 17, 4]]
    assert np.allclose(peaks, wanted.numpy(), atol=1e-6)
    with pytest.raises(UsageError, match="makes its own images"):
        detect_concept(generator, "1", Stored([paint(3)]), ["cat"])


def test_answers_part_the_images_measured_and_none_else(network, source):
    sample, peaks = detect_concept(network, "act", source, ["cat"])
    detectors = score_units(peaks, sample)
    own = {image: place for place, image in enumerate(sample.images.tolist())}
    for unit in range(6):
        answers = sort_answers(peaks, sample, detectors, unit)
        parts = {
            "hits": (True, True),
            "silent": (True, False),
            "alarms": (False, True),
            "quiet": (False,) * 2,
        }
        for name, (has, high) in parts.items():
            images = getattr(answers, name).tolist()
            wanted = [
                image
                for place, image in enumerate(sample.images.tolist())
                if not sample.fitting[place]
                and sample.present[place] == has
                and (peaks[place, unit] > detectors.threshold[unit]) == high
            ]
            assert sorted(images) == wanted
            values = [float(peaks[own[image], unit]) for image in images]
            assert values == sorted(values, reverse=high)
        measured = [len(getattr(answers, name)) for name in parts]
        right = (measured[0] / (measured[0] + measured[1]) + measured[3] / (measured[2] + measured[3])) / 2
        assert right == pytest.approx(detectors.balanced[unit])


class Discs(nn.Module):
    """Paints red where the first number of a latent is high; unit 0 is what it paints, unit 1 is still."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Identity()

    def forward(self, latents):
        red = latents[:, :1, None, None].expand(-1, 1, 8, 8).clamp(-1, 1)
        maps = self.layer(torch.cat([red, torch.zeros_like(red)], 1))
        return torch.cat([maps[:, :1], maps[:, 1:].expand(-1, 2, 8, 8) - 1], 1)


class Red:
    """Calls pixels red or blue; in red pictures a few of them, as said."""

    name, digest = "red", "1"
    vocabulary = WORDS

    def __call__(self, images, /):
        return np.where(images[..., 0] > 128, 5, 6).astype(np.uint16)[:, None]


def test_a_generators_unit_detects_what_a_segmenter_sees():
    generator = Generator(Discs().eval(), Preprocessing((8, 8)), latent=(4,), seed=5)
    source = SegmentedSource(GeneratedImages(generator, 60), Red())
    sample, peaks = detect_concept(generator, "layer", source, ["red"], share=0.05)
    found = score_units(peaks, sample)
    assert found.order[0] == 0
    assert found.balanced[0] > 0.9  # the threshold lies midway between two peaks, not at 0
    assert found.balanced[1] == 0.5
    assert len(sort_answers(peaks, sample, found, 1).silent) == sample.present.sum() / 2
    wanted = generator.draw_latents(0, 60)[sample.images, 0].clamp(-1, 1)
    assert np.allclose(peaks[:, 0], wanted.numpy())
