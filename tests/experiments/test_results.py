"""What holds for the result of every verb: tables, frames, files, text, JSON and a notebook say the same."""

import csv
import json
import math
from html import escape

import numpy as np
import pandas
import pytest
import torch
from made_dissection import made_dissection
from made_removal import made_removal
from torch import nn

from generated import planted_studio
from unitscope.concepts.vocabulary import Concept, Example, Vocabulary
from unitscope.doors import PAGES
from unitscope.experiments import (
    answer_all,
    draw_questions,
    measure_ratings,
    study_attacks,
    study_erasure,
    study_placement,
)
from unitscope.interventions import detect, explain
from unitscope.networks.network import Network, Preprocessing
from unitscope.plugins import find_function

CLASSES = ("dim", "=<b>lit</b>")
KINDS = ("removal", "erasure", "placement", "attacks", "ratings", "detection", "explanations", "deletion")


class Shades:
    """Noise around one of two colors, which is an image's class, with a square that has another name."""

    vocabulary = Vocabulary((*(Concept(3 + k, name, "scene") for k, name in enumerate(CLASSES)),
                             Concept(7, "square", "object"), Concept(8, "ground", "object")))  # fmt: skip

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index, /):
        image = np.random.default_rng(index).integers(0, 90, (12, 12, 3), dtype=np.uint8)
        image[..., index % 2] += 90
        planes = np.full((1, 12, 12), 8, np.uint16)
        if index % 3 == 0:
            planes[:, 2:8, 2:8], image[2:8, 2:8, 2] = 7, 250
        return Example(f"=k{index}", image, planes, ids=(3 + index % 2,))


def build_network():
    torch.manual_seed(0)
    parts = [nn.Conv2d(3, 12, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 2)]
    module = nn.Sequential(*parts)
    color = torch.eye(3).repeat_interleave(4, 0) + 0.1 * torch.rand(12, 3)
    module[0].weight.data = color[..., None, None].expand(-1, -1, 3, 3) / 9
    module[4].weight.data = 10 * torch.tensor([[1.0] * 4 + [0.0] * 8, [0.0] * 4 + [1.0] * 4 + [0.0] * 4])
    return Network(module, Preprocessing((12, 12)), CLASSES, "shades")


@pytest.fixture(scope="module")
def results():
    network, studio = build_network(), planted_studio(48)
    few = {"draws": 2, "images": 8}
    asked = draw_questions(made_dissection())
    answers = {name: answer_all(asked, name, lambda one: one.detector) for name in ("=Ann", "<i>Bob</i>")}
    explained = explain(network, [Shades(2)[0].image, Shades(2)[1].image], "1", deletion=Shades(6))
    found = (
        made_removal(made_dissection(layers=("_conv_head",))["_conv_head"]),
        study_erasure(studio, ["ball", "tree@maps"], counts=[1, 2], **few),
        study_placement(studio, ["ball"], count=2, places=2, least=2, **few),
        study_attacks(network, "0", Shades(24), [CLASSES[0]], count=2, draws=2),
        measure_ratings(asked, answers, draws=5),
        detect(network, "1", Shades(60), "square", top=2),
        explained,
        explained.deletion,
    )
    return dict(zip(KINDS, found, strict=True))


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def same(cell, value):
    """Whether a cell of a CSV file holds a value."""
    if value is None:
        return cell == ""
    if isinstance(value, float):
        return float(cell) == pytest.approx(value, rel=1e-5)
    return cell.removeprefix("'") == str(value)


@pytest.mark.parametrize("kind", KINDS)
def test_files_hold_the_tables_and_no_formula(results, kind, tmp_path):
    result = results[kind]
    assert result.save(tmp_path / "out") == tmp_path / "out"
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(result.files)
    tables = {name: table for name, table in result.tables().items() if name in result.files}
    assert tables or kind == "explanations"
    for name, table in tables.items():
        rows, records = read(tmp_path / "out" / name), table.records()
        assert [column.removeprefix("'") for column in rows[0]] == list(table.columns)
        assert len(rows) == len(records) > 0
        for row, record in zip(rows, records, strict=True):
            assert not any(cell.startswith(("=", "+", "@")) for cell in (*row, *row.values()))
            assert all(map(same, row.values(), record.values())), (row, record)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_and_frame_are_the_main_table(results, kind):
    result = results[kind]
    rows, frame = result.rows(), result.to_frame()
    assert isinstance(frame, pandas.DataFrame)
    assert rows == next(iter(result.tables().values())).records()
    assert list(frame.columns) == list(rows[0])
    for row, framed in zip(rows, frame.to_dict("records"), strict=True):
        for name, value in row.items():
            missing = framed[name] is None or framed[name] != framed[name]
            assert missing if value is None else framed[name] == value


@pytest.mark.parametrize("kind", KINDS)
def test_text_json_and_notebook_are_one(results, kind):
    result = results[kind]
    assert str(result) == result.text()
    assert result._repr_html_() == f"<pre>{escape(result.text())}</pre>"
    assert "<b>" not in result._repr_html_()
    assert json.loads(json.dumps(result.describe(), allow_nan=False))


def test_every_result_has_its_page_but_ratings(results):
    for kind, result in results.items():
        place = f"{type(result).__module__}:{type(result).__qualname__}"
        assert (place in PAGES) == (kind != "ratings")
        if place in PAGES:
            assert callable(find_function(PAGES[place]))


def test_numbers_that_are_none_are_none_everywhere(results):
    rows = results["attacks"].describe()["movements"]
    assert not any(isinstance(value, float) and math.isnan(value) for row in rows for value in row.values())
    assert results["placement"].levels.keys() == {"maps"}


def test_pictures_are_drawn_by_the_page(results, tmp_path):
    for kind in ("attacks", "detection", "explanations"):
        result = results[kind]
        made = result.page(tmp_path / kind)
        assert made.is_file()
        assert {path.name for path in (tmp_path / kind).iterdir()} == set(result.pictures)
