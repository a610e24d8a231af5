"""Runs in directions: the layer itself where they are its units, and no other file of the same name."""

import csv
import json
from pathlib import Path
from string import ascii_letters, digits

import pytest
import torch
from torch import nn

import made
import unitscope as us
from commands import write_folder
from unitscope.dissection import dissect_part, merge_run
from unitscope.dissection.run_files import name_files
from unitscope.dissection.workers import ScanJob
from unitscope.errors import NetworkError, RunError, UsageError
from unitscope.executors.processes import Processes
from unitscope.interventions import detect
from unitscope.networks.directions.directions import make_directions
from unitscope.networks.directions.drawn import draw_rotation, draw_sae, keep_units
from unitscope.networks.directions.files import save_directions
from unitscope.networks.network import Network, Preprocessing
from unitscope.statistics.scan import Machine
from unitscope.views.report.data import describe_layer
from unitscope.views.terminal import describe_dissection

NETWORK = """
import torch
from torch import nn

def small():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 12, 5, 2), nn.ReLU(), nn.Conv2d(12, 16, 3, 2))
"""


@pytest.fixture(scope="module")
def source():
    return made.make_source(14, seed=3)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 6, 3)).eval()
    return Network(module, Preprocessing((24, 24)), (), "small")


def read_rows(folder: Path) -> tuple[list[dict[str, str]], bytes]:
    text = (folder / "units.csv").read_bytes()
    return list(csv.DictReader(text.decode().splitlines())), text


@pytest.mark.parametrize("convention", ["pnas", "netdissect"])
def test_a_file_of_the_units_themselves_gives_the_layer_to_the_byte(network, source, tmp_path, convention):
    file = save_directions(keep_units(8), tmp_path / "units.safetensors")
    asked = {"convention": convention, "confidences": us.Confidences(20)}
    us.dissect(network, source, ["1"], out=tmp_path / "plain", **asked)
    us.dissect(network, source, [f"1+{file}"], out=tmp_path / "latents", **asked)
    rows, text = read_rows(tmp_path / "latents")
    assert {row["layer"] for row in rows} == {f"1+{file}"}
    assert text.replace(f"1+{file}".encode(), b"1") == read_rows(tmp_path / "plain")[1]
    about = [json.loads((tmp_path / name / "run.json").read_text()) for name in ("plain", "latents")]
    plain, latents = (one["layers"][0] for one in about)
    assert latents == {**plain, "layer": f"1+{file}", "file": latents["file"]}


def test_a_run_holds_layers_and_latents_and_is_loaded_again(network, source, tmp_path):
    layers = ["1", "1+random-sae:40:3:0", "2+rotation:1"]
    run = us.dissect(network, source, layers, out=tmp_path / "run", confidences=us.Confidences(0))
    loaded = us.load(tmp_path / "run")
    assert {layer: len(loaded[layer]) for layer in loaded} == dict(zip(layers, (8, 40, 6), strict=True))
    assert loaded.recipe == run.recipe
    keys = "kind", "units", "latents"
    told = {name: [one[key] for key in keys] for name, one in run.recipe.directions.items()}
    assert told == {"1+random-sae:40:3:0": ["random-sae", 8, 40], "2+rotation:1": ["rotation", 6, 6]}
    assert loaded["1+random-sae:40:3:0"].place == loaded["1"].place
    assert "directions" not in us.dissect(network, source, ["1"]).recipe.record()
    for path in (tmp_path / "run").glob("*.safetensors"):
        assert path.name == path.name.translate({ord(sign): "-" for sign in "/:?#+"})


def test_files_of_layers_have_names_that_file_systems_take():
    long = "/".join(["somewhere"] * 40)
    names = name_files([f"1+sae:{long}/a.pt?k=3", f"1+sae:{long}/b.pt?k=3"])
    assert len(set(names)) == 2
    assert all(len(name) < 200 and set(name) <= {*ascii_letters, *digits, *"._-"} for name in names)


def test_masks_and_detection_read_the_latents_of_the_run(network, source, tmp_path):
    file = save_directions(draw_sae(8, 20, 3, 0), tmp_path / "made.safetensors")
    layer = f"1+{file}"
    run = us.dissect(network, source, [layer], confidences=us.Confidences(0), convention="pnas")
    image = source[0].image
    [masks] = run[layer].masks([image], network=network)
    [maps] = us.read_activations(network, [image], [layer]).arrays()[layer]
    assert masks.shape[0] == 20
    quiet = maps.max((1, 2)) <= run[layer].thresholds
    assert not masks[quiet].any()
    assert masks[~quiet].any()
    save_directions(draw_sae(8, 20, 3, 1), file)
    for ask in (
        lambda: run[layer].masks([image], network=network),
        lambda: detect(network, layer, source, "cat", run=run),
    ):
        with pytest.raises(UsageError, match=r"directions of 1\+.* are others than when the run"):
            ask()


def test_another_file_of_the_same_name_ends_a_run_that_goes_on(network, source, tmp_path, monkeypatch):
    file = save_directions(draw_rotation(8, 0), tmp_path / "made.safetensors")
    asked = {"out": tmp_path / "parts", "shard_size": 4, "batch_size": 2, "confidences": us.Confidences(0)}
    dissect_part(network, source, [f"1+{file}"], "1/2", **asked)
    save_directions(draw_rotation(8, 1), file)
    with pytest.raises(RunError, match="was begun with another file of directions; give the same"):
        dissect_part(network, source, [f"1+{file}"], "2/2", **asked)
    with pytest.raises(RunError, match="was begun with another file of directions; give the same"):
        us.dissect(network, source, [f"1+{file}"], resume=True, **asked)
    with pytest.raises(RunError, match="shards are missing"):
        merge_run(tmp_path / "parts")
    save_directions(draw_rotation(8, 0), file)
    dissect_part(network, source, [f"1+{file}"], "2/2", **asked)
    merged = merge_run(tmp_path / "parts")
    whole = us.dissect(network, source, [f"1+{file}"], **{**asked, "out": tmp_path / "whole"})
    assert read_rows(tmp_path / "parts")[1] == read_rows(tmp_path / "whole")[1]
    assert merged.recipe == whole.recipe


def test_a_width_that_does_not_fit_ends_a_run_before_any_image(network, tmp_path):
    class Unread(made.Stored):
        def __getitem__(self, index):
            if index:
                raise AssertionError("an image was read")
            return self.examples[index]

    pictures = Unread(made.make_source(3).examples)
    file = save_directions(draw_sae(112, 20, 3, 0), tmp_path / "made.safetensors")
    with pytest.raises(UsageError, match=r"layer 1\+.* of small: .*112 units.* 8"):
        us.dissect(network, pictures, [f"1+{file}"], out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_workers_open_directions_by_their_path_and_refuse_others(tmp_path, monkeypatch):
    write_folder(tmp_path / "pictures", images=11)
    (tmp_path / "net.py").write_text(NETWORK)
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    network, pictures = us.load_network("net.py:small"), us.open_source("folder:pictures")
    save_directions(draw_sae(12, 20, 3, 0), "made.safetensors")
    asked = {"shard_size": 4, "batch_size": 2, "confidences": us.Confidences(20)}
    layers = ["1+made.safetensors", "2+rotation:0"]
    us.dissect(network, pictures, layers, out="alone", machine=Machine(threads=1), **asked)
    us.dissect(network, pictures, layers, out="shared", machine=Machine(workers=2, threads=1), **asked)
    assert read_rows(Path("alone"))[1] == read_rows(Path("shared"))[1]
    jobs: list[ScanJob] = []

    class KeptError(Exception):
        pass

    def keep(_self, job, *_told):
        jobs.append(job)
        raise KeptError

    monkeypatch.setattr(Processes, "run", keep)
    with pytest.raises(KeptError):
        us.dissect(network, pictures, layers, machine=Machine(workers=2, threads=1), **asked)
    save_directions(draw_sae(12, 20, 3, 1), "made.safetensors")
    with pytest.raises(NetworkError, match=r"1\+made.safetensors.*: other directions on .* than where"):
        jobs[0].open("cpu")
    torch.set_num_threads(threads)


def test_latents_of_probes_are_shown_with_their_concepts(network, source, tmp_path):
    names = [f"object/{letter}" for letter in "abcdefgh"]
    told = make_directions(torch.eye(8) + 0.1, kind="probe", about={"names": json.dumps(names)})
    layer = f"1+probe:{save_directions(told, tmp_path / 'probe.safetensors')}"
    run = us.dissect(network, source, [layer], out=tmp_path / "run", quantile=0.1)
    loaded = us.load(tmp_path / "run")
    assert [unit.probe for unit in loaded[layer]] == names
    assert "object/c" in loaded.text(unit=2)
    head = next(line for line in loaded.text(limit=0).splitlines() if line.startswith("unit "))
    assert head.split()[:3] == ["unit", "probe", "concept"]
    found = describe_dissection(loaded, unit=2)
    assert found["layers"][0]["listed"][0]["probe"] == "object/c"
    assert describe_layer(loaded[layer], None)["probes"] == names
    assert run.recipe.record()["directions"][layer]["names"] == names
    assert "probe" not in (tmp_path / "run" / "units.csv").read_text().partition("\n")[0]
    plain = us.dissect(network, source, ["1"], quantile=0.1)
    assert "probe" not in plain.text()
    assert "probe" not in describe_dissection(plain, unit=2)["layers"][0]["listed"][0]


@pytest.mark.parametrize("told", ["nonsense", '"text"', "[1]", "{}"])
def test_names_that_do_not_fit_are_none(told):
    assert make_directions(torch.eye(2), about={"names": told}).names == ()
