"""Every study over students, quick: it runs, says that it is quick, leaves tables, a page and a figure."""

import csv
import json
import re
import shutil
from dataclasses import replace
from functools import partial

import pytest
import torch

from machines import SentAway
from painted import paint_here
from unitscope.cli import main
from unitscope.dissection.dissect import Confidences
from unitscope.lab.plugins import STUDY
from unitscope.lab.studies import discrimination, rotation, rotation_finding, threshold, trained_groups
from unitscope.lab.studies.catalog import STUDIES
from unitscope.lab.world import open_drawn
from unitscope.lab.zoo import pictures
from unitscope.plugins import find_function

TABLES = {
    "axis": ("conditions.csv", "parts.csv"),
    "layers": ("layers.csv", "layers-1.csv"),
    "supervision": ("supervision.csv", "captions.csv"),
    "training": ("training.csv", "changes.csv", "tracks.csv"),
    "transfer": ("transfer.csv", "tracks.csv"),
}


def take_ends(groups):
    """The first two groups and the last one: each is taught, and compared, by a study of its own too."""
    return {name: groups[name] for name in (*list(groups)[:2], list(groups)[-1])}


@pytest.fixture(scope="module", autouse=True)
def smaller():
    """Fewer steps and pictures than even --quick takes: what a study leaves is tested, not what it finds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trained_groups, "QUICK_STEPS", 2)
        course = trained_groups.Setting.course
        patch.setattr(
            trained_groups.Setting, "course", lambda *given: replace(course(*given), pictures=16, batch=4)
        )
        patch.setattr(trained_groups.Setting, "source", lambda _: open_drawn(count=12, seed=2000, size=64))
        counted = partial(threshold.count_network, quantiles=(0.005, 0.01))
        patch.setattr(threshold, "count_network", counted)
        patch.setattr(threshold, "GROUPS", take_ends(threshold.GROUPS))
        families = {name: take_ends(groups) for name, groups in discrimination.FAMILIES.items()}
        patch.setattr(discrimination, "FAMILIES", families)
        patch.setattr(rotation, "FEW_SHIFTS", Confidences(10, 20))
        swept = partial(rotation.sweep_conditions, quantiles=(0.02,), pools=(2,))
        patch.setattr(rotation, "sweep_conditions", swept)
        patch.setattr(rotation, "rotate_partly", partial(rotation.rotate_partly, parts=(0.4, 1.0)))
        patch.setattr(rotation_finding, "LAYERS", rotation_finding.LAYERS[-2:])
        widths = rotation_finding._list_widths
        patch.setattr(rotation_finding, "_list_widths", lambda *given: widths(*given)[:2])
        patch.setattr(discrimination, "open_drawn", lambda count, *more: open_drawn(count // 8, *more))
        patch.setattr(pictures, "_paint_into", paint_here)
        yield


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """One folder for all: a study finds what another taught."""
    return tmp_path_factory.mktemp("study")


@pytest.mark.parametrize("name", STUDIES)
def test_a_quick_study_says_so_and_leaves_its_results(name, kept, capsys):
    assert main(["study", name, "--quick", "--jobs", "1", "--kept", str(kept)]) == 0
    printed = capsys.readouterr().out
    assert "*A quick look, not a result.*" in printed
    assert "| the paper found | measured here | verdict |" in printed
    # One seed, few steps: nothing may be called replicated by an order.
    for table in TABLES.get(name, (f"{name}.csv",)):
        rows = list(csv.reader((kept / name / table).read_text().splitlines()))
        assert len(rows) > 1
        assert len({len(row) for row in rows}) == 1
    figure = (kept / name / "figure.svg").read_text()
    assert figure.startswith("<?xml")
    assert not re.search(r"\bnan\b", figure)
    assert (kept / name / "finding.md").read_text() in printed


@pytest.mark.parametrize("name", ["width", "transfer", "layers"])
def test_workers_find_what_one_process_finds(name, kept, tmp_path, capsys, monkeypatch):
    if not (kept / name / "finding.md").exists():  # as where this test runs alone
        assert main(["study", name, "--quick", "--jobs", "1", "--kept", str(kept)]) == 0
    monkeypatch.setattr("unitscope.dissection.workers.Processes", SentAway)
    shutil.copytree(kept / "networks-quick", tmp_path / "networks-quick")
    shutil.copytree(kept / "packed", tmp_path / "packed")
    shared = ["--workers", "2", "--threads", str(torch.get_num_threads())]
    assert main(["study", name, "--quick", "--jobs", "1", "--kept", str(tmp_path), *shared]) == 0
    for path in (kept / name).glob("*.*"):
        assert path.suffix == ".svg" or (tmp_path / name / path.name).read_bytes() == path.read_bytes(), path


def test_json_holds_the_claims(kept, capsys):
    assert main(["study", "width", "--quick", "--jobs", "1", "--kept", str(kept), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["study"] == "width"
    assert found["quick"] is True
    assert {"source", "paper", "ours", "verdict"} == set(found["claims"][0])


def test_options_that_go_together_are_named(kept, capsys):
    for words, text in (
        (["layers", "--layers", "a"], "go with --network"),
        (["training", "--network", "zoo:segmenter"], "go with --checkpoints"),
        (["training", "--checkpoints", "none-*.pt", "--network", "n", "--layer", "l"], "no file is named"),
        (["training", "--checkpoints", "a.pt"], "name it with --network"),
        (["layers", "--network", "zoo:scene-classifier"], "no layer was named"),
        (["width", "--seeds", "0"], "wanted 1 or more"),
        (["width", "--workers", "0"], "--workers is 0; it must be at least 1"),
        (["axis", "--network", "zoo:scene-classifier", "--workers", "2"], "is read by one process"),
    ):
        assert main(["study", *words]) == 2
        assert text in capsys.readouterr().err


def test_every_study_has_a_command():
    generators = {"artifacts", "spread", "generators"}
    measurements = {"grade", "labels", "depth", "raters", "scores"}
    others = {"directions", "edits", "formulas", "words", "painting", "shape", "detectors", "all"}
    assert set(STUDY.run) == {*STUDIES, *measurements, *generators, *others}
    for name, command in STUDY.run.items():
        assert find_function(command.run).__name__ == ("everything" if name == "all" else name)
