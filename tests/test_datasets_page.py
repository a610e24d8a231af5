"""The page of data sets: every word in its table opens a tiny set that is laid out as published."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from sets import (
    ade20k,
    camvid,
    cityscapes,
    coco,
    cocostuff,
    dtd,
    hf,
    imagenet,
    mapillary,
    places365,
    sun397,
    voc,
    wds,
)
from sets.files import write_files
from unitscope.concepts.formats.published import recognize
from unitscope.concepts.inspection import check_source
from unitscope.concepts.sources import KINDS, open_concepts
from unitscope.errors import UsageError

PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "datasets.md"
WORDS = [
    row.split(" | ")[1].strip("`") for row in PAGE.read_text().splitlines() if re.match(r"\| .* \| `", row)
]


def write_context(root: Path) -> None:
    voc.write_context(root)
    (root / "VOCdevkit" / "VOC2012").rename(root / "VOCdevkit" / "VOC2010")


def write_list(root: Path) -> None:
    write_files(root / "photos", {}, ("a.jpg", "b.jpg"))
    (root / "photos" / "labels.csv").write_text("a.jpg,dog\nb.jpg,cat\n")


WRITERS: dict[str, Callable[[Path], object]] = {
    "VOC2012": voc.write_voc,
    "VOC2010": write_context,
    "coco:coco,": lambda root: coco.write_coco(root / "coco"),
    "coco:lvis": lambda root: coco.write_lvis(root / "lvis"),
    "coco:paco": lambda root: coco.write_paco(root / "paco"),
    "coco-panoptic": lambda root: coco.write_panoptic(root / "coco"),
    "cocostuff": lambda root: cocostuff.write_cocostuff(root / "cocostuff"),
    "ADEChallengeData2016": lambda root: ade20k.write_scene_parsing(root / "ADEChallengeData2016"),
    "ADE20K_2021_17_01": lambda root: ade20k.write_ade20k_2021(root / "ADE20K_2021_17_01"),
    "ADE20K_2016_07_26": lambda root: ade20k.write_ade20k_2016(root / "ADE20K_2016_07_26"),
    "cityscapes": lambda root: cityscapes.write_cityscapes(root / "cityscapes"),
    "camvid:CamVid": camvid.write_segnet,
    "camvid:camvid": lambda root: camvid.write_colors(root / "camvid"),
    "mapillary": lambda root: mapillary.write_mapillary(root / "mapillary"),
    "imagenet": lambda root: imagenet.write_imagenet(root / "imagenet"),
    "dtd": lambda root: dtd.write_dtd(root / "dtd"),
    "places365": lambda root: places365.write_places365(root / "places365"),
    "sun397": lambda root: sun397.write_sun397(root / "SUN397"),
    "hf:sidewalk": lambda root: hf.write_repository(root / "sidewalk"),
    "hf:saved": lambda root: hf.write_saved(root / "saved"),
    "hf:ade20k": lambda root: hf.write_ade_rows(root / "ade20k"),
    "wds": lambda root: wds.write_shards(root / "shards"),
    "folder:photos": write_list,
}


def write_tree(word: str, root: Path) -> None:
    found = [write for start, write in WRITERS.items() if start in word]
    assert len(found) == 1, f"the test has no tree for {word}"
    root.mkdir(exist_ok=True)
    found[0](root)


def test_every_kind_is_on_the_page() -> None:
    text = PAGE.read_text()
    assert [kind for kind in KINDS if kind != ".py" and f"{kind}:" not in text] == []
    assert len(WORDS) == len(WRITERS)


@pytest.mark.parametrize("word", WORDS)
def test_a_word_of_the_page_opens_its_set(word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tree(word, tmp_path)
    monkeypatch.chdir(tmp_path)
    report = check_source(word)
    assert report.images > 0
    assert report.labelled > 0
    assert not [one for one in report.problems if "cannot be read" in one.message]
    again = open_concepts(report.spec)
    assert again.digest == report.digest


@pytest.mark.parametrize("word", [word for word in WORDS if not word.startswith("folder:")])
def test_a_published_tree_is_refused_as_a_folder_with_its_word(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tree(word, tmp_path)
    monkeypatch.chdir(tmp_path)
    kind, _, place = word.partition(":")
    root = Path(re.split(r",|/train-", place)[0])
    root = root.parent if kind == "coco-panoptic" else root
    with pytest.raises(UsageError, match=rf"open it as {kind}:"):
        open_concepts(f"folder:{root}")
    told = recognize(root)
    assert told is not None
    if kind not in ("hf", "wds"):  # whose columns and members the user names
        assert len(open_concepts(told)) > 0
