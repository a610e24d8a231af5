"""How an insertion spreads: changes are those of single edits, by layer, zone and context."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from generated import PAINTS, UNITS, WORDS, Planted, planted_studio
from unitscope.errors import UsageError
from unitscope.experiments.erasure_result import Target
from unitscope.experiments.spread import ABSENT, APPEARED, compare_maps, mark_zones, study_spread
from unitscope.interventions.edits import edited, set_units
from unitscope.interventions.insertion import draw_cells
from unitscope.interventions.unit_values import measure_layers
from unitscope.networks.generators import Generator, to_pixels

BALL, TREE = WORDS[2], WORDS[3]
TARGETS = [Target(BALL, "maps"), Target(TREE, "maps")]


class Deep(Planted):
    """A layer more: what was at a cell also reaches the cell below it, at half its height."""

    def __init__(self):
        super().__init__()
        self.later = nn.Identity()

    def lay(self, units):
        x = super().lay(units)
        self.later(torch.cat([x, x.roll(1, 2) * 0.5], 1))
        return x


@pytest.fixture(scope="module")
def studio():
    return planted_studio(generator=Generator(Deep().eval(), name="deep", latent=(16,)))


@pytest.fixture(scope="module")
def levels(studio):
    return measure_layers(studio.generator, ["maps"], studio.segmenter, 64)


@pytest.fixture(scope="module")
def study(studio, levels):
    return study_spread(
        studio, TARGETS, later=["later"], levels=levels, count=2, places=3, across=None, draws=4, images=20,
        least=1,
    )  # fmt: skip


def look(generator, number, *edits):
    seen = {}
    module = generator.module
    handles = [
        getattr(module, name).register_forward_hook(lambda _m, _a, out, at=name: seen.update({at: out[0]}))
        for name in ("maps", "later")
    ]
    with torch.no_grad(), edited(generator, *edits):
        # Edits are hooks as well, and come after these: what the layer gave is read of the layer behind it.
        picture = to_pixels(module(generator.draw_latents(number, 1)), generator.low, generator.high)
    for handle in handles:
        handle.remove()
    seen["maps"] = seen["later"][:UNITS]
    seen["picture"] = torch.from_numpy(picture[0]).permute(2, 0, 1).float()
    return {name: one.double().numpy() for name, one in seen.items()}, picture


def test_changes_are_those_of_a_loop_over_single_edits(studio, study, levels):
    generator = studio.generator
    plain = [look(generator, number)[0] for number in range(64)]
    sizes = {name: np.mean([np.abs(one[name]).mean((1, 2)) for one in plain], 0) for name in plain[0]}
    rng = np.random.default_rng(0)
    lots = [rng.permutation(UNITS)[:2].tolist() for _ in range(4)]
    assert study.layers == {"maps": ("maps", "later", "picture")}
    for target in TARGETS:
        concept = target.concept.id
        for by in study.kinds:
            trials, row = study.trials[concept, by], 0
            for number in range(64, 84):
                units = lots[(number - 64) // 5] if by == "random" else list(study.rankings[by][concept])
                before, picture = look(generator, number)
                for cell in draw_cells((4, 4), 3, number, 0):
                    place = torch.zeros(4, 4)
                    place[cell] = 1
                    edit = set_units(
                        "maps", units, UNITS, value=levels["maps"].value(concept, units), place=place
                    )
                    after, painted = look(generator, number, edit)
                    first, second = (studio.segmenter(one)[0, 0] == concept for one in (picture, painted))
                    spans = tuple(slice(4 * one, 4 * one + 4) for one in cell)
                    assert trials.gained[row] == pytest.approx(second[spans].mean() - first[spans].mean())
                    for at, name in enumerate(("maps", "later", "picture")):
                        change = (np.abs(after[name] - before[name]) / sizes[name][:, None, None]).mean(0)
                        scale = len(change) // 4
                        spread = change.reshape(4, scale, 4, scale).mean((1, 3))
                        y, x = np.indices((4, 4))
                        apart = np.maximum(abs(y - cell[0]), abs(x - cell[1]))
                        wanted = [spread[zone].mean() for zone in (apart == 0, apart == 1, apart > 1)]
                        np.testing.assert_allclose(trials.change[row, at], wanted, rtol=1e-4, atol=1e-6)
                    row += 1
            assert row == len(trials) == 60


def test_what_is_set_reaches_the_cell_below_and_no_farther(study):
    trials = study.trials[2, "iou"]
    assert trials.changed(0, 1).value == trials.changed(0, 2).value == 0
    assert trials.changed(1, 1).value > 0
    below_edge = trials.change[:, 1, 2] > 0  # the roll goes around the edge
    assert below_edge.mean() < 0.5
    assert trials.carried(0) == 1


def test_contexts_hold_all_trials_and_outcomes_part_them(study):
    for target in TARGETS:
        rows = dict(study.contexts(target))
        every = len(study.trials[target.concept.id, "iou"])
        assert len(rows[APPEARED]) + len(rows[ABSENT]) == every
        assert sum(len(one) for name, one in rows.items() if not name.startswith("(")) == every
        assert (rows[APPEARED].gained >= 0.1).all()
    ball = dict(study.contexts(TARGETS[0]))
    assert ball[APPEARED].carried(-1) > ball[ABSENT].carried(-1)
    assert set(PAINTS[2]) == set(study.rankings["iou"][2])


def test_tables_words_and_json(study, tmp_path):
    folder = study.save(tmp_path)
    head, *rows = (folder / "spread.csv").read_text().splitlines()
    assert head.startswith("concept,layer,by,context,trials,gained,at,zone,change")
    assert len(rows) == 9 * sum(len(study.contexts(t, by)) for t in TARGETS for by in study.kinds)
    text = study.text()
    assert text.splitlines()[0] == "set in maps, left of its change there, %:"
    assert json.dumps(study.describe(), allow_nan=False)


def test_the_same_again_gives_the_same_rows(studio, study, levels):
    again = study_spread(
        studio, TARGETS, later=["later"], levels=levels, count=2, places=3, across=None, draws=4, images=20,
        least=1,
    )  # fmt: skip
    assert again.rows() == study.rows()


def test_what_cannot_be_is_told(studio, levels):
    for options, text in (
        ({"places": 0}, "0 places"),
        ({"count": 11}, "set 1 to 10, not 11"),
        ({"draws": 0}, "0 draws"),
        ({"later": ["nowhere"]}, "nowhere"),
        ({"images": 1}, "no interval"),
    ):
        with pytest.raises(UsageError, match=text):
            study_spread(studio, TARGETS, levels=levels, **{"count": 2, "images": 4, "draws": 2, **options})


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 5), st.integers(0, 5))
def test_zones_part_the_grid(rows, columns, y, x):
    zones = mark_zones((y % rows, x % columns), (rows, columns))
    assert (zones.sum(0) == 1).all()
    assert zones[0].sum() == 1


def test_units_without_size_are_left_out_and_cells_count_by_their_share():
    pair = torch.zeros(2, 2, 3, 1)
    pair[1, 0] = torch.tensor([[1.0], [2.0], [3.0]])
    pair[1, 1] = 7
    found = compare_maps(pair, np.array([2.0, 0.0]), mark_zones((0, 0), (2, 1)))
    # Three cells over two places: the middle one is half of either.
    np.testing.assert_allclose(found[:2], [(0.5 + 0.5) / 1.5, (0.5 + 1.5) / 1.5])
    assert np.isnan(found[2])
