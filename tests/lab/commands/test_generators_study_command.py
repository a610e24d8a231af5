"""`unitscope study generators`, quick: it trains three variants, says that it is quick, and goes on."""

import csv
import re
from dataclasses import replace

import pytest

from painted import paint_here
from unitscope.cli import main
from unitscope.lab.studies import compared_generators, generator_comparison, generators_finding
from unitscope.lab.studies.generator_comparison import Extent
from unitscope.lab.zoo import game, pictures


@pytest.fixture(scope="module", autouse=True)
def smaller():
    """Fewer pictures than even --quick takes: what is left is tested, not what is found."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generators_finding, "QUICK", Extent(5, 6, 20, 2))
        for module in (generator_comparison, generators_finding):
            patch.setattr(module, "LAYERS", ("layer1", "layer2"))
        patch.setattr(game, "SETTLED", 1)
        short = compared_generators.shorten
        patch.setattr(
            compared_generators, "shorten", lambda *given: replace(short(*given), pictures=10, batch=4)
        )
        patch.setattr(pictures, "_paint_into", paint_here)
        yield


def never(*_, **__):
    raise AssertionError("done again")


def test_a_quick_study_says_so_and_goes_on_from_what_it_left(tmp_path, capsys, monkeypatch):
    words = ["study", "generators", "--quick", "--kept", str(tmp_path)]
    assert main([*words, "--trained"]) == 2
    assert "no generator has been trained in" in capsys.readouterr().err
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "*A quick look, not a result.*" in printed
    assert "| the paper found | measured here | verdict |" in printed
    assert "**replicates**" not in printed  # one seed
    home = tmp_path / "generators"
    for name in ("generators", "pictures", "pairs", "units"):
        rows = list(csv.reader((home / f"{name}.csv").read_text().splitlines()))
        assert len(rows) > 4
        assert len({len(row) for row in rows}) == 1
    figure = (home / "figure.svg").read_text()
    assert figure.startswith("<?xml")
    assert not re.search(r"\bnan\b", figure)
    assert (home / "finding.md").read_text() in printed

    monkeypatch.setattr(compared_generators, "train", never)
    monkeypatch.setattr("unitscope.lab.studies.generator_comparison.dissect", never)
    monkeypatch.setattr("unitscope.lab.studies.generator_comparison.pair_units", never)
    monkeypatch.setattr("unitscope.lab.studies.study.Finding.draw", lambda _, path: path)  # it is there
    assert main([*words, "--trained"]) == 0
    assert capsys.readouterr().out == printed
    monkeypatch.undo()

    step = home / "networks-quick" / "generator-0" / "step-1.safetensors"
    assert main([*words, "--trained", "--checkpoints", str(step)]) == 0
    assert "| given checkpoints | 1 |" in capsys.readouterr().out
    assert main(["study", "generators", "--seeds", "0", "--kept", str(tmp_path)]) == 2
    assert "--seeds is 0; wanted 1 or more" in capsys.readouterr().err
