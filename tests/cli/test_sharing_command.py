"""`dissect --workers`, `--ray` and `--shards`, torchrun, and `merge`."""

from pathlib import Path

import pytest

from commands import assert_refused, dissect, write_networks
from unitscope.cli import main


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(write_networks(tmp_path))
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def read(out):
    return [(Path(out) / name).read_bytes() for name in ("units.csv", "1.safetensors")]


def test_parts_are_merged_into_the_run_of_one_process(place, capsys):
    assert dissect(out="whole") == 0
    capsys.readouterr()
    assert dissect("small", "1", "drawn:count=6,size=64", "parts", "--shards", "2/2") == 0
    assert capsys.readouterr().out == (
        "part 2/2: 0 shards are in parts; when all parts are: unitscope merge parts\n"
    )
    assert_refused(main(["merge", "parts"]), capsys, "shards are missing in parts (0)", "--shards 1/2;")
    assert dissect("small", "1", "drawn:count=6,size=64", "parts", "--shards", "1/2", "--resume") == 0
    assert main(["merge", "parts", "--threads", "1"]) == 0
    assert "run: parts\nreport: parts/report/index.html\n" in capsys.readouterr().out
    assert read("parts") == read("whole")
    assert_refused(main(["merge", "parts"]), capsys, "parts holds a finished run: nothing is left to merge")
    assert_refused(dissect("small", "1", out="parts"), capsys, "parts holds a finished run")


def test_torchrun_needs_no_further_word(place, capsys, monkeypatch):
    assert dissect(out="whole") == 0
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in ("1", "0"):
        capsys.readouterr()
        monkeypatch.setenv("RANK", rank)
        assert dissect(out="ranks") == 0
        said = capsys.readouterr()
        assert said.err == f"unitscope: part {int(rank) + 1}/2 of the run, by RANK and WORLD_SIZE\n"
        assert ("run: ranks" in said.out) == (rank == "0")
    assert read("ranks") == read("whole")


def test_each_process_of_torchrun_takes_a_device_of_its_own(place, capsys, monkeypatch):
    for name, value in (("RANK", "5"), ("WORLD_SIZE", "8"), ("LOCAL_RANK", "63")):
        monkeypatch.setenv(name, value)
    status = dissect("small", "1", "drawn:count=6,size=64", "run", "--device", "cuda")
    said = capsys.readouterr().err.splitlines()
    assert status == 2
    assert said[-1].startswith("unitscope: torch cannot use a device 'cuda:63' here")


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--shards", "0/16"], ["there is no part 0/16; parts are 1/16 to 16/16"]),
        (["--shards", "17/16"], ["there is no part 17/16; parts are 1/16 to 16/16"]),
        (["--shards", "three"], ["'three' is no part of a run; give one such as 3/16"]),
        (["--shards", "auto"], ["nothing says which part this is"]),
        (["--workers", "0"], ["--workers is 0; it must be at least 1"]),
        (["--shards", "1/2", "--thresholds", "iqr"], ["thresholds iqr are chosen by one process"]),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(words, parts, place, capsys, monkeypatch):
    for name in ("ID", "COUNT", "MIN"):
        monkeypatch.delenv(f"SLURM_ARRAY_TASK_{name}", raising=False)
    status = dissect("small", "1", "drawn:count=6,size=64", "run", *words)
    assert_refused(status, capsys, *parts, wanted=2)
    assert not Path("run").exists()
