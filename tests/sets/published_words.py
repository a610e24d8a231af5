"""Every word of the page of data sets, with a tiny set that it opens."""

import re
from collections.abc import Callable
from pathlib import Path

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

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "datasets.md"
ROWS = [row.split(" | ") for row in PAGE.read_text("utf-8").splitlines() if re.match(r"\| .* \| `", row)]
WORDS = [row[1].strip("`") for row in ROWS]


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
