"""Directions fitted to cells that are known: planted ones are found, and a stopped fit ends as any other."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from torch import nn

import unitscope as us
from made import WORDS, Stored, label_image
from unitscope.concepts.vocabulary import Example
from unitscope.errors import ActivationError, RunError, UsageError
from unitscope.experiments import Training, fit_directions
from unitscope.experiments.fitting import cells as cells_module
from unitscope.experiments.fitting import probes, training
from unitscope.experiments.fitting.asked import OF_K, Asked, check_kind
from unitscope.experiments.fitting.autoencoders import Autoencoder
from unitscope.experiments.fitting.cells import Cells
from unitscope.experiments.fitting.measures import Fitted, find_signs, measure_fit
from unitscope.experiments.fitting.unfinished import name_folder
from unitscope.networks.directions.activations import Threshold
from unitscope.networks.directions.directions import make_directions
from unitscope.progress import on_progress
from unitscope.statistics.cell_labels import CellGrid, label_planes
from unitscope.statistics.labeled_cells import UNKNOWN

UNITS = 6
SHORT = Training(steps=30, batch_cells=64)
SAES = ("topk-sae", "batchtopk-sae", "matryoshka-sae", "relu-sae")
TIGHT = 2 * 4 * 64 * UNITS * 8 * 2  # bytes: two blocks of one batch of 8 images at a time


def open_pixels(units: int = UNITS) -> us.Network:
    """A network whose layer gives the bands of a picture as they are, so that its cells are pixels."""
    return us.Network(nn.Sequential(nn.Identity()), us.Preprocessing(channels=tuple(range(units))))


def draw_pictures(count: int = 40, units: int = UNITS, side: int = 8, seed: int = 0) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    turned = random.standard_normal((units, units))
    return [
        ((random.exponential(size=(side, side, units)) @ turned) + 3).astype(np.float32) for _ in range(count)
    ]


def gather(pictures: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([one.reshape(-1, one.shape[2]) for one in pictures]).astype(np.float64)


def ask(kind: str) -> dict[str, int]:
    return {"latents": 12 if kind in SAES else 4} | ({"k": 3} if kind in OF_K else {})


def fit(kind="topk-sae", out=None, pictures=None, machine=None, **given):
    options = {"training": SHORT, **ask(kind), **given}
    machine = machine or us.Machine(threads=1)
    return fit_directions(
        open_pixels(),
        "0",
        pictures or draw_pictures(),
        kind,
        out=out,
        batch_size=8,
        machine=machine,
        **options,
    )


def test_a_planted_dictionary_is_found_again() -> None:
    """48 directions of 24 units, 3 on in a cell; found are those with a cosine above .9 to some latent."""
    random = np.random.default_rng(0)
    planted = random.standard_normal((48, 24))
    planted /= np.linalg.norm(planted, axis=1, keepdims=True)
    on = random.random((32 * 256, 48)).argsort(1) < 3
    cells = (on * random.uniform(0.5, 1.5, on.shape)) @ planted + 0.01 * random.standard_normal((len(on), 24))
    pictures = list(cells.astype(np.float32).reshape(32, 16, 16, 24))
    made = fit_directions(
        open_pixels(24), "0", pictures, "topk-sae", 96, k=3, training=Training(400, 512, rate=3e-3)
    )
    assert torch.allclose(made.decoder.norm(dim=1), torch.ones(96), atol=1e-5)
    cosines = (planted @ made.decoder.double().numpy().T).max(1)
    assert (cosines > 0.9).mean() > 0.9
    assert float(made.about["explained"]) > 0.9
    assert float(made.about["l0"]) <= 3
    curve = json.loads(made.about["loss_curve"])
    assert len(curve) == 40
    assert curve[-1][0] == 400
    assert curve[-1][1] < 0.1 < 0.5 < curve[0][1]


@pytest.mark.parametrize("kind", SAES)
def test_what_a_step_misses_is_that_of_the_formula(kind: str) -> None:
    asked = Asked(kind, 12, 3 if kind in OF_K else 0, 4, SHORT, "cpu")
    model = Autoencoder(asked, UNITS)
    cells = torch.from_numpy(np.random.default_rng(1).standard_normal((20, UNITS)).astype(np.float32))
    rows = model.weights["decoder"].detach().double().numpy().copy()
    h = cells.double().numpy() @ rows.T
    kept = np.maximum(h, 0)
    if kind == "topk-sae":
        kept = np.array([[v if v >= sorted(row)[-3] else 0 for v in row] for row in kept])
    elif kind != "relu-sae":
        kept = np.where(h >= sorted(h.flatten())[-3 * 20], h, 0)
    assert model.learn(cells) == pytest.approx(float(((kept @ rows - cells.numpy()) ** 2).mean()), rel=1e-4)
    if kind in ("batchtopk-sae", "matryoshka-sae"):
        assert model.threshold == pytest.approx(sorted(h.flatten())[-3 * 20], rel=1e-4)


def test_the_first_latents_of_a_matryoshka_say_more_than_those_of_others() -> None:
    pictures = draw_pictures(units=12)
    shares = []
    for kind in ("matryoshka-sae", "batchtopk-sae"):
        made = fit_directions(
            open_pixels(12), "0", pictures, kind, 32, k=6, training=Training(200, 256, 3e-3), batch_size=8
        )
        assert isinstance(made.activation, Threshold)
        rows = torch.from_numpy(gather(pictures).astype(np.float32))
        latents = made.encode(rows)
        latents[:, 8:] = 0
        shares.append(
            float((made.decode(latents) - rows).square().sum() / (rows - rows.mean(0)).square().sum())
        )
    assert shares[0] < shares[1] - 0.02
    assert json.loads(fit("matryoshka-sae").about["prefixes"]) == [1, 3, 6, 12]


@pytest.mark.parametrize("memory", [4 << 30, TIGHT])
def test_principal_components_are_those_of_a_singular_value_decomposition(memory: int) -> None:
    pictures = draw_pictures()
    made = fit("pca", pictures=pictures, latents=5, machine=us.Machine(threads=1, memory=memory))
    cells = gather(pictures)
    centered = cells - cells.mean(0)
    _, _, wanted = np.linalg.svd(centered, full_matrices=False)
    found = made.decoder.double().numpy()
    assert np.allclose(abs((found * wanted[:5]).sum(1)), 1, atol=1e-5)
    latents = made.encode(torch.from_numpy(cells.astype(np.float32))).double().numpy()
    assert np.allclose(latents, centered @ found.T, atol=1e-4)
    if memory > TIGHT:
        assert ((latents**3).mean(0) > 0).all()  # the heavier tail is the upper one
    rebuilt = (centered @ found.T) @ found
    explained = 1 - ((rebuilt - centered) ** 2).sum() / (centered**2).sum()
    assert float(made.about["explained"]) == pytest.approx(explained, abs=2e-3)


def test_independent_components_are_the_sources_that_were_mixed() -> None:
    random = np.random.default_rng(3)
    sources, mixing = random.exponential(size=(40 * 64, UNITS)), random.standard_normal((UNITS, UNITS))
    pictures = list((sources @ mixing).astype(np.float32).reshape(40, 8, 8, UNITS))
    made = fit("ica", pictures=pictures, latents=UNITS)
    cells = torch.from_numpy(gather(pictures).astype(np.float32))
    latents = made.encode(cells)
    found = np.corrcoef(latents.T.numpy(), sources.T)[:UNITS, UNITS:]
    assert (
        found.max(0) > 0.95
    ).all()  # up to their order, and with their sign: the upper tail is the heavy one
    assert torch.allclose(latents.std(0), torch.ones(UNITS), atol=1e-2)
    assert torch.allclose(made.decode(latents), cells, atol=1e-2)


def test_non_negative_parts_rebuild_what_they_made_and_refuse_values_below_0() -> None:
    random = np.random.default_rng(4)
    parts = random.exponential(size=(3, UNITS)) * (random.random((3, UNITS)) < 0.6)
    codes = random.exponential(size=(40 * 64, 3)) * (random.random((40 * 64, 3)) < 0.5)
    made = fit("nmf", pictures=list((codes @ parts).astype(np.float32).reshape(40, 8, 8, UNITS)), latents=3)
    assert float(made.about["explained"]) > 0.97
    assert (made.decoder >= 0).all()
    assert torch.allclose(made.decoder.norm(dim=1), torch.ones(3), atol=1e-5)
    with pytest.raises(UsageError, match=r"% of the values of 0 are below 0, and nmf wants none"):
        fit("nmf")


def test_signs_are_those_of_the_third_moment() -> None:
    scores = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [9.0, -9.0, 1.0]])
    assert find_signs(scores).tolist() == [1, -1, 1]


def test_figures_of_a_fit_are_those_counted_cell_by_cell() -> None:
    random = np.random.default_rng(5)
    rows = torch.from_numpy(random.standard_normal((50, 4)).astype(np.float32))
    encoder = torch.from_numpy(random.standard_normal((4, 7)).astype(np.float32))
    made = make_directions(
        encoder, bias=torch.tensor([0.0, 0, 0, -99, 0, -99, 1]), activation=Threshold(torch.zeros(7), True)
    )
    on, missed, whole, fired = 0, 0.0, 0.0, set()
    for row in rows.double().numpy():
        h = row @ encoder.double().numpy() + made.bias.double().numpy()
        z = np.array([max(one, 0) for one in h])
        on += int((z != 0).sum())
        fired |= set(np.flatnonzero(z))
        missed += ((row - z @ encoder.double().numpy().T) ** 2).sum()
        whole += ((row - rows.double().numpy().mean(0)) ** 2).sum()
    found = measure_fit(Fitted(made, rows, {}), 0, "cpu")
    assert float(found["explained"]) == pytest.approx(1 - missed / whole, abs=1e-3)
    assert float(found["l0"]) == pytest.approx(on / 50, abs=1e-3)
    assert found["dead"] == str(7 - len(fired)) == "2"


def kill(what: str, done: int):
    """Ends the work as Ctrl-C would, once so much of it is done."""

    def tell(progress):
        if progress.what.startswith(what) and progress.done >= done:
            raise KeyboardInterrupt

    return on_progress(tell)


@pytest.mark.parametrize(
    ("kind", "memory", "what", "done"),
    [
        ("topk-sae", 4 << 30, "read", 20),
        ("topk-sae", 4 << 30, "train", 1),
        ("matryoshka-sae", 4 << 30, "train", 17),
        ("topk-sae", 4 << 30, "train", 30),
        ("relu-sae", TIGHT, "train", 21),
        ("batchtopk-sae", TIGHT, "train", 30),
        ("pca", TIGHT, "read", 16),
    ],
)
def test_a_fit_that_was_stopped_ends_with_the_bytes_of_one_that_was_not(
    kind, memory, what, done, tmp_path, monkeypatch
) -> None:
    machine = us.Machine(threads=1, memory=memory)
    whole, stopped = tmp_path / "whole.safetensors", tmp_path / "stopped.safetensors"
    monkeypatch.setattr(cells_module, "BLOCK", 1)  # one batch
    fit(kind, whole, machine=machine)
    monkeypatch.setattr("unitscope.progress.CALLS", 0)
    monkeypatch.setattr(training, "EVERY", 0)
    with pytest.raises(KeyboardInterrupt), kill(what, done):
        fit(kind, stopped, machine=machine)
    assert not stopped.exists()
    assert list(name_folder(stopped).glob("cells-*.npy"))
    with pytest.raises(RunError, match="holds an unfinished fit; go on with --resume"):
        fit(kind, stopped, machine=machine)
    with pytest.raises(RunError, match="was begun with seed '0', not '5'"):
        fit(kind, stopped, machine=machine, resume=True, seed=5)
    read = []
    with on_progress(lambda told: read.append(told.done) if told.what == "read" else None):
        fit(kind, stopped, machine=machine, resume=True)
    assert stopped.read_bytes() == whole.read_bytes()
    assert sorted(tmp_path.iterdir()) == [stopped, whole]
    if memory > TIGHT:
        assert read == ([16 + 8 * i for i in range(1, 4)] if what == "read" else [])  # none is read again


def test_cells_that_are_damaged_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, stopped = tmp_path / "whole.safetensors", tmp_path / "stopped.safetensors"
    fit(out=whole)
    monkeypatch.setattr("unitscope.progress.CALLS", 0)
    with pytest.raises(KeyboardInterrupt), kill("train", 1):
        fit(out=stopped)
    for path in name_folder(stopped).glob("cells-*.npy"):
        path.write_bytes(path.read_bytes()[:-8])
    fit(out=stopped, resume=True)
    assert stopped.read_bytes() == whole.read_bytes()


def test_the_seed_decides(tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.safetensors" for number in range(3)]
    for path, seed in zip(files, (1, 1, 2), strict=True):
        fit(out=path, seed=seed)
    assert files[0].read_bytes() == files[1].read_bytes() != files[2].read_bytes()


def open_cells(memory: int, chosen: int = 64) -> Cells:
    network, pictures = open_pixels(), draw_pictures()
    found = us.read_activations(network, pictures, ["0"], batch_size=8, machine=us.Machine(memory=memory))
    return Cells(found, "0", chosen, seed=0)


def test_cells_that_do_not_fit_come_in_turns_each_once_a_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells_module, "BLOCK", 1)
    cells, whole = open_cells(TIGHT), gather(draw_pictures())
    assert (cells.blocks, cells.blocks_a_turn, cells.rounds, len(cells)) == (5, 2, 3, 2560)
    for again in (0, 1):
        turns = [cells.load(3 * again + part).numpy() for part in range(3)]
        assert [len(turn) for turn in turns] == [cells.count(turn) for turn in range(3)] == [1024, 1024, 512]
        seen = np.concatenate(turns)
        assert np.array_equal(np.sort(seen, 0), np.sort(whole.astype(np.float32), 0))
    assert cells.list_blocks(0) != cells.list_blocks(3)
    few, many = (fit(training=Training(steps, 64)).about["cells_seen"] for steps in (30, 50))
    assert (few, many) == (str(30 * 64), "2560")


def test_some_cells_of_every_image_are_drawn_whatever_is_read_with_it() -> None:
    cells = open_cells(4 << 30, chosen=5)
    rows = cells.load(0).reshape(40, 5, UNITS).numpy()
    for image, picture in enumerate(draw_pictures()):
        wanted = picture.reshape(64, UNITS)[cells.choose(image)]
        assert np.array_equal(rows[image], wanted)
        assert len(set(cells.choose(image).tolist())) == 5
    assert fit(training=Training(30, 64, cells=230)).about["cells_an_image"] == "5 of 64"


class Sequence(nn.Module):
    """A class token and four patches of three features."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        patches = nn.functional.avg_pool2d(x, 4).flatten(2).transpose(1, 2)
        return torch.cat([torch.full_like(patches[:, :1], 1000.0), patches], 1)


def test_class_tokens_are_left_out() -> None:
    network = us.Network(nn.Sequential(Sequence()), tokens=us.Tokens(first=1))
    pictures = [np.full((8, 8, 3), 20 * number, np.uint8) for number in range(12)]
    made = fit_directions(network, "0", pictures, "pca", 1)
    assert made.about["cells"] == "48"
    assert float(made.subtracted.max()) < 1


def label_by_hand(example: Example, grid: tuple[int, int]) -> np.ndarray:
    """Of every plane and cell what most pixels that are not void are; -2 where most are void."""
    found = np.zeros((len(example.planes), grid[0] * grid[1]), int)
    for plane, ids in enumerate(example.planes):
        tall, wide = ids.shape[0] // grid[0], ids.shape[1] // grid[1]
        for cell in range(grid[0] * grid[1]):
            row, column = divmod(cell, grid[1])
            votes, void = {}, 0
            for y in range(row * tall, (row + 1) * tall):
                for x in range(column * wide, (column + 1) * wide):
                    if example.void is not None and example.void[y, x]:
                        void += 1
                    else:
                        votes[int(ids[y, x])] = votes.get(int(ids[y, x]), 0) + 1
            most = min(votes, key=lambda one: (-votes[one], one)) if votes else UNKNOWN
            found[plane, cell] = UNKNOWN if 2 * void > tall * wide else most
    return found


def test_labels_of_cells_are_those_of_most_of_their_pixels() -> None:
    random = np.random.default_rng(6)
    for number in range(30):
        example = label_image(random, (12, 12), str(number))
        found = label_planes(example, CellGrid((3, 2), (12, 12)))
        assert np.array_equal(found, label_by_hand(example, (3, 2)))


def make_labelled(count: int = 24) -> Stored:
    random = np.random.default_rng(7)
    examples = []
    for number in range(count):
        example = label_image(random, (16, 16), str(number), size=(16, 16))
        bands = random.standard_normal((16, 16, UNITS)).astype(np.float32)
        if len(example.planes):
            bands[..., 0] += 3 * (example.planes[0] == 1)
        examples.append(Example(example.key, bands, example.planes, example.ids, example.void))
    return Stored(examples)


def pool() -> us.Network:
    return us.Network(nn.Sequential(nn.AvgPool2d(4)), us.Preprocessing(channels=tuple(range(UNITS))))


def test_probes_are_logistic_regressions_on_cells_by_their_labels() -> None:
    from sklearn.linear_model import LogisticRegression

    source = make_labelled()
    made = fit_directions(pool(), "0", source, "probe", concepts=["cat", "scene/street"])
    assert made.names == ("object/cat", "scene/street")
    cells, cat = [], []
    for example in source.examples:
        cells += list(example.image.reshape(4, 4, 4, 4, UNITS).mean((1, 3)).reshape(16, UNITS))
        labels = label_by_hand(example, (4, 4))
        unknown = (labels == UNKNOWN).all(0) if len(labels) else np.zeros(16, bool)
        has = (labels == 1).any(0) | (1 in example.ids)
        cat += np.where(unknown, -1, has).tolist()
    known = np.array(cat) >= 0
    x, y = np.array(cells)[known], np.array(cat)[known]
    assert (~known).any()
    assert json.loads(made.about["cells_with_each"])[0] == y.sum()
    scaled = (x - x.mean(0)) / x.std(0)
    model = LogisticRegression(C=1.0, max_iter=1000).fit(scaled.astype(np.float32), y)
    found = made.encode(torch.from_numpy(x.astype(np.float32)))[:, 0].numpy()
    assert np.allclose(found, model.decision_function(scaled), atol=1e-3)
    moved = made.decode(torch.tensor([[1.0, 0.0]])) - made.decode(torch.zeros(1, 2))
    change = made.encode(torch.from_numpy(x[:1].astype(np.float32)) + moved)[0, 0] - found[0]
    assert float(change) == pytest.approx(1, abs=1e-4)


def test_probes_go_on_where_they_were_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "LEAST", 10)
    monkeypatch.setattr("unitscope.progress.CALLS", 0)
    monkeypatch.setattr(probes, "EVERY", 0)
    whole, stopped = tmp_path / "whole.safetensors", tmp_path / "stopped.safetensors"
    made = fit_directions(pool(), "0", make_labelled(), "probe", out=whole)
    assert len(made.names) == made.latents == 6  # all but the concept that never occurs
    assert "latents" not in made.about
    with pytest.raises(KeyboardInterrupt), kill("probes", 3):
        fit_directions(pool(), "0", make_labelled(), "probe", out=stopped)
    told = []
    with on_progress(told.append):
        fit_directions(pool(), "0", make_labelled(), "probe", out=stopped, resume=True)
    assert min(one.done for one in told if one.what == "probes") >= 3
    assert stopped.read_bytes() == whole.read_bytes()


def test_a_file_says_what_it_was_fitted_on() -> None:
    source = us.open_source("drawn:count=8,size=64")
    made = fit_directions(open_pixels(3), "0", source, "pca", 2)
    network = open_pixels(3)
    assert made.about == made.about | {
        "network": network.name,
        "network_digest": network.digest,
        "layer": "0",
        "source": source.spec,
        "source_digest": source.digest,
        "images": "8",
        "cells": str(8 * 64 * 64),
        "cells_an_image": "4096 of 4096",
        "seed": "0",
    }


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"latents": None}, "topk-sae wants a number of latents, such as --latents 64"),
        ({"latents": 0}, "latents is 0; it must be 1 or more"),
        ({"k": None}, "topk-sae wants k, how many latents fire in a cell"),
        ({"k": 13}, "k is 13; of 12 latents 1 to 12 can fire"),
        ({"k": 0}, "k is 0; of 12 latents 1 to 12 can fire"),
        ({"kind": "pca", "k": 3}, "pca has no k"),
        ({"kind": "ica", "k": None, "latents": 7}, "latents is 7; 0 has 6 units, so ica has at most 6"),
        ({"kind": "probe", "k": None}, "a probe has a latent a concept"),
        ({"kind": "probe", "k": None, "latents": None}, "the images have no concepts to probe for"),
        ({"concepts": ["cat"]}, "topk-sae has none, leave --concepts out"),
        ({"seed": -1}, "the seed is -1"),
        ({"training": Training(cells=39)}, "39 cells of 40 images are not one an image"),
        (
            {"machine": us.Machine(memory=4096), "kind": "nmf", "k": None, "latents": 2},
            "take 0.0 GB, and nmf has 0.0",
        ),
    ],
)
def test_what_cannot_be_fitted_is_told_before_the_pass(given, said, monkeypatch) -> None:
    monkeypatch.setattr(cells_module, "BLOCK", 1)
    asked = {"kind": "topk-sae", "latents": 12, "k": 3} | given
    with (
        on_progress(lambda told: pytest.fail(f"{told.what} began")),
        pytest.raises(UsageError, match=said),
    ):
        fit(**asked)


@pytest.mark.parametrize(
    "given",
    [
        {"steps": 0},
        {"batch_cells": 0},
        {"cells": 0},
        {"rate": 0.0},
        {"rate": float("nan")},
        {"penalty": -1.0},
    ],
)
def test_a_training_out_of_range_is_refused(given) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(given))} is .*; "):
        Training(**given)


def test_an_unknown_kind_is_refused_with_near_ones() -> None:
    with pytest.raises(UsageError, match="no kind 'topksae' of directions; near names: topk-sae"):
        check_kind("topksae", 12, 3, 0)


def test_a_layer_in_directions_is_refused() -> None:
    with pytest.raises(UsageError, match="is read in directions already; fit on the layer without"):
        fit_directions(open_pixels(), "0+identity", draw_pictures(4), "pca", 2)


def test_a_concept_on_too_few_cells_is_refused_by_name() -> None:
    with pytest.raises(us.UnitscopeError, match=r"object/never is on 0 of .* cells; a probe wants 20"):
        fit_directions(pool(), "0", make_labelled(), "probe", concepts=["never"])
    with pytest.raises(UsageError, match="there is no concept 'catt'; near names: cat"):
        fit_directions(pool(), "0", make_labelled(), "probe", concepts=["catt"])
    assert len(WORDS) == 7


def test_cells_without_numbers_and_trainings_that_diverge_are_told() -> None:
    with pytest.raises(ActivationError):
        fit(pictures=[np.full((8, 8, UNITS), np.nan, np.float32)])
    with pytest.raises(RunError, match=r"the error at step \d+ is not finite; lower --rate"):
        fit("relu-sae", training=Training(30, 64, rate=1e30))


@pytest.mark.parametrize("kind", ["ica", "nmf", "probe"])
def test_without_scikit_learn_one_line_says_how_to_get_it(kind, monkeypatch) -> None:
    for name in ("sklearn", "sklearn.decomposition", "sklearn.linear_model", "sklearn.exceptions"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(UsageError, match=r"scikit-learn, .*, is not installed; pip install 'unitscope\[dir"):
        fit_directions(pool(), "0", make_labelled(), kind, None if kind == "probe" else 2)


def test_cells_that_are_all_the_same_have_no_variance_to_explain() -> None:
    made = fit(pictures=[np.ones((8, 8, UNITS), np.float32)] * 4)
    assert "explained" not in made.about
    assert torch.isfinite(made.encode(torch.ones(1, UNITS))).all()


def test_a_fit_that_cannot_be_leaves_no_folder_behind(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="below 0"):
        fit("nmf", tmp_path / "nmf.safetensors")
    assert not list(tmp_path.iterdir())


def test_another_process_at_work_is_not_disturbed(tmp_path: Path) -> None:
    out = tmp_path / "sae.safetensors"
    name_folder(out).mkdir()
    with FileLock(name_folder(out) / "lock"), pytest.raises(RunError, match="another process is at work in"):
        fit(out=out)


def test_concepts_of_one_name_have_a_probe_each() -> None:
    stored = make_labelled()
    twice = us.Vocabulary((us.Concept(1, "cat", "object"), us.Concept(5, "cat", "object")))
    examples = [
        Example(one.key, one.image, np.where(np.isin(one.planes, [1, 5]), one.planes, 0).astype(np.uint16))
        for one in stored.examples
    ]
    made = fit_directions(pool(), "0", Stored(examples, twice), "probe")
    assert made.names == ("object/cat", "object/cat")
    assert made.latents == len(json.loads(made.about["cells_with_each"])) == 2
    assert made.about["not_converged"] == "0"
