"""`LAYER+pca:N` on the command line: fitted to the images of the command, once, and kept as a file."""

import csv
import sys
from pathlib import Path

import pytest

import unitscope as us
from commands import DRAWN, assert_refused, dissect, write_networks
from unitscope.cli import main
from unitscope.errors import UsageError
from unitscope.experiments import fit_directions
from unitscope.networks.directions.files import load_directions
from unitscope.networks.directions.open_directions import open_directions

SOURCE = "drawn:count=6,seed=0,size=64"
ON_IMAGES = {
    "experiments.study_removal": "ablate net.py:small --layer 1+pca:2 --images SOURCE",
    "experiments.study_attacks": "attack net.py:small --layer 1+pca:2 --images SOURCE --targets sky",
    "interventions.explain": "explain net.py:small other.png --layer 1+pca:2 --deletion SOURCE",
    "describe": "describe net.py:small --layers 1+pca:2 --images SOURCE --text hf:nowhere",
    "interventions.detect": "detect net.py:small --layer 1+pca:2 --images SOURCE --concept sky",
}


@pytest.fixture(autouse=True)
def kept(tmp_path, monkeypatch):
    """The folder of components, which is not there yet."""
    monkeypatch.chdir(write_networks(tmp_path))
    monkeypatch.setenv("UNITSCOPE_CACHE", "cache")
    return tmp_path / "cache" / "directions"


def list_files(kept: Path) -> list[Path]:
    return sorted(kept.glob("*.safetensors"))


def list_layers(run: str) -> set[str]:
    return {row["layer"] for row in csv.DictReader(Path(run, "units.csv").read_text().splitlines())}


@pytest.mark.parametrize("kind", ["pca", "ica", "nmf"])
def test_components_are_those_of_directions_fit(kind, kept, capsys):
    assert dissect(layers=f"1 1+{kind}:3") == 0
    [file] = list_files(kept)
    assert list_layers("run") == {"1", f"1+{file}"}
    said = f"unitscope: 1+{kind}:3: fitted to 6 images of {SOURCE}"
    assert said in capsys.readouterr().err.replace(", not converged", "")
    words = f"directions fit net.py:small --layer 1 --images {DRAWN} --kind {kind} --latents 3 --threads 1"
    assert main([*words.split(), "--out", "twin.safetensors"]) == 0
    assert file.read_bytes() == Path("twin.safetensors").read_bytes()


def test_the_same_command_finds_them_and_other_images_have_others(kept, capsys):
    assert dissect(layers="1+pca:3") == 0
    [file] = list_files(kept)
    before = file.stat()
    capsys.readouterr()
    assert dissect("small", "1+pca:3", DRAWN, "again", "--shuffle-labels", "1") == 0  # the same images
    assert f"1+pca:3: found as fitted to 6 images of {SOURCE}; use" in capsys.readouterr().err
    assert list_layers("run") == list_layers("again")
    after = file.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert dissect("small", "1+pca:3", "drawn:count=6,size=64,seed=1", "other_run") == 0
    assert dissect("small", "1+pca:3", DRAWN, "smaller", "--limit", "5") == 0
    assert dissect("small", "1+pca:3", DRAWN, "narrow", "--size", "32") == 0
    assert len(list_files(kept)) == 4


def test_a_damaged_file_is_made_again(kept):
    assert dissect(layers="1+pca:3") == 0
    [file] = list_files(kept)
    whole = file.read_bytes()
    file.write_bytes(whole[:100])
    assert dissect("small", "1+pca:3", DRAWN, "again") == 0
    assert file.read_bytes() == whole


def test_cells_are_told_along_what_is_fitted_to_those_that_are_learned_from(kept):
    assert main(f"cells net.py:small --layers 1+pca:2 --concepts {DRAWN} --threads 1".split()) == 0
    [file] = list_files(kept)
    assert load_directions(file).about["source"] == f"{SOURCE},half=train"


@pytest.mark.parametrize("verb", ON_IMAGES)
def test_every_command_with_images_fits_to_them(verb, kept, monkeypatch, capsys):
    def work(_network: us.Network, *given: object, **_options: object) -> None:
        raise UsageError(f"asked for {given}")

    monkeypatch.setattr(f"unitscope.{verb}", work)
    assert main(ON_IMAGES[verb].replace("SOURCE", DRAWN).split()) == 2
    [file] = list_files(kept)
    assert f"'1+{file}'" in capsys.readouterr().err.partition("asked for")[2]
    assert load_directions(file).about["source"] == SOURCE


@pytest.mark.parametrize(
    ("layers", "parts"),
    [
        ("1+pca:0", ("1+pca:0: latents is 0",)),
        ("1+pca", ("1+pca: wanted a number of components", "1+pca:64")),
        ("1+ica:many", ("1+ica:many: N='many'",)),
        ("1+pca:3 1+pca:9999", ("9999; 1 has 6 units", "at most 6")),
        ("1+pca:3 0+nmf:2", ("values of 0 are below 0", "pca or ica")),
        ("1+pca:3 9", ("no layer '9'",)),
        ("1+pca:3 --dry-run", ("1+pca:3: --dry-run fits nothing", "--kind pca --latents 3")),
    ],
)
def test_what_cannot_be_fitted_is_told_before_anything_is(layers, parts, kept, capsys):
    assert_refused(dissect(layers=layers), capsys, *parts, wanted=2)
    assert not kept.exists()
    assert not Path("run").exists()


def test_a_missing_package_and_no_images_are_one_line(kept, capsys, monkeypatch):
    words = "explain net.py:small other.png --layer 1+pca:3"
    assert_refused(main(words.split()), capsys, "1+pca:3: this command has no images", "fit", wanted=2)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    assert_refused(dissect(layers="1+ica:3"), capsys, "scikit-learn", "unitscope[directions]", wanted=2)
    assert not kept.exists()


def test_a_cache_that_cannot_be_written_is_one_line(capsys, monkeypatch):
    monkeypatch.setenv("UNITSCOPE_CACHE", "net.py")
    assert_refused(dissect(layers="1+pca:3"), capsys, "cannot write", "with UNITSCOPE_CACHE")


def test_python_fits_nothing_unasked(kept):
    network = us.load_network("net.py:small")
    with pytest.raises(UsageError, match=r"unitscope\.experiments\.fit_directions"):
        us.dissect(network, us.open_source(DRAWN), ["1+pca:3"])
    assert not kept.exists()


def test_probes_are_named_by_their_file():
    source, network = us.open_source("drawn:count=24,size=64"), us.load_network("net.py:small")
    fit_directions(network, "1", source, "probe", concepts=["sky"], out="sky.safetensors")
    assert open_directions("probe:sky.safetensors", 6).names == ("object/sky",)
    assert dissect(layers="1+probe:sky.safetensors") == 0
    assert list_layers("run") == {"1+probe:sky.safetensors"}
