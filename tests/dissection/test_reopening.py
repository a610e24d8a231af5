"""The images of a run, opened again."""

import json
import warnings
from pathlib import Path

import pytest
from PIL import Image
from torch import nn

import unitscope as us
from commands import assert_refused, write_folder
from unitscope.cli import main
from unitscope.concepts.derived import limit
from unitscope.dissection import reopen_source
from unitscope.dissection.dissect import Confidences
from unitscope.errors import SourceError, UsageError
from unitscope.networks.network import Network

CODE = """
import sys
sys.path.append({tests!r})
from made import make_source

def noise(images="6", seed="0"): return make_source(int(images), seed=int(seed))
def net():
    from torch import nn
    return nn.Sequential(nn.AvgPool2d(4))
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sets.py").write_text(CODE.format(tests=str(Path(__file__).parents[1])))
    return tmp_path


def dissect(source: us.ConceptSource, out: str = "run") -> us.Dissection:
    us.dissect(
        Network(nn.Sequential(nn.AvgPool2d(4)), name="sets.py:net"),
        source,
        ["0"],
        confidences=Confidences(shifts=0),
        out=out,
    )
    return us.load(out)


def test_a_run_over_a_function_of_yours_opens_its_images_again(place: Path, capsys) -> None:
    run = dissect(us.open_source("sets.py:noise,images=5,seed=3,limit=4"))
    assert run.source == "sets.py:noise,images=5,seed=3,limit=4"
    again = reopen_source(run)
    assert [again[i].key for i in range(4)] == ["i0", "i1", "i2", "i3"]
    assert main(["report", "run"]) == 0
    assert (place / "run/report/index.html").is_file()
    assert run.page(place / "page").is_file()
    told = r"^sets.py:noise,images=4,seed=3 differs from what the run recorded: its images have the same"
    with pytest.warns(UserWarning, match=told):
        assert len(reopen_source(run, "sets.py:noise,images=4,seed=3")) == 4


def test_a_run_over_an_object_says_how_to_give_it(place: Path, capsys) -> None:
    from made import make_source

    for source in (make_source(6), limit(make_source(6), 5)):
        out = f"run of {len(source)}"
        run = dissect(source, out)
        with pytest.raises(
            UsageError, match=r"an object of Python that no text opens; give its images with --con"
        ):
            reopen_source(run)
        assert reopen_source(run, source) is source
        assert run.page(place / "page", source=source).is_file()
        capsys.readouterr()
        assert_refused(main(["report", out]), capsys, "--concepts SOURCE, such as FILE.py:FACTORY", wanted=2)
        given = f"sets.py:noise,images={len(source)}"
        assert main(["report", out, "--concepts", given]) == 0
        assert main(["report", out, "--concepts", "sets.py:noise,images=3"]) == 1
        assert "the images given are not those of the run: 3 images now" in capsys.readouterr().err


def test_other_images_are_refused(place: Path) -> None:
    root = write_folder(place / "set")
    run = dissect(us.open_source("folder:set"))
    (root / "images/2.png").rename(root / "images/22.png")
    (root / "masks/2.png").rename(root / "masks/22.png")
    with pytest.raises(
        SourceError, match=r"folder:set: the source has changed since the run: image 2 is 22.png now, 2"
    ):
        reopen_source(run)
    (root / "images/22.png").unlink()
    with pytest.raises(SourceError, match="3 images now, 4 then"):
        reopen_source(run)


def test_the_same_images_with_other_labels_are_told(place: Path) -> None:
    root = write_folder(place / "set")
    run = dissect(us.open_source("folder:set"))
    (root / "classes.json").write_text(json.dumps(["unlabelled", "dog", "sky"]))
    with pytest.warns(UserWarning, match="folder:set: the source has changed since the run: its images have"):
        reopen_source(run)
    with pytest.warns(UserWarning, match="folder:set differs from what the run recorded"):
        reopen_source(run, "folder:set")
    (root / "classes.json").write_text(json.dumps(["unlabelled", "cat", "sky"]))
    root.rename(place / "moved")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reopen_source(run, "folder:moved")


def test_files_left_out_are_in_the_record_and_in_the_report(place: Path) -> None:
    root = write_folder(place / "set")
    for name in ("notes.txt", "todo.txt", "images/9.gif"):
        (root / name).write_bytes(b"GIF")
    run = dissect(us.open_source("folder:set"))
    recorded = json.loads((place / "run" / "run.json").read_text())["recipe"]["source"]["left_out"]
    assert recorded["neither a picture nor a mask"] == {"files": 2, "examples": ["notes.txt", "todo.txt"]}
    assert recorded["without a label"] == {"files": 1, "examples": ["images/9.gif"]}
    page = run.page(place / "page").read_text()
    assert "2 files left out, neither a picture nor a mask: notes.txt, todo.txt" in page


def test_images_that_were_moved_can_be_given(place: Path) -> None:
    root = write_folder(place / "set")
    run = dissect(us.open_source("folder:set"))
    root.rename(place / "moved")
    with pytest.raises(
        UsageError, match=r"cannot be opened again: set is not a folder.*give its images with"
    ):
        reopen_source(run)
    assert len(reopen_source(run, "folder:moved")) == 4


def test_images_of_a_run_are_given_with_the_run(place: Path, capsys) -> None:
    Image.new("RGB", (8, 8)).save(place / "a.png")
    words = "ablate sets.py:net --layer 0 --images folder:. --concepts folder:."
    assert_refused(main(words.split()), capsys, "name it too, with --run", wanted=2)


def test_what_was_applied_to_a_segmenters_labels_is_applied_again(recwarn):
    labelled = us.open_source("segmenter:zoo:segmenter,images=drawn:count=9,size=64")
    source = us.shuffle_labels(us.limit(labelled, 4), 3)
    network = us.Network(nn.Sequential(nn.Conv2d(3, 2, 8, 8)))
    run = us.dissect(network, source, ["0"], confidences=us.Confidences(shifts=0))
    assert reopen_source(run).digest == source.digest
    assert [str(one.message) for one in recwarn if "has changed" in str(one.message)] == []
