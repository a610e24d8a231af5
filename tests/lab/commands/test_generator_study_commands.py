"""`unitscope study artifacts` and `study spread`, quick: they say so, leave results, and go on from these."""

import csv
import re
from dataclasses import replace

import pytest

from painted import paint_here
from unitscope.cli import main
from unitscope.lab.studies import artifact_units, insertion_spread
from unitscope.lab.studies.insertion_spread import Extent
from unitscope.lab.zoo import pictures


@pytest.fixture(scope="module", autouse=True)
def smaller():
    """Fewer pictures than even --quick takes: what is left is tested, not what is found."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            artifact_units, "QUICK", replace(artifact_units.QUICK, ranked=12, top=3, measured=3, painted=6)
        )
        patch.setattr(insertion_spread, "CONCEPTS", ("tree@layer2", "grass@layer1"))
        patch.setattr(insertion_spread, "QUICK", Extent(16, 2, 2, 1, 8, 1, 2))
        patch.setattr(pictures, "_paint_into", paint_here)
        yield


@pytest.mark.parametrize(
    ("name", "module", "measure"),
    [("artifacts", artifact_units, "study_artifacts"), ("spread", insertion_spread, "measure_spread")],
)
def test_a_quick_study_says_so_and_goes_on_from_what_it_left(
    name, module, measure, tmp_path, capsys, monkeypatch
):
    words = ["study", name, "--quick", "--kept", str(tmp_path)]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "*A quick look, not a result.*" in printed
    assert "| the paper found | measured here | verdict |" in printed
    assert "**replicates**" not in printed  # one seed
    home = tmp_path / name
    rows = list(csv.reader((home / f"{name}.csv").read_text().splitlines()))
    assert len(rows) > 10
    assert len({len(row) for row in rows}) == 1
    figure = (home / "figure.svg").read_text()
    assert figure.startswith("<?xml")
    assert not re.search(r"\bnan\b", figure)
    assert (home / "finding.md").read_text() in printed

    def never(*_, **__):
        raise AssertionError("measured again")

    monkeypatch.setattr(module, measure, never)
    monkeypatch.setattr("unitscope.lab.studies.study.Finding.draw", lambda _, path: path)  # it is there
    assert main(words) == 0
    assert capsys.readouterr().out == printed
    assert main(["study", name, "--seeds", "0", "--kept", str(tmp_path)]) == 2
    assert "--seeds is 0; wanted 1 or more" in capsys.readouterr().err
