"""Bad input, end to end: one clear line, the right exit status, nothing lost."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from commands import DRAWN, assert_refused, dissect, write_folder, write_networks
from unitscope.cli import main


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """Every test runs in a folder of its own that holds net.py."""
    monkeypatch.chdir(write_networks(tmp_path))
    threads = torch.get_num_threads()
    yield tmp_path
    torch.set_num_threads(threads)


# networks and layers


def test_an_unknown_layer_gets_near_names(capsys):
    assert_refused(dissect(layers="11"), capsys, "no layer '11'", "near names: 1", wanted=2)


@pytest.mark.parametrize(
    ("network", "seen"),
    [("odd_tuple", "a tuple of 2"), ("odd_dict", "a dict (a)"), ("odd_nothing", "returns nothing")],
)
def test_a_layer_that_returns_no_tensor_is_told_with_its_parts(network, seen, capsys):
    assert_refused(dissect(network, "0"), capsys, seen, "0.inner")


def test_a_network_that_fails_on_the_input_size_is_told(capsys):
    assert_refused(dissect("fixed"), capsys, "64 x 64 pixels", "try another size")
    assert dissect("fixed", "1", DRAWN, "run", "--size", "32") == 0


@pytest.mark.parametrize(("network", "seen"), [("nan", "nan"), ("infinite", "inf")])
def test_activations_that_are_not_finite_name_unit_layer_and_image(network, seen, capsys):
    assert_refused(dissect(network, "out"), capsys, f"of layer out gave {seen} on image 0-000000")


@pytest.mark.parametrize(
    ("network", "seen"),
    [("fails", "RuntimeError: first second"), ("leaves", "SystemExit"), ("number", "returned int")],
)
def test_a_factory_that_fails_is_told(network, seen, capsys):
    assert_refused(dissect(network), capsys, seen)


def test_unknown_networks_and_factories_are_wrong_usage(capsys):
    assert_refused(dissect("smal"), capsys, "no function 'smal'", "small", wanted=2)
    assert_refused(main(["layers", "resnet18"]), capsys, "torchvision:resnet18", wanted=2)
    assert_refused(main(["layers", "gone.py:small"]), capsys, "no file gone.py", wanted=2)


def test_weights_that_carry_code_are_not_run(place, capsys):
    class Harm:
        def __reduce__(self):
            return os.mkdir, (str(place / "harmed"),)

    torch.save({"0.weight": Harm()}, "harm.pt")
    assert_refused(dissect("small", "1", DRAWN, "run", "--weights", "harm.pt"), capsys, "carries code")
    assert not (place / "harmed").exists()


def test_dead_and_constant_units_are_noted_and_the_rest_is_named(capsys):
    assert dissect("dead", "out") == 0
    assert (
        "of 6 units are never above their threshold outside void (dead or constant)"
        in capsys.readouterr().out
    )
    assert main(["show", "run", "--unit", "4"]) == 0
    assert "never active" in capsys.readouterr().out


# images and labels


def test_a_truncated_image_is_named(place, capsys):
    path = write_folder(place / "set") / "images" / "2.png"
    path.write_bytes(path.read_bytes()[:200])
    assert_refused(dissect(concepts="folder:set"), capsys, "images/2.png", "truncated")
    assert_refused(main(["concepts", "preview", "folder:set"]), capsys, "images/2.png")
    unite = ["concepts", "unite", "folder:set", "--out", "union"]
    assert_refused(main(unite), capsys, "images/2.png", "nothing was written")
    assert not (place / "union").exists()


def test_an_oversized_image_is_refused_before_it_is_decoded(place, capsys):
    Image.new("1", (20_000, 10_000)).save(write_folder(place / "set") / "images" / "2.png")
    assert_refused(dissect(concepts="folder:set"), capsys, "images/2.png", "megapixels")


def test_a_mask_of_another_size_is_told_with_both(place, capsys):
    Image.new("L", (10, 9)).save(write_folder(place / "set") / "masks" / "2.png")
    assert_refused(dissect(concepts="folder:set"), capsys, "masks/2.png", "10x9", "40x48")


def test_an_id_that_no_class_has_is_told(place, capsys):
    Image.new("L", (40, 48), 9).save(write_folder(place / "set") / "masks" / "2.png")
    assert_refused(dissect(concepts="folder:set"), capsys, "masks/2.png", "id 9")


def test_the_check_finds_every_problem_and_fails(place, capsys):
    root = write_folder(place / "set")
    Image.new("L", (40, 48), 9).save(root / "masks" / "2.png")
    (root / "images" / "3.png").write_bytes(b"")
    assert main(["concepts", "check", "folder:set"]) == 1
    said = capsys.readouterr()
    assert "2 problems" in said.out
    assert not said.err


def test_empty_and_unknown_sources_are_refused(place, capsys):
    (place / "empty").mkdir()
    assert_refused(dissect(concepts="folder:empty"), capsys, "no images")
    assert_refused(dissect(concepts="folder:gone"), capsys, "gone is not a folder", wanted=2)
    assert_refused(dissect(concepts="drawn:count=0"), capsys, "at least 1", wanted=2)
    assert_refused(dissect(concepts="broden:empty"), capsys, "is not Broden")
    assert_refused(
        dissect(concepts="drawing"), capsys, "no source of concepts", "segmenter:NAME,images=SOURCE", wanted=2
    )
    assert not (place / "run").exists()


def test_sources_that_take_a_network_are_checked_and_shown(place, capsys):
    write_folder(place / "set", images=2)
    seen = "segmenter:zoo:segmenter,images=folder:set"
    assert main(["concepts", "check", seen]) == 0
    assert "2 images, 2 with labels" in capsys.readouterr().out
    assert main(["concepts", "check", "generator:zoo:generator,count=3"]) == 0
    assert "3 images, 0 with labels" in capsys.readouterr().out
    assert main(["concepts", "preview", seen, "--out", "seen.png"]) == 0
    assert_refused(main(["concepts", "check", "segmenter:zoo:segmenter"]), capsys, "images=SOURCE", wanted=2)


def test_one_image_works_with_a_note(place, capsys):
    write_folder(place / "set", images=1)
    assert dissect(concepts="folder:set") == 0
    assert "at least two images" in capsys.readouterr().out


def test_a_concept_that_never_occurs_is_noted(place, capsys):
    write_folder(place / "set", names=("cat", "sky", "unicorn"))
    assert dissect(concepts="folder:set") == 0
    assert "concepts that never occur in the images (1): unicorn" in capsys.readouterr().out


def write_broden(root: Path, row: str) -> None:
    (root / "images").mkdir(parents=True)
    for name in ("a.png", "b.png"):
        Image.new("RGB", (32, 32)).save(root / "images" / name)
    (root / "category.csv").write_text("name,first,last,count,frequency\nscene,1,1,1,1\n")
    (root / "label.csv").write_text("number,name,category,frequency,coverage,syns\n1,hut-s,scene(1),1,1,\n")
    (root / "c_scene.csv").write_text("code,number,name,frequency,coverage\n1,1,hut-s,1,1\n")
    (root / "index.csv").write_text(f"image,split,ih,iw,sh,sw,scene\na.png,train,32,32,16,16,1\n{row}")


@pytest.mark.parametrize(
    ("row", "seen"),
    [
        ("b.png,train\n", "line 3"),
        ("b.png,train,32,x,16,16,1\n", "line 3"),
        ("b.png,train,32,32,16,16,b_scene.png\n", "b_scene.png: the file is missing"),
        ("b.png,train,32,32,16,16,7\n", "label 7 is not listed"),
        ("c.png,train,32,32,16,16,1\n", "c.png: the file is missing"),
    ],
)
def test_rows_of_broden_that_cannot_be_used_are_named(row, seen, place, capsys):
    write_broden(place / "set", row)
    assert_refused(dissect(concepts="broden:set"), capsys, seen)


def test_names_are_only_data(place, capsys):
    write_folder(place / "set", names=("<script>alert(1)</script>", "=1+1"))
    words = ["dissect", "net.py:small", "--layers", "1", "--concepts", "folder:set", "--out", "run"]
    assert main([*words, "--shifts", "5", "--threads", "1"]) == 0
    with open("run/units.csv", newline="") as file:
        names = {row[name] for row in csv.DictReader(file) for name in ("concept", "runner_up")}
    assert "'=1+1" in names
    assert not any(name.startswith("=") for name in names)
    for page in [*Path("run/report").rglob("*.html"), *Path("run/report").rglob("*.js")]:
        assert "<script>alert" not in page.read_text()


# folders and disks


def test_a_folder_that_holds_something_is_left_alone(place, capsys):
    assert dissect() == 0
    before = Path("run/units.csv").read_bytes()
    capsys.readouterr()
    assert_refused(dissect(), capsys, "holds a finished run")
    assert_refused(dissect("small", "1", DRAWN, "run", "--resume"), capsys, "holds a finished run")
    assert_refused(dissect(out="net.py"), capsys, "net.py is a file")
    assert_refused(dissect(out="."), capsys, "not empty")
    assert Path("run/units.csv").read_bytes() == before


def test_what_is_in_the_way_is_told_before_a_network_is_opened(place, capsys):
    assert dissect() == 0
    capsys.readouterr()
    assert_refused(dissect("fails"), capsys, "holds a finished run")
    assert_refused(dissect("fails", out="net.py/deep"), capsys, "net.py is a file", wanted=2)


@pytest.mark.parametrize(
    "words",
    [
        f"detect net.py:fails --layer 1 --concept sky --images {DRAWN}",
        f"explain net.py:fails {DRAWN}#0",
        f"dissect net.py:fails --layers 1 --concepts {DRAWN}",
        f"ablate net.py:fails --layer 1 --images {DRAWN}",
        f"attack net.py:fails --layer 1 --images {DRAWN} --targets 0",
    ],
)
def test_results_that_cannot_be_written_are_told_before_the_work(words, place, capsys, monkeypatch):
    if not words.startswith("dissect"):
        assert_refused(main([*words.split(), "--out", "net.py"]), capsys, "net.py is a file", wanted=2)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert_refused(
        main([*words.split(), "--out", "new/deep"]), capsys, "cannot write new/deep: . is read-only"
    )
    assert not (place / "new").exists()


def full(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    "writer",
    ["safetensors.numpy.save_file", "unitscope.dissection.run_files.save_file"],
)
def test_a_full_disk_is_told_and_the_run_goes_on_later(writer, capsys, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(writer, full)
        assert_refused(dissect(), capsys, "No space left on device", "free some space")
    assert_refused(dissect(), capsys, "go on with --resume")
    assert_refused(main(["show", "run"]), capsys, "unfinished run")
    assert dissect("small", "1", DRAWN, "run", "--resume") == 0
    assert dissect(out="whole") == 0
    assert Path("run/units.csv").read_bytes() == Path("whole/units.csv").read_bytes()


def test_a_disk_that_fills_while_the_report_is_written_leaves_the_run(capsys, monkeypatch):
    assert dissect() == 0
    capsys.readouterr()
    monkeypatch.setattr(Image.Image, "save", full)
    assert_refused(main(["report", "run"]), capsys, "cannot write the report", "No space left")
    assert main(["show", "run"]) == 0


def test_a_disk_that_fills_while_labels_are_put_together_is_told(capsys, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("unitscope.statistics.store.map_annotations", full)
        assert_refused(dissect("small", "1", DRAWN, "run"), capsys, "labels", "No space left", "--resume")
    assert dissect("small", "1", DRAWN, "run", "--resume", "--memory", "1e-9") == 0


def test_another_number_of_threads_is_refused_unless_it_is_allowed(capsys, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("unitscope.dissection.run_files.save_file", full)
        assert dissect("small", "1", DRAWN, "run", "--threads", "1") == 1
    capsys.readouterr()
    resume = ("small", "1", DRAWN, "run", "--resume", "--threads", "2")
    assert_refused(dissect(*resume), capsys, "begun with threads 1, now 2", "--mix-machines")
    assert dissect(*resume, "--mix-machines") == 0
    (machine,) = json.loads(Path("run/run.json").read_text())["recipe"]["machines"]
    assert machine.endswith(", 1 thread")


def test_an_output_that_is_full_or_closed_is_no_traceback(original, place):
    show = [sys.executable, "-m", "unitscope", "show", str(original), "--json"]
    with open("/dev/full", "w") as device:
        done = subprocess.run(show, stdout=device, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr == "unitscope: [Errno 28] No space left on device\n"
    with subprocess.Popen(show, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as closed:
        closed.stdout.close()
        assert closed.stderr.read() == ""
    assert closed.returncode == 1


@pytest.mark.parametrize("damage", ["recipe", "shard"])
def test_a_damaged_unfinished_run_is_told(damage, capsys, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("unitscope.dissection.run_files.save_file", full)
        dissect()
    capsys.readouterr()
    name = {"recipe": "recipe.json", "shard": "000000.safetensors"}[damage]
    (Path("run/shards") / name).write_bytes(b"{")
    assert_refused(dissect("small", "1", DRAWN, "run", "--resume"), capsys, name, "delete")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("run.json", b"{"),
        ("run.json", b"[]"),
        ("run.json", b"\xff\xfe"),
        ("run.json", b'{"format": 99}'),
        ("run.json", b'{"format": 1, "vocabulary": [], "recipe": {}, "layers": [], "keys": {}, "times": {}}'),
        ("1.safetensors", b"short"),
        ("1.safetensors", None),
    ],
)
@pytest.mark.parametrize("command", ["show", "report", "compare"])
def test_a_damaged_run_is_told(command, name, content, finished, capsys):
    path = finished / name
    path.unlink() if content is None else path.write_bytes(content)
    assert_refused(main([command, str(finished)]), capsys, str(finished))


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = write_networks(tmp_path_factory.mktemp("original"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert dissect(layers="1 2") == 0
    return folder / "run"


@pytest.fixture
def finished(original, tmp_path):
    return Path(shutil.copytree(original, tmp_path / "finished"))


def test_layers_of_another_size_are_a_damaged_run(finished, capsys):
    shutil.copy(finished / "2.safetensors", finished / "1.safetensors")
    assert_refused(main(["show", str(finished)]), capsys, "is damaged", "shape")


def test_a_run_with_impossible_cutoffs_is_damaged(finished, capsys):
    about = json.loads((finished / "run.json").read_text())
    about["recipe"]["convention"]["iou_cutoff"] = 7.5
    (finished / "run.json").write_text(json.dumps(about))
    assert_refused(main(["show", str(finished)]), capsys, "is damaged")


def test_what_a_run_does_not_hold_is_wrong_usage(finished, capsys):
    run = str(finished)
    assert_refused(main(["show", run, "--layer", "11"]), capsys, "near names: 1", wanted=2)
    assert_refused(main(["show", run, "--unit", "99"]), capsys, "0 to 7", wanted=2)
    assert_refused(main(["show", run, "--unit", "-1"]), capsys, "0 to 7", wanted=2)
    assert_refused(main(["show", run, "--concept", "gras"]), capsys, "grass", wanted=2)
    assert_refused(main(["show", run, "--limit", "-1"]), capsys, "0 for all", wanted=2)
    two = ["show", run, "--unit", "1", "--concept", "grass"]
    assert_refused(main(two), capsys, "give one of them", wanted=2)
    assert_refused(main(["compare", run, "gone"]), capsys, "gone holds no run.json")
    assert_refused(main(["report", run, "--out", "net.py"]), capsys, "cannot write the report")


def test_a_report_tells_that_its_images_have_gone(place, capsys):
    root = write_folder(place / "set")
    assert dissect(concepts="folder:set") == 0
    capsys.readouterr()
    Image.fromarray(np.zeros((48, 40, 3), np.uint8)).save(root / "images" / "00.png")
    Image.fromarray(np.ones((48, 40), np.uint8)).save(root / "masks" / "00.png")
    assert_refused(main(["report", "run"]), capsys, "the source has changed")
    for number in ("0", "00", "1"):
        (root / "images" / f"{number}.png").unlink()
    assert_refused(main(["report", "run"]), capsys, "the source has changed")
    shutil.rmtree(root)
    assert_refused(main(["report", "run"]), capsys, "set is not a folder", wanted=2)
    assert main(["show", "run"]) == 0


# archives


@pytest.fixture
def served():
    """An archive that writes outside of its folder, on a server of this machine."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("../evil.txt", b"harm")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content.getvalue())))
            self.end_headers()
            self.wfile.write(content.getvalue())

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/set.zip"
        server.shutdown()
        thread.join()


def test_a_hostile_archive_is_refused(served, place, capsys):
    words = ["concepts", "fetch", "broden", "--url", served, "--out", "data"]
    assert_refused(main(words), capsys, "evil.txt")
    assert not list(place.rglob("evil.txt"))


def test_what_cannot_be_fetched_is_told(capsys):
    fetch = ["concepts", "fetch"]
    assert_refused(main([*fetch, "brodn"]), capsys, "wanted broden", wanted=2)
    assert_refused(main([*fetch, "broden", "--url", "ftp://x/y.zip"]), capsys, "ftp://x/y.zip", wanted=2)
    assert_refused(main([*fetch, "broden", "--sha256", "xyz"]), capsys, "64 hexadecimal digits", wanted=2)
