"""Names of any tool, scored: every figure is that of the inputs written out, and what cannot be is a line."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import unitscope as us
from unitscope.dissection.formula_text import parse_formula
from unitscope.errors import RunError, UsageError
from unitscope.experiments.name_lists import read_names
from unitscope.experiments.name_scores import check_words, score_names
from unitscope.statistics.grids import make_grid
from unitscope.statistics.label_scores import label_scores
from unitscope.statistics.pair_scores import SCORES

WORDS = us.Vocabulary(
    (
        us.Concept(2, "sky", "object"),
        us.Concept(3, "red car", "object"),
        us.Concept(5, "glass", "material"),
        us.Concept(7, "glass", "object"),
        us.Concept(9, "street-s", "scene"),
        us.Concept(11, "nowhere", "object"),
    )
)
SIDE, CELLS = 32, 8


class Pictures(list):
    vocabulary = WORDS


def make_pictures(count=10, seed=0, void=True):
    rng = np.random.default_rng(seed)
    pictures = Pictures()
    for number in range(count):
        image = rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
        first, second = np.zeros((2, SIDE, SIDE), np.uint16)
        top, left = rng.integers(0, SIDE // 2, 2)
        first[:top], first[top : top + 8, left : left + 9] = 2, 3
        image[first == 3] = [240, 30, 30]
        if number % 3:
            second[:, left:] = 5
            second[top:, : left // 2] = 7
        hidden = np.zeros((SIDE, SIDE), bool)
        hidden[20:26, 3:11] = void
        ids = (9,) if number % 2 else ()
        pictures.append(us.Example(f"{number}.png", image, np.stack([first, second]), ids, hidden))
    return pictures


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(3, 6, 4, 4), nn.ReLU())
    return us.Network(layers.eval(), us.Preprocessing((SIDE, SIDE)))


NAMES = (
    {"layer": "1", "unit": 0, "concept": "sky"},
    {"layer": "1", "unit": 3, "formula": "(red car OR material/glass) AND NOT sky"},
    {"layer": "0", "unit": 5, "concept": "glass", "category": "object"},
    {"layer": "1", "unit": 3, "concept": "street-s"},
    {"layer": "0", "unit": 1, "formula": "sky AND glass", "category": "object"},
)
ROWS = [
    {"layer": one["layer"], "unit": one["unit"], "formula": one.get("formula", one.get("concept"))}
    for one in NAMES[:2]
]


def write_out(network, source, layer, unit, formula, at, union):
    """The responses and presences of every known input, image after image."""
    maps = us.read_activations(network, source, [layer]).arrays()[layer][:, unit]
    index = WORDS.category_index
    wanted = {int(index[one]) for one in formula.concepts}
    responses, presences = [], []
    for image, example in zip(maps, source, strict=True):
        planes = [*example.planes, *(np.full((SIDE, SIDE), one, np.uint16) for one in example.ids)]
        valid = ~example.void
        labels = {int(one) for plane in planes for one in np.unique(plane[valid]) if one}
        if union == "category" and not wanted <= {int(index[one]) for one in labels}:
            continue
        has = np.zeros((SIDE * SIDE, WORDS.size), bool)
        for plane in planes:
            has[np.arange(SIDE * SIDE), plane.reshape(-1)] = True
        holds = formula.holds(has).reshape(SIDE, SIDE) & valid
        if at == "images":
            responses.append([image.mean()])
            presences.append([holds.any()])
        elif at == "cells":
            step = SIDE // CELLS
            blocks = [one.reshape(CELLS, step, CELLS, step).sum((1, 3)) for one in (holds, valid)]
            known = 2 * blocks[1] >= step * step
            responses.append(image[known])
            presences.append(((2 * blocks[0] >= blocks[1]) & (blocks[0] > 0))[known])
        else:
            grid = make_grid((CELLS, CELLS), (SIDE, SIDE), "half-pixel")
            wide = grid.upsample(grid.surround(torch.from_numpy(image)[None, None]))[0, 0].numpy()
            responses.append(wide[valid])
            presences.append(holds[valid])
    return np.concatenate(responses), np.concatenate(presences)


@pytest.mark.parametrize("union", ["category", "all"])
@pytest.mark.parametrize("at", ["pixels", "cells", "images"])
def test_every_score_is_that_of_the_inputs_written_out(network, at, union):
    source = make_pictures()
    rules = replace(us.CONVENTIONS["pnas"], reduction=1, union=union)
    rows = [{"layer": "0", **one, "concept": one.get("formula") or one["concept"]} for one in NAMES]
    rows = [{key: value for key, value in row.items() if key != "formula"} for row in rows]
    rows[4] = {**rows[4], "concept": "sky AND object/glass"}
    found = score_names(rows, network, None, source, at=at, convention=rules, top_fraction=0.1, draws=3)
    formulas = [
        (0, "1", "sky"),
        (3, "1", "(red car OR material/glass) AND NOT sky"),
        (5, "0", "object/glass"),
        (3, "1", "street-s"),
        (1, "0", "sky AND object/glass"),
    ]
    assert len(found.names) == len(formulas)
    for one, (unit, layer, text) in zip(found.names, formulas, strict=True):
        formula = parse_formula(text, WORDS)
        a, c = write_out(network, source, layer, unit, formula, at, union)
        assert (one.layer, one.unit, one.formula) == (layer, unit, text)
        assert (one.inputs, one.positives) == (len(a), c.sum())
        wanted = label_scores(a[None], c[None], 0.1)
        for score, value in wanted.items():
            near = pytest.approx(value[0, 0], abs=2e-6, nan_ok=True)
            assert one.scores[score].value == near, (text, score)


def test_order_of_images_and_names_changes_no_score(network):
    source = make_pictures()
    mirrored = Pictures(reversed(source))
    some = score_names(ROWS, network, "1", source, draws=0)
    others = score_names(ROWS[::-1], network, ["1"], mirrored, draws=0)
    for one, other in zip(some.names, others.names[::-1], strict=True):
        for score in set(SCORES) - {"simulation"}:
            value = one.scores[score].value
            assert other.scores[score].value == pytest.approx(value, abs=1e-9, nan_ok=True), score
            assert np.isnan(one.scores[score].p_value)


def test_the_same_seed_gives_the_same_bytes(network, tmp_path):
    source = make_pictures()
    for folder in ("a", "b"):
        score_names(ROWS, network, "1", source, draws=8, replicates=8, seed=3).save(tmp_path / folder)
    for name in ("scores.csv", "names.csv"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_unit_that_is_its_name_is_sure_of_it_and_others_are_not():
    """The red channel, less the others, where a car is red; a name without anything in it has no low p."""
    weight = torch.zeros(2, 3, 4, 4)
    weight[0, 0], weight[0, 1:], weight[1, 2] = 1 / 16, -1 / 32, 1 / 16
    layer = nn.Conv2d(3, 2, 4, 4, bias=False)
    layer.weight.data = weight
    network = us.Network(nn.Sequential(layer), us.Preprocessing((SIDE, SIDE)))
    rows = [
        {"unit": 0, "concept": "red car"},
        {"unit": 1, "concept": "street"},
        {"unit": 0, "concept": "nowhere"},
    ]
    found = score_names(rows, network, "0", make_pictures(60, void=False), at="cells", draws=40)
    true, other, nothing = found.names
    for score in ("pearson", "iou", "cosine", "inverse_auroc", "simulation", "average_precision"):
        assert true.scores[score].p_value < 0.03, score
        assert true.scores[score].q_value < 0.06
        assert true.scores[score].low <= true.scores[score].value <= true.scores[score].high
    assert other.scores["pearson"].p_value > 0.03
    assert nothing.positives == 0
    assert np.isnan(nothing.scores["pearson"].p_value)
    assert any("hold in none of the images: 1 (nowhere)" in note for note in found.notes)


def test_p_values_are_even_where_labels_are_those_of_other_images(network):
    source = make_pictures(30)
    low = []
    for seed in range(12):
        shuffled = us.shuffle_labels(source, seed)
        rows = [{"unit": unit, "concept": name} for unit in range(6) for name in ("sky", "red car")]
        found = score_names(rows, network, "1", shuffled, at="cells", draws=29, replicates=2, seed=seed)
        low += [one.scores["pearson"].p_value < 0.1 for one in found.names]
    assert np.mean(low) < 0.2


def test_a_name_may_be_asked_whether_it_fits_other_units_as_well(network):
    source = make_pictures()
    rows = [{"unit": unit, "concept": "red car"} for unit in range(6)]
    found = score_names(rows, network, "1", source, at="cells", null="units")
    for score in ("pearson", "iou", "mad"):
        values = np.array([one.scores[score].value for one in found.names])
        wanted = [(values >= value).sum() / 6 for value in values]
        assert [one.scores[score].p_value for one in found.names] == pytest.approx(wanted)
    assert found.about["null"].startswith("other named units of the layer")
    alone = score_names(rows[:1], network, "1", source, at="cells", null="units")
    assert np.isnan(alone.names[0].scores["pearson"].p_value)


def test_names_come_as_other_tools_write_them(network, tmp_path):
    source = make_pictures()
    (tmp_path / "descriptions.csv").write_text(
        "layer,unit,description,similarity\n1,0,sky,0.2\n1,3,red car,0.1\n1,4,,0\n0,2,sky,0\n"
    )
    (tmp_path / "tally.csv").write_text(
        "unit,category,label,score\n1,object,sky,.2\n6,object,glass,.1\n2,object,-,0\n"
    )
    (tmp_path / "words.csv").write_text("layer,unit,word,score\n1,0,Sky,3\n")
    found = score_names(tmp_path / "descriptions.csv", network, "1", source, draws=0)
    assert [(one.unit, one.formula) for one in found.names] == [(0, "sky"), (3, "red car")]
    assert "units without a name, left out: 1" in found.notes
    assert "names of other layers, left out: 1" in found.notes
    tally = score_names(str(tmp_path / "tally.csv"), network, "1", source, draws=0)
    assert [(one.unit, one.formula) for one in tally.names] == [(0, "sky"), (5, "object/glass")]
    words = score_names(tmp_path / "words.csv", network, None, source, draws=0)
    assert words.names[0].formula == "sky"


def test_a_run_is_scored_from_its_folder_and_told_that_it_saw_the_images(network, tmp_path):
    source = make_pictures()
    run = us.dissect(network, source, ["1"], confidences=us.Confidences(0, 1))
    run.save(tmp_path / "run")
    other = score_names(tmp_path / "run", network, None, make_pictures(12, seed=4), draws=0)
    same = score_names(run, network, "1", source, draws=0)
    named = [unit for unit in run["1"] if unit.concept is not None]
    assert (
        [one.unit for one in same.names] == [one.unit for one in other.names] == [one.unit for one in named]
    )
    assert any("made from these images" in note for note in same.notes)
    assert not any("made from these images" in note for note in other.notes)
    assert not any("another network" in note for note in (*same.notes, *other.notes))
    torch.manual_seed(1)
    module = nn.Sequential(nn.Conv2d(3, 6, 4, 4), nn.ReLU()).eval()
    strange = score_names(run, us.Network(module, us.Preprocessing((SIDE, SIDE))), "1", source, draws=0)
    assert "the names are those of another network, or of other weights than these" in strange.notes


def test_unknown_names_are_refused_or_counted(network):
    rows = [
        *ROWS,
        {"layer": "1", "unit": 1, "formula": "unicorn"},
        {"layer": "1", "unit": 2, "formula": "skye"},
    ]
    with pytest.raises(UsageError) as caught:
        score_names(rows, network, "1", make_pictures())
    assert "row 3: there is no concept 'unicorn'" in str(caught.value)
    assert "(and 1 other names); skip_unknown" in str(caught.value)
    found = score_names(rows, network, "1", make_pictures(), skip_unknown=True, draws=0)
    assert len(found.names) == 2
    assert "names that are no concepts of the source, left out: 2 (unicorn, skye)" in found.notes


def test_results_are_tables_text_and_json(network, tmp_path):
    found = score_names(ROWS, network, "1", make_pictures(), draws=5, replicates=5)
    assert found.save(tmp_path) == tmp_path
    assert {path.name for path in tmp_path.iterdir()} == {"scores.csv", "names.csv"} == set(found.files)
    rows = found.rows()
    assert len(rows) == 2 * len(SCORES)
    assert [row["score"] for row in rows[: len(SCORES)]] == list(SCORES)
    assert json.loads(json.dumps(found.describe()))["about"]["inputs"] == "pixels"
    text = str(found)
    assert "(red car OR material/glass) AND NOT sky" in text
    assert "note: 10 images allow few null draws that differ; p-values are coarse" in text
    assert text.splitlines()[0].split()[:3] == ["layer", "unit", "name"]


@pytest.mark.parametrize(
    ("rows", "layers", "more", "told"),
    [
        ([], "1", {}, "the list of names has no rows"),
        ([{"unit": 0}], "1", {}, "no column concept or formula"),
        ([{"concept": "sky"}], "1", {}, "no column unit"),
        ([{"unit": "x", "concept": "sky"}], "1", {}, "row 1: unit is 'x'; wanted its number"),
        ([{"unit": -1, "concept": "sky"}], "1", {}, "row 1: unit is -1; units are counted from 0"),
        ([{"unit": 6, "concept": "sky"}], "1", {}, "row 1: layer 1 has no unit 6; it has 0 to 5"),
        ([{"unit": 0, "concept": "sky"}], None, {}, "do not say which layer"),
        ([{"unit": 0, "concept": "sky"}], ["0", "1"], {}, "do not say which layer"),
        ([{"unit": 0, "concept": ""}], "1", {}, "no name in them"),
        ([{"layer": "0", "unit": 0, "concept": "sky"}], "1", {}, "no name is of layer 1; the names are of 0"),
        ([{"unit": 0, "formula": "sky OR red car AND street"}], "1", {}, "which of OR, AND comes first"),
        ([{"unit": 0, "formula": "(sky OR red car"}], "1", {}, "row 1: formula '(sky OR red car': a bracket"),
        ([{"unit": 0, "concept": "glass"}], "1", {}, "several concepts are called 'glass'"),
        (["sky"], "1", {}, "a row of names is a str"),
        (3, "1", {}, "names are a int"),
        (ROWS, "1", {"top_fraction": 0}, "top_fraction is 0"),
        (ROWS, "1", {"draws": -1}, "draws is -1"),
        (ROWS, "1", {"replicates": 0}, "replicates is 0"),
        (ROWS, "1", {"seed": -1}, "the seed is -1"),
        (ROWS, "1", {"convention": "netdissect-lite"}, "depends on each mask"),
        (ROWS, "1", {"convention": "nd"}, "no convention 'nd'"),
        (ROWS, "1", {"machine": us.Machine(memory=1000)}, "limit the images"),
    ],
)
def test_what_cannot_be_scored_is_a_line(network, rows, layers, more, told):
    with pytest.raises(UsageError) as caught:
        score_names(rows, network, layers, make_pictures(), **more)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_words_that_are_none_are_a_line():
    # Directly: here the checks of types would refuse them first.
    for at, pool, told in (
        ("pixel", "mean", "at is 'pixel'; it is one of pixels, cells, images"),
        ("cells", "sum", "pool is 'sum'; it is one of mean, max"),
    ):
        with pytest.raises(UsageError, match=told):
            check_words(at, pool, "images")


def test_files_that_are_none_are_a_line(tmp_path):
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "head.csv").write_text("layer,unit,concept\n")
    (tmp_path / "binary.csv").write_bytes(b"unit,concept\n\xff\xfe,1\n")
    for name in ("empty.csv", "head.csv"):
        with pytest.raises(UsageError, match="has no rows"):
            read_names(tmp_path / name)
    for name in ("none.csv", "binary.csv"):
        with pytest.raises(RunError, match="cannot read"):
            read_names(tmp_path / name)
    (tmp_path / "tally.csv").write_text("unit,category,label,score\n0,object,sky,.2\n")
    with pytest.raises(UsageError, match="line 2: unit is 0; units are counted from 1 here"):
        read_names(tmp_path / "tally.csv")


def test_of_words_beside_concepts_the_words_are_the_names():
    [found] = read_names([{"unit": 3, "word": "sky", "concept": "grass", "layer": "a"}]).names
    assert found.name == "sky"
